//! The layers: what stands in `gateless.toml`, and what the environment adds.

use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::ConnectInfo;
use gateless::Peer;
use gateless::audit::{SealKey, SealPublicKey};
use gateless::introspection::Secret;
use gateless::scope::ScopeGuard;
use gateless::stack::Stack;
use gateless_config::Settings;
use gateless_testkit::TestIssuer;

use crate::config::Config;
use crate::policy;

/// How long the last records may take to be written.
pub const LAST_RECORDS: Duration = Duration::from_secs(5);

/// What is the same wherever the service runs.
pub(crate) fn settings() -> Settings {
    Settings::new().toml("gateless.toml", include_str!("../gateless.toml"))
}

impl Config {
    /// Opens what the layers write to, and makes them, for a service at `address`; and says which key its records are
    /// sealed with. `embedded` is the issuer that was started, if one was.
    ///
    /// That key is made anew each time and never stored: once the process has ended, nobody can sign a history that
    /// never was. Its public half lies beside the log.
    ///
    /// # Errors
    ///
    /// When a file cannot be opened, or is damaged; outside of a tokio runtime.
    pub fn stack(
        &self,
        address: SocketAddr,
        embedded: Option<&TestIssuer>,
    ) -> Result<(Stack, SealPublicKey), Box<dyn Error>> {
        let settings = match embedded {
            Some(issuer) => self.trusting(issuer),
            None => self.settings.clone(),
        };
        let settings = settings.set("audit.instance", format!("orders {address}"), "BIND");
        // How axum says who is at the other end.
        let connection = Peer::from_extensions(|extensions| {
            let ConnectInfo(address) = extensions.get::<ConnectInfo<SocketAddr>>()?;
            Some(address.ip())
        });
        let seal = SealKey::random();
        let public = seal.public().clone();
        let stack = gateless_config::Config::read(settings)?
            .connection(connection)
            .seal(&seal)
            .build(ScopeGuard::table(policy::table()?))?;
        let beside = self.records.with_extension(format!("{}.pem", public.id()));
        fs::write(&beside, public.to_pem())
            .map_err(|error| format!("AUDIT_PATH: cannot write {}: {error}", beside.display()))?;
        Ok((stack, public))
    }

    /// With an issuer whose address was not known before. It makes opaque tokens, too.
    fn trusting(&self, issuer: &TestIssuer) -> Settings {
        const NAME: &str = "the embedded issuer";
        let settings = self.settings.clone();
        let settings = settings.set("token.issuer", issuer.issuer(), NAME);
        if self.asks_elsewhere {
            return settings;
        }
        settings
            .set("introspection.enabled", "true", NAME)
            .set("introspection.url", issuer.introspection_url(), NAME)
            .set("introspection.client_id", TestIssuer::CLIENT_ID, NAME)
            .secret(
                "introspection.client_secret",
                Secret::new(TestIssuer::CLIENT_SECRET),
                NAME,
            )
    }
}
