//! `[peer]`: where requests come from, for records, failures and quotas.

use gateless::{Peer, TrustedProxies};

use crate::section::Reader;

/// Who is believed about where a request comes from.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    proxies: Option<usize>,
    forwarded: bool,
    networks: Option<Vec<String>>,
    ipv4_prefix: Option<u8>,
    ipv6_prefix: Option<u8>,
}

impl Place {
    pub(crate) fn read(reader: &mut Reader) -> Self {
        let mut section = reader.section("peer");
        // What is not set is left to the program.
        let [ipv4_prefix, ipv6_prefix] =
            [("ipv4_prefix", 32), ("ipv6_prefix", 64)].map(|(name, default)| {
                let prefix = section.or(name, default);
                section.is_set(name).then_some(prefix)
            });
        let place = Self {
            proxies: section.maybe("proxies"),
            forwarded: section.or("forwarded", false),
            networks: section.maybe("networks"),
            ipv4_prefix,
            ipv6_prefix,
        };
        if !section.is_set("proxies") {
            section.useless(&["forwarded", "networks"], "is of no use without proxies");
        }
        place
    }

    /// `connection` says who is at the other end of it.
    pub(crate) fn of(&self, connection: Peer) -> Peer {
        let mut peer = connection;
        if let Some(prefix) = self.ipv4_prefix {
            peer = peer.ipv4_prefix(prefix);
        }
        if let Some(prefix) = self.ipv6_prefix {
            peer = peer.ipv6_prefix(prefix);
        }
        let Some(hops) = self.proxies else {
            return peer;
        };
        let mut proxies = TrustedProxies::hops(hops);
        if self.forwarded {
            proxies = proxies.forwarded();
        }
        if let Some(networks) = &self.networks {
            proxies = proxies.networks(networks.clone());
        }
        peer.behind_proxies(proxies)
    }

    /// The setting that a builder means, if it is one of these.
    pub(crate) fn setting(name: &str) -> Option<String> {
        let name = match name {
            "hops" => "proxies",
            "networks" | "ipv4_prefix" | "ipv6_prefix" => name,
            _ => return None,
        };
        Some(format!("peer.{name}"))
    }
}
