//! Addresses as they come, and proxies as they are.

use std::net::Ipv6Addr;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use proptest::prelude::*;
use rstest::rstest;

use super::node::FromTheRight;
use super::*;

fn locator(peer: Peer) -> Locator {
    let mut faults = ConfigError::collect();
    let locator = peer.locator(&mut faults);
    faults.into_result().unwrap();
    locator
}

fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

/// Where a request with these fields on a connection from `peer` comes from.
fn address(locator: &Locator, peer: Option<&str>, fields: &[(&str, &str)]) -> Option<IpAddr> {
    located(locator, peer, fields, Locator::address)
}

fn prefix(locator: &Locator, peer: &str, fields: &[(&str, &str)]) -> Prefix {
    located(locator, Some(peer), fields, |locator, head| {
        locator.locate("test", head).unwrap()
    })
}

fn located<T>(
    locator: &Locator,
    peer: Option<&str>,
    fields: &[(&str, &str)],
    locate: impl FnOnce(&Locator, Head<'_>) -> T,
) -> T {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let mut extensions = Extensions::new();
    if let Some(peer) = peer {
        extensions.insert(PeerAddress(ip(peer)));
    }
    let uri = Uri::from_static("/");
    let head = Head {
        method: &Method::GET,
        uri: &uri,
        headers: &headers,
        extensions: &extensions,
    };
    locate(locator, head)
}

const XFF: &str = "x-forwarded-for";

#[test]
fn tk_02_translated_addresses_are_those_of_ipv4() {
    for (written, meant) in [
        ("64:ff9b::192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("64:ff9b:0:0:0:1::7", "64:ff9b:0:0:0:1::7"),
        ("64:ff9b:1::192.0.2.7", "64:ff9b:1::c000:207"),
        ("2001:db8::7", "2001:db8::7"),
    ] {
        assert_eq!(canonical(ip(written)), ip(meant));
    }
}

#[test]
fn by_default_no_field_is_believed() {
    let fields = [(XFF, "203.0.113.9"), ("forwarded", "for=203.0.113.9")];
    let found = address(&locator(Peer::default()), Some("192.0.2.1"), &fields);
    assert_eq!(found, Some(ip("192.0.2.1")));
}

#[test]
fn what_a_server_leaves_in_a_type_of_its_own_can_be_read() {
    let read = |extensions: &Extensions| extensions.get::<PeerAddress>().map(|_| ip("::1"));
    let locator = locator(Peer::from_extensions(read));
    assert_eq!(address(&locator, Some("192.0.2.1"), &[]), Some(ip("::1")));
    assert_eq!(address(&locator, None, &[]), None);
    let misordered = located(&locator, None, &[], |locator, head| {
        locator.locate("test", head)
    });
    assert_eq!(misordered, Err(Rejection::PipelineMisordered));
}

#[rstest]
#[case::the_last_one(1, &["198.51.100.1, 203.0.113.9"], "203.0.113.9")]
#[case::of_two(2, &["198.51.100.1, 203.0.113.9"], "198.51.100.1")]
#[case::over_lines(2, &["6.6.6.6", "198.51.100.1", "203.0.113.9"], "198.51.100.1")]
#[case::over_lines_and_commas(3, &["6.6.6.6,198.51.100.1", "203.0.113.8 ,203.0.113.9"], "198.51.100.1")]
#[case::too_few(3, &["198.51.100.1, 203.0.113.9"], "10.0.0.1")]
#[case::none(1, &[], "10.0.0.1")]
#[case::empty(1, &[""], "10.0.0.1")]
#[case::an_empty_one_is_one(1, &["203.0.113.9, "], "10.0.0.1")]
#[case::nonsense(1, &["203.0.113.9, unknown"], "10.0.0.1")]
#[case::with_a_port(1, &["203.0.113.9:8080"], "203.0.113.9")]
#[case::ipv6(1, &["2001:db8::9"], "2001:db8::9")]
#[case::ipv6_and_port(1, &["[2001:db8::9]:443"], "2001:db8::9")]
#[case::mapped(1, &["::ffff:203.0.113.9"], "203.0.113.9")]
#[case::with_a_zone(1, &["fe80::9%eth0"], "fe80::9")]
fn tk_01_the_nth_entry_from_the_right_counts(
    #[case] hops: usize,
    #[case] lines: &[&str],
    #[case] expected: &str,
) {
    let locator = locator(Peer::connection().behind_proxies(TrustedProxies::hops(hops)));
    let fields: Vec<_> = lines.iter().map(|line| (XFF, *line)).collect();
    let found = address(&locator, Some("10.0.0.1"), &fields);
    assert_eq!(found, Some(ip(expected)));
    let other = [("forwarded", "for=6.6.6.6")];
    assert_eq!(
        address(&locator, Some("10.0.0.1"), &other),
        Some(ip("10.0.0.1"))
    );
}

#[rstest]
#[case("for=203.0.113.9", Some("203.0.113.9"))]
#[case("For=\"203.0.113.9:80\";proto=https;by=10.0.0.2", Some("203.0.113.9"))]
#[case("proto=https; for=203.0.113.9", Some("203.0.113.9"))]
#[case("for=\"[2001:db8::9]:4711\"", Some("2001:db8::9"))]
#[case("for=\"[2001:db8::9]:_hidden\"", Some("2001:db8::9"))]
#[case("for=\"[::ffff:203.0.113.9]\"", Some("203.0.113.9"))]
#[case(
    "for=6.6.6.6, for=203.0.113.9;host=\"a,b;for=6.6.6.6\"",
    Some("203.0.113.9")
)]
#[case(
    "for=203.0.113.9;host=\"a\\\",for=6.6.6.6;x=\\\"\"",
    Some("203.0.113.9")
)]
#[case("for=\", for=203.0.113.9", Some("203.0.113.9"))]
#[case("for=x\\, for=\"[2001:db8::9]\"", Some("2001:db8::9"))]
#[case("for=unknown", None)]
#[case("for=_hidden", None)]
#[case("for=\"_hidden:80\"", None)]
#[case("for=203.0.113.9;for=203.0.113.8", None)]
#[case("by=203.0.113.9", None)]
#[case("203.0.113.9", None)]
#[case("for=\"203.0.113.9\"x", None)]
#[case("for=\"203.0.113.9", None)]
#[case(";for=203.0.113.9;; proto=http;", Some("203.0.113.9"))]
#[case("x-by=a;for=203.0.113.9", Some("203.0.113.9"))]
#[case("x\"=a;for=203.0.113.9", None)]
fn tk_01_the_address_of_an_element_is_that_of_its_for(
    #[case] line: &str,
    #[case] expected: Option<&str>,
) {
    let proxies = TrustedProxies::hops(1).forwarded();
    let locator = locator(Peer::connection().behind_proxies(proxies));
    let fields = [(XFF, "6.6.6.6"), ("forwarded", line)];
    let found = address(&locator, Some("10.0.0.1"), &fields);
    assert_eq!(found, Some(ip(expected.unwrap_or("10.0.0.1"))));
}

