//! Where a request comes from.

mod node;
mod proxies;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
#[cfg(feature = "limit")]
use std::sync::Once;

use gateless_core::ConfigError;
#[cfg(feature = "limit")]
use gateless_core::Rejection;
use http::Extensions;

use self::proxies::Chain;
pub use self::proxies::TrustedProxies;
use crate::gate::Head;

/// The address that the connection of a request comes from. Whoever accepts connections knows it, and leaves it in the
/// extensions of the request before a layer that asks for it sees it.
///
/// A TCP port means nothing here: all ports of a machine are one place. Behind a Unix socket there is no address; leave that of
/// the proxy behind it, such as `127.0.0.1`.
///
/// ```
/// use std::net::SocketAddr;
///
/// use gateless::PeerAddress;
///
/// /// In the code that accepts connections, for each request of one.
/// fn from<B>(peer: SocketAddr, mut request: http::Request<B>) -> http::Request<B> {
///     request.extensions_mut().insert(PeerAddress::from(peer));
///     request
/// }
/// # let request = from("192.0.2.7:50123".parse()?, http::Request::new(()));
/// # assert!(request.extensions().get::<PeerAddress>().is_some());
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddress(pub IpAddr);

impl From<IpAddr> for PeerAddress {
    fn from(address: IpAddr) -> Self {
        Self(address)
    }
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        Self(address.ip())
    }
}

/// Where requests come from, as far as that can be known: the address of the connection, or what trusted proxies say.
///
/// What counts is a prefix of the address. One machine of IPv6 has a whole `/64`, and takes another address of it for each
/// request if it likes; one of IPv4 has a single address, or shares it with others.
///
/// ```
/// use gateless::{Peer, TrustedProxies};
///
/// // Connections come from a load balancer, which adds to `X-Forwarded-For`.
/// let peer = Peer::connection().behind_proxies(TrustedProxies::hops(1).networks(["10.0.0.0/8"]));
/// # let _ = peer;
/// ```
#[derive(Clone)]
#[must_use]
pub struct Peer {
    source: Source,
    proxies: Option<TrustedProxies>,
    ipv4_prefix: u8,
    ipv6_prefix: u8,
}

/// Reads the address of a connection.
type Reader = dyn Fn(&Extensions) -> Option<IpAddr> + Send + Sync;

#[derive(Clone)]
enum Source {
    Connection,
    Extensions(Arc<Reader>),
}

impl Peer {
    /// The [`PeerAddress`] that the server left. The default.
    pub const fn connection() -> Self {
        Self {
            source: Source::Connection,
            proxies: None,
            ipv4_prefix: 32,
            ipv6_prefix: 64,
        }
    }

    /// The address that a server or framework left in a type of its own.
    ///
    /// ```
    /// use std::net::SocketAddr;
    ///
    /// use gateless::Peer;
    ///
    /// /// Stands for `axum::extract::ConnectInfo<SocketAddr>`, which is there with
    /// /// `into_make_service_with_connect_info::<SocketAddr>()`. For tonic, ask `TcpConnectInfo::remote_addr`.
    /// #[derive(Clone)]
    /// struct ConnectInfo<T>(T);
    ///
    /// let peer = Peer::from_extensions(|extensions| {
    ///     let ConnectInfo(address) = extensions.get::<ConnectInfo<SocketAddr>>()?;
    ///     Some(address.ip())
    /// });
    /// # let _ = peer;
    /// ```
    pub fn from_extensions(
        read: impl Fn(&Extensions) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        Self {
            source: Source::Extensions(Arc::new(read)),
            ..Self::connection()
        }
    }

