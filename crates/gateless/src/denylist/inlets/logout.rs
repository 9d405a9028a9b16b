//! What an OpenID provider posts when somebody has signed out (OpenID Connect Back-Channel Logout 1.0).

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateless_core::{Clock, ConfigError, RevocationId, RevocationRecord, TokenFault};
use gateless_jwt::{KeySet, LogoutPolicy, LogoutToken, Unverified};
use http::header::RETRY_AFTER;
use http::{Method, Request, StatusCode};
use http_body::Body;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::super::{DenylistHandle, RevocationList};
use super::answer::{self, Answer};
use super::body;
use super::form::Form;
use crate::bearer::KeysUnavailable;
use crate::clock::SystemClock;
use crate::keys::{KeyStatus, KeyStore, Keys, Lack, Search, Standing};

/// How many tokens of one issuer wait at a time for a key that is not there. Anybody can post such a token.
const MAX_WAITING: usize = 16;
/// How long others wait until they may.
const PATIENCE: Duration = Duration::from_secs(1);
/// When to come again, where nothing better is known.
const PAUSE: Duration = Duration::from_secs(5);
/// How many ids of tokens are remembered: 16 sign-outs a second, when each token is good for ten minutes and more.
const MAX_SEEN: usize = 16 * 1024;

/// A service at which OpenID providers say that somebody has signed out: back-channel logout.
///
/// `POST` with a form that has one `logout_token`. The address is registered at the provider, as the
/// `backchannel_logout_uri` of the client that the [`LogoutPolicy`] names. It needs no layer in front of it: the token is
/// signed, with a key of its issuer, and revokes only what is of that issuer.
///
/// It revokes the session that the token names (`sid`), or what its subject was given until then where it names none.
/// With `backchannel_logout_session_required`, providers name it.
///
/// | answer | when |
/// |---|---|
/// | 200 | it is revoked, or was by this token before |
/// | 400 `invalid_request` | there is no token, or something is wrong with it: nobody is told what (§2.8) |
/// | 405, 408, 413, 415 | there is no form |
/// | 503 with `Retry-After` | it is **not** revoked: keys cannot be had, it cannot be stored, or there is too much to do |
///
#[cfg_attr(feature = "jwks", doc = "```")]
#[cfg_attr(not(feature = "jwks"), doc = "```ignore")]
/// use std::time::Duration;
///
/// use gateless::OnOutage;
/// use gateless::bearer::Keys;
/// use gateless::denylist::{BackchannelLogout, Denylist, Ephemeral, LogoutPolicy};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let denylist = Denylist::builder(Ephemeral::new(), OnOutage::FailClosed).build()?;
/// let policy = LogoutPolicy::new("https://idp.example.com", "orders-web");
/// let keys = Keys::discovery(OnOutage::StaleFor(Duration::from_secs(3600)));
/// let logout = BackchannelLogout::builder(denylist.handle(), policy, keys).build()?;
/// // Router::new().route_service("/backchannel-logout", logout)
/// # let _ = logout;
/// # Ok(())
/// # }
/// ```
///
/// # Replays
///
/// A token that comes again is answered 200 and does nothing, also when [`unrevoke`](DenylistHandle::unrevoke) took back
/// what it did. Each process remembers that on its own, for as long as the token is good. Where more tokens come than it
/// can remember, one that comes again revokes again: nobody is let in by that.
#[derive(Clone)]
pub struct BackchannelLogout(Arc<Inbox>);

/// Settings of a [`BackchannelLogout`].
#[must_use]
pub struct BackchannelLogoutBuilder {
    denylist: DenylistHandle,
    issuers: Vec<(LogoutPolicy, Keys)>,
    clock: Arc<dyn Clock>,
}

struct Inbox {
    denylist: DenylistHandle,
    issuers: Vec<Issuer>,
    clock: Arc<dyn Clock>,
    /// The tokens that are dealt with.
    seen: RevocationList,
}

struct Issuer {
    policy: LogoutPolicy,
    keys: Arc<KeyStore>,
    waiting: Semaphore,
}