#[rstest]
#[case("")]
#[case("unknown")]
#[case("_hidden")]
#[case("203.0.113")]
#[case("203.0.113.9:")]
#[case("203.0.113.9:+80")]
#[case("203.0.113.9:65536")]
#[case("203.0.113.9:8o")]
#[case("203.0.113.09")]
#[case("203.0.113.9%eth0")]
#[case("[203.0.113.9]")]
#[case("\"203.0.113.9\"")]
#[case("[2001:db8::9")]
#[case("2001:db8::9]")]
#[case("[2001:db8::9]80")]
#[case("[2001:db8::9]:")]
#[case("fe80::9%")]
#[case("fe80::9%eth 0")]
#[case("host.example.com")]
fn what_is_not_exactly_an_address_is_none(#[case] node: &str) {
    assert_eq!(node::address(node.as_bytes()), None);
}

#[rstest]
#[case("10.9.8.7", true)]
#[case("::ffff:10.9.8.7", true)]
#[case("2001:db8::1", true)]
#[case("192.0.2.5", true)]
#[case("192.0.2.6", false)]
#[case("11.0.0.1", false)]
fn tk_01_only_trusted_networks_are_believed(#[case] connection: &str, #[case] is_believed: bool) {
    let networks = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.5"];
    let proxies = TrustedProxies::hops(1).networks(networks);
    let locator = locator(Peer::connection().behind_proxies(proxies));
    let found = address(&locator, Some(connection), &[(XFF, "203.0.113.9")]);
    let expected = if is_believed {
        "203.0.113.9"
    } else {
        connection
    };
    assert_eq!(found, Some(ip(expected)));
}

#[rstest]
#[case(64, "2001:db8:0:1::1", "2001:db8:0:1:ffff::9", true)]
#[case(64, "2001:db8:0:1::1", "2001:db8:0:2::1", false)]
#[case(48, "2001:db8:0:1::1", "2001:db8:0:2::1", true)]
#[case(128, "2001:db8::1", "2001:db8::2", false)]
#[case(64, "192.0.2.1", "192.0.2.2", false)]
#[case(64, "192.0.2.1", "::ffff:192.0.2.1", true)]
#[case(1, "::1", "7fff::", true)]
fn tk_02_addresses_of_one_prefix_are_one(
    #[case] ipv6_prefix: u8,
    #[case] one: &str,
    #[case] other: &str,
    #[case] are_one: bool,
) {
    let locator = locator(Peer::connection().ipv6_prefix(ipv6_prefix));
    let (one, other) = (prefix(&locator, one, &[]), prefix(&locator, other, &[]));
    assert_eq!(one == other, are_one);
}

#[test]
fn neighbours_of_ipv4_can_be_one() {
    let locator = locator(Peer::connection().ipv4_prefix(24));
    let at = |address| prefix(&locator, address, &[]);
    assert_eq!(at("192.0.2.1"), at("192.0.2.255"));
    assert_ne!(at("192.0.2.1"), at("192.0.3.1"));
}

