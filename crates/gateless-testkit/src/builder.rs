//! How a test issuer comes into being.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use gateless_core::Clock;
use tokio::net::TcpListener;
use tokio::task;

use crate::clock::SystemClock;
use crate::guard;
use crate::introspection::Introspection;
use crate::issuer::{Inner, TestIssuer};
use crate::keyring::KeyRing;
use crate::server::Server;
use crate::site::{Document, Site};

/// Settings of a [`TestIssuer`].
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is issued before `build` or `serve`"]
pub struct TestIssuerBuilder {
    issuer: Option<String>,
    clock: Option<Arc<dyn Clock>>,
    discovery_issuer: Option<String>,
    bind: Option<SocketAddr>,
}

impl TestIssuerBuilder {
    /// The name of the issuer. Without it: `https://idp.example.com` in memory, and its own address when served.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// The clock that dates the tokens. Without it: that of the system.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The issuer that the discovery documents name. Without it: the true one.
    ///
    /// A client must refuse a document that names another issuer than the one it asked (RFC 8414 §3.3).
    pub fn discovery_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.discovery_issuer = Some(issuer.into());
        self
    }

    /// The address to serve on; nothing in memory has one. Without it: a free port of 127.0.0.1.
    pub const fn bind(mut self, address: SocketAddr) -> Self {
        self.bind = Some(address);
        self
    }

    /// An issuer in memory.
    ///
    /// # Panics
    ///
    /// In production: see [`TestIssuer`].
    #[must_use]
    pub fn build(self) -> TestIssuer {
        guard::admit();
        TestIssuer::from_inner(self.assemble("https://idp.example.com"))
    }

    /// An issuer on a socket: see [`TestIssuer::serve`].
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    ///
    /// # Panics
    ///
    /// In production (see [`TestIssuer`]), and outside of a tokio runtime with I/O and time enabled.
    pub async fn serve(self) -> io::Result<TestIssuer> {
        guard::admit();
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(self.bind.unwrap_or(any_port)).await?;
        let address = listener.local_addr()?;

        let mut inner = self.assemble(&format!("http://{address}"));
        let site = Arc::clone(&inner.site);
        task::spawn_blocking(move || site.keys.generate()).await?;
        let site = Arc::clone(&inner.site);
        inner.server = Some(Server::start(listener, address, site));
        Ok(TestIssuer::from_inner(inner))
    }

    /// `base` is what comes before the paths of the endpoints, and the issuer unless that has a name of its own.
    fn assemble(self, base: &str) -> Inner {
        let Self {
            issuer,
            clock,
            discovery_issuer,
            bind: _,
        } = self;
        let instance = random_hex();
        let issuer = issuer.unwrap_or_else(|| base.to_owned());
        let clock = clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let announced = discovery_issuer.as_ref().unwrap_or(&issuer);
        let introspection_url = format!("{base}{}", Introspection::PATH);
        let introspection = Introspection::new(&issuer, introspection_url, Arc::clone(&clock));
        let jwks_url = format!("{base}{}", Document::JWKS_PATH);
        let site = Site::new(KeyRing::new(&instance), introspection, announced, &jwks_url);
        Inner {
            site: Arc::new(site),
            clock,
            tokens: AtomicU64::new(0),
            server: None,
            instance,
            issuer,
        }
    }
}

pub(crate) fn jwks_url(address: SocketAddr) -> String {
    format!("http://{address}{}", Document::JWKS_PATH)
}

fn random_hex() -> String {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has randomness");
    format!("{:016x}", u64::from_ne_bytes(bytes))
}
