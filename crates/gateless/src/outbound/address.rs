//! Which addresses keys are fetched from: what a name resolves to is looked at before it is connected to, and what
//! was looked at is connected to. A name that changes in between (DNS rebinding) changes nothing.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// The addresses beyond those of the internet that may be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    pub(super) loopback: bool,
    pub(super) private: bool,
}

impl Reach {
    pub(super) fn allows(self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => self.allows_v4(address),
            IpAddr::V6(address) => self.allows_v6(address),
        }
    }

    /// Whether the host of `url` may be reached, as far as it is an address: names are judged when they are resolved.
    pub(super) fn allows_host_of(self, url: &Url) -> bool {
        match url.host() {
            Some(Host::Ipv4(address)) => self.allows(address.into()),
            Some(Host::Ipv6(address)) => self.allows(address.into()),
            Some(Host::Domain(_)) => true,
            None => false,
        }
    }

    fn allows_v4(self, address: Ipv4Addr) -> bool {
        let [first, second, ..] = address.octets();
        if address.is_loopback() {
            return self.loopback;
        }
        // RFC 6598: shared address space.
        if address.is_private() || (first == 100 && (64..128).contains(&second)) {
            return self.private;
        }
        // Machine metadata (169.254.169.254) and everything that is no single host is never reached.
        !(address.is_link_local()
            || address.is_unspecified()
            || address.is_broadcast()
            || address.is_multicast()
            || address.is_documentation()
            || first == 0
            // RFC 2544, RFC 1112 §4
            || (first == 198 && (second == 18 || second == 19))
            || first >= 240)
    }

    fn allows_v6(self, address: Ipv6Addr) -> bool {
        if address.is_loopback() {
            return self.loopback;
        }
        let [a, b, c, d, e, f, g, h] = address.segments();
        // RFC 3879: what was site-local; RFC 8215: a translator of one's own, and whatever is behind it.
        if address.is_unique_local() || a & 0xffc0 == 0xfec0 || (a, b, c) == (0x64, 0xff9b, 1) {
            return self.private;
        }
        let embedded = |high: u16, low: u16| {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            self.allows_v4(Ipv4Addr::new(a, b, c, d))
        };
        match [a, b, c, d, e, f] {
            // RFC 6052: an IPv4 host behind a translator.
            [0x64, 0xff9b, 0, 0, 0, 0] => embedded(g, h),
            // RFC 3056: an IPv4 host behind a tunnel.
            [0x2002, high, low, ..] => embedded(high, low),
            // RFC 4291 §2.5.5.1: deprecated.
            [0, 0, 0, 0, 0, 0] => false,
            _ => !(address.is_unicast_link_local() || address.is_multicast()),
        }
    }
}

impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = *self;
        Box::pin(async move {
            // The port is filled in by whoever connects.
            let resolved = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<_> = resolved
                .filter(|address| reach.allows(address.ip()))
                .collect();
            if allowed.is_empty() {
                return Err(Blocked.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// A name has no address that may be reached.
#[derive(Debug)]
struct Blocked;

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name has no address that may be reached")
    }
}

impl Error for Blocked {}

/// Whether a request failed because of [`Reach`].
pub(super) fn is_blocked(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<Blocked>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// Nothing beyond the internet, loopback, everything.
    const REACHES: [Reach; 3] = [
        Reach {
            loopback: false,
            private: false,
        },
        Reach {
            loopback: true,
            private: false,
        },
        Reach {
            loopback: true,
            private: true,
        },
    ];

    #[rstest]
    #[case("93.184.215.14", [true, true, true])]
    #[case("2606:2800:21f:cb07:6820:80da:af6b:8b2c", [true, true, true])]
    #[case("64:ff9b::5db8:d70e", [true, true, true])]
    #[case("127.0.0.1", [false, true, true])]
    #[case("127.255.255.254", [false, true, true])]
    #[case("::1", [false, true, true])]
    #[case("::ffff:127.0.0.1", [false, true, true])]
    #[case("10.0.0.1", [false, false, true])]
    #[case("172.16.0.1", [false, false, true])]
    #[case("172.31.255.255", [false, false, true])]
    #[case("192.168.1.1", [false, false, true])]
    #[case("100.64.0.1", [false, false, true])]
    #[case("fd00::1", [false, false, true])]
    #[case("::ffff:10.0.0.1", [false, false, true])]
    #[case("64:ff9b::a00:1", [false, false, true])]
    #[case("2002:a00:1::", [false, false, true])]
    #[case("fec0::1", [false, false, true])]
    #[case("64:ff9b:1::a00:1", [false, false, true])]
    #[case("169.254.169.254", [false, false, false])]
    #[case("::ffff:169.254.169.254", [false, false, false])]
    #[case("64:ff9b::a9fe:a9fe", [false, false, false])]
    #[case("2002:a9fe:a9fe::", [false, false, false])]
    #[case("fe80::1", [false, false, false])]
    #[case("0.0.0.0", [false, false, false])]
    #[case("0.1.2.3", [false, false, false])]
    #[case("::", [false, false, false])]
    #[case("::7f00:1", [false, false, false])]
    #[case("255.255.255.255", [false, false, false])]
    #[case("240.0.0.1", [false, false, false])]
    #[case("224.0.0.1", [false, false, false])]
    #[case("ff02::1", [false, false, false])]
    #[case("192.0.2.1", [false, false, false])]
    #[case("198.18.0.1", [false, false, false])]
    fn te_16_addresses_beyond_the_internet_have_to_be_allowed(
        #[case] address: IpAddr,
        #[case] allowed: [bool; 3],
    ) {
        assert_eq!(REACHES.map(|reach| reach.allows(address)), allowed);
        let host = match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let url = Url::parse(&format!("https://{host}/jwks")).unwrap();
        assert_eq!(REACHES.map(|reach| reach.allows_host_of(&url)), allowed);
    }

    #[tokio::test]
    async fn te_17_a_name_is_judged_by_what_it_resolves_to() {
        let resolve = |reach: Reach| reach.resolve("localhost".parse().unwrap());
        let [public, loopback, _] = REACHES;
        let error = resolve(public).await.err().unwrap();
        assert!(error.is::<Blocked>(), "{error}");
        let addresses: Vec<_> = resolve(loopback).await.ok().unwrap().collect();
        assert!(!addresses.is_empty());
        assert!(addresses.iter().all(|address| address.ip().is_loopback()));
    }
}