#[rstest]
#[case(Peer::connection().ipv4_prefix(0), "ipv4_prefix")]
#[case(Peer::connection().ipv4_prefix(33), "ipv4_prefix")]
#[case(Peer::connection().ipv6_prefix(0), "ipv6_prefix")]
#[case(Peer::connection().ipv6_prefix(129), "ipv6_prefix")]
#[case(Peer::connection().behind_proxies(TrustedProxies::hops(0)), "hops")]
#[case(behind(&[]), "networks names no network")]
#[case(behind(&["10.0.0.0/33"]), "\"10.0.0.0/33\"")]
#[case(behind(&["10.0.0.0/8", "lan"]), "\"lan\"")]
#[case(behind(&["::ffff:10.0.0.0/104"]), "\"::ffff:10.0.0.0/104\"")]
fn unusable_settings_are_named(#[case] peer: Peer, #[case] says: &str) {
    let mut faults = ConfigError::collect();
    let _ = peer.locator(&mut faults);
    let error = faults.into_result().unwrap_err();
    assert_eq!(error.faults().len(), 1, "{error}");
    assert!(error.to_string().contains(says), "{error}");
}

fn behind(networks: &[&str]) -> Peer {
    let networks = networks.iter().copied();
    Peer::connection().behind_proxies(TrustedProxies::hops(1).networks(networks))
}

/// What a client can put into a field, commas, quotes and addresses above all.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let pieces: [&[u8]; 10] = [
        b", ",
        b",",
        b"\"",
        b"\\",
        b";",
        b"for=",
        b"6.6.6.6",
        b"\"[2001:db8:6::6]:1\"",
        b" ",
        b"\xff",
    ];
    let piece = proptest::sample::select(pieces.to_vec());
    prop_oneof![
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat()),
        proptest::collection::vec(any::<u8>(), 0..40),
    ]
}

/// How a proxy writes down who connected to it.
#[derive(Clone, Debug)]
struct Style {
    is_own_line: bool,
    has_port: bool,
    has_more: bool,
}

fn style() -> impl Strategy<Value = Style> {
    any::<[bool; 3]>().prop_map(|[is_own_line, has_port, has_more]| Style {
        is_own_line,
        has_port,
        has_more,
    })
}

impl Style {
    fn entry(&self, address: IpAddr, is_forwarded: bool) -> String {
        let node = match (address, self.has_port) {
            (address, true) => SocketAddr::new(address, 4711).to_string(),
            (IpAddr::V6(address), _) if is_forwarded => format!("[{address}]"),
            (address, _) => address.to_string(),
        };
        let more = match self.has_more {
            true => ";proto=https;host=\"a, \\\"b\\\\\"",
            false => "",
        };
        match is_forwarded {
            true if node.contains(':') => format!("for=\"{node}\"{more}"),
            true => format!("for={node}{more}"),
            false => node,
        }
    }

    fn add(&self, lines: &mut Vec<HeaderValue>, address: IpAddr, is_forwarded: bool) {
        let entry = self.entry(address, is_forwarded);
        let line = match lines.pop() {
            Some(last) if self.is_own_line => {
                lines.push(last);
                entry.into_bytes()
            }
            Some(last) => [last.as_bytes(), b", ", entry.as_bytes()].concat(),
            None => entry.into_bytes(),
        };
        lines.push(HeaderValue::from_bytes(&line).unwrap());
    }
}

fn any_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
    ]
}

proptest! {
    #[test]
    fn tk_01_nothing_that_a_client_sends_changes_where_it_comes_from(
        sent in proptest::collection::vec(line(), 0..4),
        client in any_address(),
        proxies in proptest::collection::vec((any_address(), style()), 1..4),
        is_forwarded: bool,
    ) {
        let lines = sent.iter().filter_map(|line| HeaderValue::from_bytes(line).ok());
        let mut lines: Vec<_> = lines.collect();
        let mut from = client;
        for (proxy, style) in &proxies {
            style.add(&mut lines, from, is_forwarded);
            from = *proxy;
        }
        let trusted = TrustedProxies::hops(proxies.len());
        let (name, trusted) = match is_forwarded {
            true => ("forwarded", trusted.forwarded()),
            false => (XFF, trusted),
        };
        let mut faults = ConfigError::collect();
        let chain = trusted.chain(&mut faults);
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, line);
        }
        prop_assert_eq!(chain.client(from, &headers), client.to_canonical());
    }

    #[test]
    fn any_bytes_are_an_address_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..64), line in line()) {
        for bytes in [&bytes, &line] {
            let _ = node::address(bytes);
            let _ = node::forwarded_for(bytes);
            let elements: Vec<_> = FromTheRight::new(bytes).collect();
            let rejoined: Vec<u8> = elements.into_iter().rev().collect::<Vec<_>>().join(&b',');
            prop_assert_eq!(&rejoined, bytes);
        }
    }
}