impl BackchannelLogout {
    /// Revokes with `denylist` what tokens say that `policy` accepts, and that one of `keys` signed.
    pub fn builder(
        denylist: &DenylistHandle,
        policy: LogoutPolicy,
        keys: Keys,
    ) -> BackchannelLogoutBuilder {
        BackchannelLogoutBuilder {
            denylist: denylist.clone(),
            issuers: vec![(policy, keys)],
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// Waits until the keys of every issuer were fetched once. Serving works without it.
    ///
    /// # Errors
    ///
    /// [`KeysUnavailable`] with the issuers whose keys could not be had. The service goes on trying.
    pub async fn ready(&self) -> Result<(), KeysUnavailable> {
        let mut issuers = Vec::new();
        for issuer in &self.0.issuers {
            if !issuer.keys.warm_up().await {
                issuers.push(issuer.policy.issuer().to_owned());
            }
        }
        if issuers.is_empty() {
            Ok(())
        } else {
            Err(KeysUnavailable { issuers })
        }
    }

    /// How the keys of each issuer stand, in the order of the configuration.
    #[must_use]
    pub fn key_status(&self) -> Vec<KeyStatus> {
        let issuers = self.0.issuers.iter();
        issuers.map(|issuer| issuer.keys.status()).collect()
    }
}

impl BackchannelLogoutBuilder {
    /// Takes the tokens of one more issuer. Each has its own keys and its own policy, and revokes only what is its own.
    pub fn issuer(mut self, policy: LogoutPolicy, keys: Keys) -> Self {
        self.issuers.push((policy, keys));
        self
    }

    /// Where the time comes from. The system's clock by default.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Checks all settings and makes the service. Nothing is fetched yet; a file with keys is read.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every setting that cannot be used.
    pub fn build(self) -> Result<BackchannelLogout, ConfigError> {
        let Self {
            denylist,
            issuers,
            clock,
        } = self;
        let mut faults = ConfigError::collect();
        let mut built: Vec<Issuer> = Vec::new();
        let mut names: Vec<Box<str>> = Vec::new();
        for (policy, keys) in issuers {
            if names.iter().any(|name| **name == *policy.issuer()) {
                faults.add("issuer", format!("{} is configured twice", policy.issuer()));
                continue;
            }
            names.push(policy.issuer().into());
            if let Err(error) = policy.check() {
                faults.merge(error);
            }
            match keys.build((&policy).into(), Arc::clone(&clock)) {
                Ok(store) => built.push(Issuer {
                    policy,
                    keys: Arc::new(store),
                    waiting: Semaphore::new(MAX_WAITING),
                }),
                Err(error) => faults.merge(error),
            }
        }
        faults.into_result()?;
        Ok(BackchannelLogout(Arc::new(Inbox {
            denylist,
            issuers: built,
            clock,
            seen: RevocationList::new(MAX_SEEN),
        })))
    }
}

/// Why nobody is signed out.
enum Fault {
    /// The request is no good.
    Request,
    /// The token is no good.
    Token(TokenFault),
    /// Not the token's fault: it may be perfectly good.
    Unavailable { retry_after: Duration },
}

impl From<TokenFault> for Fault {
    fn from(fault: TokenFault) -> Self {
        Self::Token(fault)
    }
}

impl Inbox {
    async fn answer<B>(&self, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        if parts.method != Method::POST {
            return answer::method_not_allowed("POST");
        }
        let media_type = "application/x-www-form-urlencoded";
        let body = match body::read(&parts.headers, body, media_type).await {
            Ok(body) => body,
            Err(body::Unread(status, _)) => return answer::oauth_error(status, "invalid_request"),
        };
        let fault = match self.sign_out(&body).await {
            Ok(()) => return answer::empty(StatusCode::OK),
            Err(fault) => fault,
        };
        let code = match fault {
            Fault::Request => "request_invalid",
            Fault::Token(fault) => fault.code(),
            Fault::Unavailable { .. } => "unavailable",
        };
        tracing::debug!(
            name: "gateless.denylist.logout_refused",
            code,
            "nobody is signed out"
        );
        match fault {
            // The same for all of them: whoever tries tokens learns nothing.
            Fault::Request | Fault::Token(_) => {
                answer::oauth_error(StatusCode::BAD_REQUEST, "invalid_request")
            }
            Fault::Unavailable { retry_after } => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                let mut answer = answer::oauth_error(status, "temporarily_unavailable");
                let seconds = retry_after.as_millis().div_ceil(1000).max(1);
                let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
                answer.headers_mut().insert(RETRY_AFTER, seconds.into());
                answer
            }
        }
    }

    async fn sign_out(&self, body: &[u8]) -> Result<(), Fault> {
        let form = Form::parse(body).ok_or(Fault::Request)?;
        let token = form.get("logout_token").ok_or(Fault::Request)?;
        let token = self.verify(token).await?;
        let id = RevocationId::token(token.issuer(), token.token_id());
        if self.seen.contains(id, self.clock.wall()) {
            return Ok(());
        }
        let revocations = token.revocations();
        let revoked = self.denylist.revoke_all(&revocations).await;
        revoked.map_err(|_| Fault::Unavailable { retry_after: PAUSE })?;
        for revocation in &revocations {
            tracing::info!(
                name: "gateless.denylist.signed_out",
                issuer = token.issuer(),
                id = ?revocation.id(),
                "somebody has signed out"
            );
        }
        // Only now: one that could not be stored has to work when it comes again. Where there is no room, it revokes again.
        let record = RevocationRecord::new(id, None, token.good_until());
        let _ = self.seen.revoke(&record, self.clock.wall());
        Ok(())
    }

    /// Reads a token, with newer keys of its issuer where those at hand do not fit.
    async fn verify(&self, token: &str) -> Result<LogoutToken, Fault> {
        let issuer = self.issuer_of(token)?;
        // Who needs no other key does not queue behind those who do.
        if let Attempt::Decided(decided) = self.attempt(issuer, token) {
            return decided.map_err(Fault::from);
        }
        let Ok(Ok(_turn)) = timeout(PATIENCE, issuer.waiting.acquire()).await else {
            return Err(Fault::Unavailable { retry_after: PAUSE });
        };
        let mut search = Search::within(issuer.keys.timeout());
        loop {
            let lack = match self.attempt(issuer, token) {
                Attempt::Decided(decided) => return decided.map_err(Fault::from),
                Attempt::Lacks(lack) => lack,
            };
            if let Err(not_found) = search.newer(&issuer.keys, lack).await {
                // A layer that authenticates goes by what the issuer published a while ago. Here the answer is final, and
                // somebody would stay signed in: only keys that were fetched for this token count.
                return Err(if not_found.is_certain() && not_found.has_fetched {
                    TokenFault::KeyUnknown.into()
                } else {
                    let retry_after = not_found.retry_after;
                    Fault::Unavailable { retry_after }
                });
            }
        }
    }

    fn issuer_of(&self, token: &str) -> Result<&Issuer, TokenFault> {
        let unverified = Unverified::parse(token)?;
        let mut issuers = self.issuers.iter();
        issuers
            .find(|issuer| issuer.policy.issuer() == unverified.issuer())
            .ok_or(TokenFault::IssuerUnknown)
    }

    fn attempt(&self, issuer: &Issuer, token: &str) -> Attempt {
        let (held, standing) = issuer.keys.usable();
        let has_keys = standing != Standing::Missing;
        // Without any key it still shows whether a key would help.
        let none = KeySet::default();
        let keys = if has_keys { &held.keys } else { &none };
        let verified = LogoutToken::verify(token, keys, &issuer.policy, self.clock.wall());
        let lacks_key = matches!(verified, Err(TokenFault::KeyUnknown));
        if lacks_key && (issuer.keys.can_fetch() || !has_keys) {
            let version = held.version;
            return Attempt::Lacks(match has_keys {
                true => Lack::Key { version },
                false => Lack::Keys,
            });
        }
        issuer.keys.used(standing);
        Attempt::Decided(verified)
    }
}

/// What the keys at hand say about a token.
enum Attempt {
    Decided(Result<LogoutToken, TokenFault>),
    /// Newer keys may decide.
    Lacks(Lack),
}

inlet!(BackchannelLogout);

impl fmt::Debug for BackchannelLogout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuers: Vec<_> = (self.0.issuers.iter())
            .map(|issuer| issuer.policy.issuer())
            .collect();
        f.debug_struct("BackchannelLogout")
            .field("issuers", &issuers)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for BackchannelLogoutBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackchannelLogoutBuilder")
            .field("issuers", &self.issuers)
            .finish_non_exhaustive()
    }
}
