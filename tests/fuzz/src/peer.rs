//! `X-Forwarded-For` and `Forwarded`: whatever a client writes into them, it counts as the address that the trusted proxy saw.

use std::net::IpAddr;
use std::sync::Arc;

use gateless::limit::{LimitKey, RateLimit};
use gateless::{Peer, PeerAddress, Quota, TrustedProxies};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::Full;

use crate::Target;
use crate::kit::{self, Still};

pub(crate) const TARGET: Target = Target {
    name: "peer",
    run,
    made,
    words: &[
        ",",
        ";",
        "=",
        "\"",
        "\\",
        "\\\"",
        "for=",
        "For=",
        "by=",
        "proto=https",
        "[",
        "]",
        ":",
        "::",
        "::1",
        "[::1]:80",
        "127.0.0.1",
        "198.51.100.7",
        "203.0.113.9",
        "unknown",
        "_hidden",
        " ",
        "\t",
        "64:ff9b::",
        "::ffff:",
        "%25eth0",
        "\u{e9}",
    ],
    rounds: 2_000,
};

const PROXY: &str = "10.0.0.1";
const STRANGER: &str = "192.0.2.77";
const CLIENT: &str = "198.51.100.7";

/// A limit of one request for each address.
fn limit(forwarded: bool, hops: usize) -> RateLimit {
    let proxies = TrustedProxies::hops(hops).networks(["10.0.0.0/8"]);
    let proxies = if forwarded {
        proxies.forwarded()
    } else {
        proxies
    };
    let peer = Peer::connection().behind_proxies(proxies);
    let builder = RateLimit::builder(LimitKey::peer(peer), [Quota::per_day(1)]);
    builder.max_keys(16).clock(Arc::new(Still)).build().unwrap()
}

/// Whether a request on a connection from `peer` passes.
fn passes(limit: &RateLimit, peer: &str, fields: &HeaderMap) -> bool {
    let mut request = Request::new(Full::default());
    request.headers_mut().clone_from(fields);
    let peer: IpAddr = peer.parse().unwrap();
    request.extensions_mut().insert(PeerAddress(peer));
    let answer = kit::send(limit, request);
    assert!(
        answer.caller().is_some() || answer.status == 429,
        "{}",
        answer.status
    );
    answer.caller().is_some()
}

/// Checks what comes of this as what a client wrote into the field.
pub(crate) fn run(data: &[u8]) -> bool {
    let mut names_address = false;
    let Ok(written) = HeaderValue::from_bytes(data) else {
        return false;
    };
    for (name, forwarded) in [("x-forwarded-for", false), ("forwarded", true)] {
        let name = HeaderName::from_static(name);
        let field = |lines: &[&[u8]]| {
            let mut fields = HeaderMap::new();
            for line in lines {
                fields.append(name.clone(), HeaderValue::from_bytes(line).unwrap());
            }
            fields
        };
        let seen: Vec<u8> = if forwarded {
            [b"for=", CLIENT.as_bytes()].concat()
        } else {
            CLIENT.into()
        };
        let plain = field(&[&seen]);

        // The proxy adds what it saw, in a line of its own or behind what is there: that counts, and nothing else does.
        for lines in [
            field(&[data, &seen]),
            field(&[&[data, b", ", &seen].concat()]),
        ] {
            let limit = limit(forwarded, 1);
            assert!(passes(&limit, PROXY, &lines));
            assert!(
                !passes(&limit, PROXY, &plain),
                "another address than the one that the proxy saw"
            );
        }
        // Of two proxies the outer one saw the client.
        let inner: &[u8] = if forwarded {
            b"for=10.0.0.2"
        } else {
            b"10.0.0.2"
        };
        let limit_of_two = limit(forwarded, 2);
        assert!(passes(&limit_of_two, PROXY, &field(&[data, &seen, inner])));
        assert!(!passes(&limit_of_two, PROXY, &field(&[&seen, inner])));

        // Who is no proxy is who connects.
        let direct = limit(forwarded, 1);
        assert!(passes(&direct, STRANGER, &field(&[written.as_bytes()])));
        assert!(
            !passes(&direct, STRANGER, &HeaderMap::new()),
            "an address that a stranger wrote"
        );

        // What the proxy wrote is one address, however often it is read.
        let same = limit(forwarded, 1);
        assert!(passes(&same, PROXY, &field(&[data])));
        assert!(!passes(&same, PROXY, &field(&[data])));
        if !forwarded {
            let last = data
                .rsplit(|byte| *byte == b',')
                .next()
                .unwrap_or_default()
                .trim_ascii();
            let address = std::str::from_utf8(last)
                .ok()
                .and_then(|text| text.parse::<IpAddr>().ok());
            if let Some(address) = address {
                names_address = true;
                assert!(!passes(
                    &same,
                    PROXY,
                    &field(&[address.to_string().as_bytes()])
                ));
            }
        }
    }
    names_address
}

fn made() -> Vec<Vec<u8>> {
    [
        "",
        "198.51.100.7",
        "203.0.113.9, 198.51.100.7",
        "for=203.0.113.9;proto=https;by=10.0.0.1, for=\"[2001:db8::7]:4711\"",
        "for=\"a, for=203.0.113.9",
        "for=\"\\\", for=203.0.113.9\"",
        "[2001:db8::7]:443",
        "unknown, _hidden",
        "::ffff:192.0.2.7, 64:ff9b::192.0.2.7",
        "For = 203.0.113.9 ; for=192.0.2.8",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}
