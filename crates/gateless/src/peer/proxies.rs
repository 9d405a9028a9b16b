//! What proxies say about where a request comes from, and how much of it is believed.

use std::net::IpAddr;

use gateless_core::ConfigError;
use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use super::node::{self, FromTheRight};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies in front of a service that say where a request comes from.
///
/// Each of them adds an entry to a header field: the address that connected to it. So the entries are counted from the
/// right, over all lines of the field in their order, and the one that is meant was written by the outermost of the trusted
/// proxies. What stands left of it comes from the client, who can write anything, and is never looked at.
///
/// The number has to be right for *every* way into the service. Where one leads past a proxy, clients on it write the entry
/// that is believed; [`networks`](Self::networks) closes the way past the last of them.
///
/// The address of the connection itself counts where the field has fewer entries than that, where the entry is no address
/// (`unknown`, `_hidden`, anything broken), and where the connection does not come from a trusted network: at worst a client
/// is then taken for the proxy, and shares its place.
#[derive(Clone, Debug)]
#[must_use]
pub struct TrustedProxies {
    hops: usize,
    field: Field,
    networks: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug)]
enum Field {
    XForwardedFor,
    Forwarded,
}

impl TrustedProxies {
    /// So many proxies, one behind the other, of which each adds to `X-Forwarded-For`. With 1 there is just the one that
    /// connects to the service.
    pub const fn hops(hops: usize) -> Self {
        Self {
            hops,
            field: Field::XForwardedFor,
            networks: None,
        }
    }

    /// They add to `Forwarded` ([RFC 7239](https://www.rfc-editor.org/rfc/rfc7239)), and `X-Forwarded-For` is not looked at.
    /// Only one of the two is believed, and only the one that all of the proxies write: the other would come from the client.
    pub const fn forwarded(mut self) -> Self {
        self.field = Field::Forwarded;
        self
    }

    /// Believes them only on connections from these networks, such as `10.0.0.0/8` or `2001:db8::/32`. By default on all, so that
    /// whoever reaches the service without a proxy chooses an address.
    pub fn networks(mut self, networks: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.networks = Some(networks.into_iter().map(Into::into).collect());
        self
    }

    /// Checks the settings. What comes back is of use only if no fault was added.
    pub(super) fn chain(self, faults: &mut ConfigError) -> Chain {
        let Self {
            hops,
            field,
            networks,
        } = self;
        if hops == 0 {
            faults.add(
                "hops",
                "is zero: no proxy would be believed, leave them out instead",
            );
        }
        if networks.as_ref().is_some_and(Vec::is_empty) {
            faults.add("networks", "names no network: no proxy would be believed");
        }
        let mut read = |network: String| {
            let parsed = read_network(&network);
            if parsed.is_none() {
                let problem = format!("names {network:?}, which is no network like 10.0.0.0/8");
                faults.add("networks", problem);
            }
            parsed
        };
        Chain {
            // The one that is meant comes after those further in.
            inner: hops.saturating_sub(1),
            field,
            networks: networks.map(|networks| networks.into_iter().filter_map(&mut read).collect()),
        }
    }
}

/// A network, or a single address. One of IPv4 in the clothes of IPv6 would never match: addresses are undressed first.
fn read_network(network: &str) -> Option<IpNet> {
    let network = match network.parse() {
        Ok(network) => network,
        Err(_) => IpNet::from(network.parse::<IpAddr>().ok()?),
    };
    let is_mapped =
        matches!(network, IpNet::V6(network) if network.addr().to_ipv4_mapped().is_some());
    (!is_mapped).then_some(network)
}

/// The same, checked.
#[derive(Debug)]
pub(super) struct Chain {
    inner: usize,
    field: Field,
    networks: Option<Box<[IpNet]>>,
}

impl Chain {
    /// Who sent a request that came over this connection.
    pub(super) fn client(&self, connection: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.trusts(connection) {
            return connection;
        }
        self.entry(headers).unwrap_or(connection)
    }

    fn trusts(&self, connection: IpAddr) -> bool {
        let Some(networks) = &self.networks else {
            return true;
        };
        networks.iter().any(|network| network.contains(&connection))
    }

    fn entry(&self, headers: &HeaderMap) -> Option<IpAddr> {
        match self.field {
            Field::XForwardedFor => {
                let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
                let mut entries = lines.flat_map(|line| line.as_bytes().rsplit(|b| *b == b','));
                node::address(entries.nth(self.inner)?)
            }
            Field::Forwarded => {
                let lines = headers.get_all(FORWARDED).iter().rev();
                let mut entries = lines.flat_map(|line| FromTheRight::new(line.as_bytes()));
                node::address(node::forwarded_for(entries.nth(self.inner)?)?)
            }
        }
    }
}
