//! Refuses those who guess tokens, before anybody looks at the next one.

mod builder;
mod decide;
mod metrics;
mod seen;
// Without a backend no token can be verified.
#[cfg(test)]
#[cfg(all(
    feature = "bearer",
    any(feature = "aws_lc_rs", feature = "rust_crypto")
))]
mod tests;

use std::fmt;
use std::sync::Arc;

use gateless_core::Quota;

pub use self::builder::FailureLimitBuilder;
use self::decide::Live;
use crate::known::KnownTokens;

/// A layer that slows down whoever guesses tokens. It stands *outside* of the authentication: inside of it no refusal would ever
/// be seen.
///
/// | request | HTTP | gRPC |
/// |---|---|---|
/// | from where not too much was refused | passes | the same |
/// | from where too much was: without credentials, or with a token that is known to be good | passes | the same |
/// | from where too much was: with any other credentials | 429 with `Retry-After` | `RESOURCE_EXHAUSTED` |
/// | nobody says where it comes from, or somebody is signed in already: it stands inside of the authentication | 500, a fault of the deployment | `INTERNAL` |
///
/// What counts is a refusal of the credentials themselves, which a stage further in left in the response: presented in a way
/// that RFC 6750 does not allow, or a token that no issuer vouches for. A token that its issuer made and that is refused
/// for what it says (expired, revoked, for another audience) was not guessed, and does not count. Neither do requests
/// without credentials, missing scopes, quotas and outages.
///
/// It counts by where requests come from ([`Peer`](super::Peer)), and many people may come from one place. So the same
/// credentials count once in a [period](Quota::per) of the quota, however often they are sent: one machine behind a NAT
/// with a broken token in its configuration takes one unit of the quota from its neighbours, and whoever guesses takes
/// one for each guess. And nobody is refused whose token the authentication remembers as good.
///
/// ```
/// use gateless::Quota;
/// use gateless::limit::{FailureLimit, Knowledge, KnownTokens, PeerAddress};
/// use gateless::{PresentationFault, Rejection, Renderer, Wire};
/// use tower::{Layer, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Stands for `auth.handle().clone()` of the authentication further in.
/// struct Nobody;
/// impl KnownTokens for Nobody {
///     fn knows(&self, _: gateless::gate::Head<'_>) -> Knowledge {
///         Knowledge::Unknown
///     }
/// }
/// let limit = FailureLimit::builder(Quota::per_minute(20), Nobody).build()?;
///
/// // An authentication that refuses everybody.
/// let service = limit.layer(tower::service_fn(|_: http::Request<String>| async {
///     let rejection = Rejection::from(PresentationFault::EmptyToken);
///     Ok::<_, std::convert::Infallible>(Renderer::default().render(&rejection, Wire::Http))
/// }));
/// for expected in [400; 20].into_iter().chain([429]) {
///     let mut request = http::Request::new(String::new());
///     request.extensions_mut().insert(PeerAddress("192.0.2.7".parse()?));
///     assert_eq!(service.clone().oneshot(request).await?.status(), expected);
/// }
/// # Ok(())
/// # }
/// ```
///
/// Requests that are under way when the quota is used up are still answered: whoever sends many at once gets as many guesses
/// beyond it as the server handles at the same time from one place. They owe no more than a whole burst for them. Whoever
/// goes away before the answer is counted too, unless their token is known: by the `Authorization` field, as tokens elsewhere
/// are not looked at then. An answer of 503 does not count: it is an outage, and nobody's guess was looked at.
///
/// `known` has to look for tokens where the authentication does, as the handles of our stages do: a token that it does not find is
/// one that is not there, and such requests go on. Where the authentication remembers nothing (`without_token_cache`), no
/// token is known, and whoever shares a place with somebody who guesses waits with them.
///
/// Behind introspection an opaque token that has ended looks like one that never was, so it counts; the same is true of a JWT whose key
/// is gone. A client that renews its tokens in time sends few of them.
///
/// Cloning it, and mounting it in several places, shares what was counted.
#[derive(Clone)]
pub struct FailureLimit(Arc<Live>);

impl FailureLimit {
    /// Allows as many refused credentials from one place as `quota` says. `known` says whose token is known to be good: the
    /// handle of the stage that authenticates, further in.
    pub fn builder(quota: Quota, known: impl KnownTokens) -> FailureLimitBuilder {
        FailureLimitBuilder::new(quota, Box::new(known))
    }
}

gate_layer!(FailureLimit);

impl fmt::Debug for FailureLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FailureLimit").field(&self.0).finish()
    }
}