    /// Believes these proxies about where requests come from. None are believed by default: anybody can write what they write.
    pub fn behind_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.proxies = Some(proxies);
        self
    }

    /// How many bits of an IPv4 address count, from 1 to 32. All 32 by default; with 24, 256 neighbours are one.
    pub const fn ipv4_prefix(mut self, bits: u8) -> Self {
        self.ipv4_prefix = bits;
        self
    }

    /// How many bits of an IPv6 address count, from 1 to 128. 64 by default, as one network has. Providers give a customer 56 or
    /// 48 bits; whoever has those can pretend to be 256 or 65,536 places.
    pub const fn ipv6_prefix(mut self, bits: u8) -> Self {
        self.ipv6_prefix = bits;
        self
    }

    /// Checks the settings. What comes back is of use only if no fault was added.
    pub(crate) fn locator(self, faults: &mut ConfigError) -> Locator {
        let Self {
            source,
            proxies,
            ipv4_prefix,
            ipv6_prefix,
        } = self;
        if !(1..=32).contains(&ipv4_prefix) {
            faults.add("ipv4_prefix", "is not between 1 and 32 bits");
        }
        if !(1..=128).contains(&ipv6_prefix) {
            faults.add("ipv6_prefix", "is not between 1 and 128 bits");
        }
        Locator {
            source,
            chain: proxies.map(|proxies| proxies.chain(faults)),
            ipv4_mask: !u32::MAX.checked_shr(ipv4_prefix.into()).unwrap_or(0),
            ipv6_mask: !u128::MAX.checked_shr(ipv6_prefix.into()).unwrap_or(0),
        }
    }
}

impl Default for Peer {
    fn default() -> Self {
        Self::connection()
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("proxies", &self.proxies)
            .field("ipv4_prefix", &self.ipv4_prefix)
            .field("ipv6_prefix", &self.ipv6_prefix)
            .finish_non_exhaustive()
    }
}

/// Finds out where a request comes from.
pub(crate) struct Locator {
    source: Source,
    chain: Option<Chain>,
    ipv4_mask: u32,
    ipv6_mask: u128,
}

impl fmt::Debug for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Locator")
    }
}

/// The prefix of an address. An IPv4 address is the same however it is written.
#[cfg(feature = "limit")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Prefix {
    V4(u32),
    V6(u128),
}

impl Locator {
    /// Where the request comes from.
    ///
    /// # Errors
    ///
    /// [`Rejection::PipelineMisordered`] when nobody left an address: a fault of the deployment, not of the caller. `stage`
    /// is who asks.
    #[cfg(feature = "limit")]
    pub(crate) fn locate(&self, stage: &'static str, head: Head<'_>) -> Result<Prefix, Rejection> {
        let Some(address) = self.address(head) else {
            log_no_peer(stage);
            return Err(Rejection::PipelineMisordered);
        };
        Ok(match address {
            IpAddr::V4(address) => Prefix::V4(address.to_bits() & self.ipv4_mask),
            IpAddr::V6(address) => Prefix::V6(address.to_bits() & self.ipv6_mask),
        })
    }

    /// The prefix of the address that a request comes from, as an address, where that is known.
    #[cfg(feature = "audit")]
    pub(crate) fn prefix(&self, head: Head<'_>) -> Option<IpAddr> {
        Some(match self.address(head)? {
            IpAddr::V4(address) => IpAddr::V4((address.to_bits() & self.ipv4_mask).into()),
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() & self.ipv6_mask).into()),
        })
    }

    /// The address that a request comes from, all of it, where that is known.
    fn address(&self, head: Head<'_>) -> Option<IpAddr> {
        let connection = match &self.source {
            Source::Connection => {
                let PeerAddress(address) = head.extensions.get()?;
                *address
            }
            Source::Extensions(read) => read(head.extensions)?,
        };
        let connection = canonical(connection);
        Some(match &self.chain {
            Some(chain) => canonical(chain.client(connection, head.headers)),
            None => connection,
        })
    }
}

/// An IPv4 address that is written as one of IPv6 is the IPv4 address: as a mapped one (RFC 4291 §2.5.5.2), or by a translator
/// (`64:ff9b::/96`, RFC 6052 §2.1), behind which all of IPv4 would be one network.
pub(crate) fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => match v6.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
                let [.., a, b, c, d] = v6.octets();
                IpAddr::V4([a, b, c, d].into())
            }
            _ => v6.to_canonical(),
        },
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Once for a process: it shows with every request.
#[cfg(feature = "limit")]
#[cold]
fn log_no_peer(stage: &'static str) {
    static LOG: Once = Once::new();
    LOG.call_once(|| {
        tracing::error!(
            name: "gateless.limit.no_peer",
            stage,
            "nobody says where requests come from: leave a PeerAddress in their extensions, or read what the server leaves, \
             such as the ConnectInfo of into_make_service_with_connect_info, by Peer::from_extensions"
        );
    });
}
