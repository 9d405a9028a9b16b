//! Revoking by those who operate the service.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateless_core::{
    ConfigError, Principal, Rejection, Renderer, Requirement, Revocation, Timestamp, TokenDigest,
    TokenFault,
};
use http::{Method, Request, StatusCode};
use http_body::Body;
use http_body_util::Full;
use serde::{Deserialize, Serialize};

use super::super::{DenylistHandle, RevokeError};
use super::answer::{self, Answer};
use super::body;
use crate::gate::{self, Head};

/// A service by which those who may do so revoke things, with `POST`, and take it back, with `DELETE`.
///
/// Behind an authentication layer, at a path of its own. It asks for a requirement by itself, so that it cannot be mounted
/// without.
///
/// The body is a JSON object that names one thing, and the issuer that it is of:
///
/// | member | revokes |
/// |---|---|
/// | `jti` | the token with this id; `exp` says when it ends, in seconds, where that is known |
/// | `token_sha256` | the token without an id with this SHA-256, in hexadecimal |
/// | `sid` | all tokens of the session |
/// | `sub`, `client` | all tokens of the subject or client that were issued until now, or until `issued_until`, in seconds |
/// | `kid` | everything that the key signed |
/// | `issuer` | all tokens of the issuer that were issued until now, or until `issued_until` |
/// | `iss` | the issuer of what the others name; may be left out where only one is configured |
///
/// | answer | when |
/// |---|---|
/// | 200 `{"revoked": "session", "status": "stored"}` | it is revoked, also when it was before |
/// | 202, with `queued` | it is revoked here, and will be elsewhere when the log can be reached |
/// | 400, 413, 415 | the body does not say what is meant; nothing was done |
/// | 401, 403 | whoever asks may not |
/// | 503 | it is **not** revoked: it cannot be stored, or there is no room |
///
/// ```
/// use gateless::denylist::{Denylist, Ephemeral, RevocationApi};
/// use gateless::{OnOutage, scope};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let denylist = Denylist::builder(Ephemeral::new(), OnOutage::FailClosed).build()?;
/// let api = RevocationApi::builder(denylist.handle(), scope!("tokens:revoke"))
///     .issuer("https://idp.example.com")
///     .build()?;
/// // Router::new().route_service("/admin/revocations", api).layer(denylist).layer(auth)
/// # let _ = api;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RevocationApi(Arc<Api>);

struct Api {
    denylist: DenylistHandle,
    requirement: Requirement,
    issuers: Vec<Box<str>>,
    renderer: Renderer,
}

/// Settings of a [`RevocationApi`].
#[derive(Debug)]
#[must_use]
pub struct RevocationApiBuilder(Api);

impl RevocationApi {
    /// Lets callers revoke with `denylist` who meet `requirement`.
    pub fn builder(
        denylist: &DenylistHandle,
        requirement: impl Into<Requirement>,
    ) -> RevocationApiBuilder {
        RevocationApiBuilder(Api {
            denylist: denylist.clone(),
            requirement: requirement.into(),
            issuers: Vec::new(),
            renderer: Renderer::default(),
        })
    }
}

impl RevocationApiBuilder {
    /// An issuer whose tokens can be revoked. At least one is needed: what another one is said to have issued, no token of
    /// this service is of, and somebody believes that something was revoked.
    pub fn issuer(mut self, issuer: impl Into<Box<str>>) -> Self {
        self.0.issuers.push(issuer.into());
        self
    }

    /// How refusals of callers look. Problem details by default.
    pub fn renderer(mut self, renderer: Renderer) -> Self {
        self.0.renderer = renderer;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] without an issuer, or with an empty one.
    pub fn build(self) -> Result<RevocationApi, ConfigError> {
        let mut faults = ConfigError::collect();
        if self.0.issuers.is_empty() {
            faults.add("issuer", "is missing: nothing could be revoked");
        }
        if self.0.issuers.iter().any(|issuer| issuer.is_empty()) {
            faults.add("issuer", "is empty");
        }
        faults.into_result()?;
        Ok(RevocationApi(Arc::new(self.0)))
    }
}

/// The stage that refuses callers.
const NAME: &str = "revocation_api";

/// How far clocks may differ.
const AHEAD: Duration = Duration::from_secs(300);

/// What is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    iss: Option<String>,
    jti: Option<String>,
    token_sha256: Option<String>,
    sid: Option<String>,
    sub: Option<String>,
    client: Option<String>,
    kid: Option<String>,
    issuer: Option<String>,
    exp: Option<i64>,
    issued_until: Option<i64>,
}

impl Asked {
    /// What is meant, or why that cannot be told.
    fn revocation(&self, issuers: &[Box<str>], now: Timestamp) -> Result<Revocation, &'static str> {
        let names = [
            &self.jti,
            &self.token_sha256,
            &self.sid,
            &self.sub,
            &self.client,
            &self.kid,
            &self.issuer,
        ];
        if names.iter().filter(|name| name.is_some()).count() != 1 {
            return Err("name exactly one of jti, token_sha256, sid, sub, client, kid and issuer");
        }
        if names.into_iter().flatten().any(String::is_empty) {
            return Err("a name is empty");
        }
        let named = match (&self.iss, &self.issuer, issuers) {
            (Some(_), Some(_), _) => return Err("iss and issuer name the same thing twice"),
            (Some(issuer), None, _) | (None, Some(issuer), _) => issuer,
            (None, None, [issuer]) => &**issuer,
            (None, None, _) => return Err("iss is missing"),
        };
        if !issuers.iter().any(|issuer| **issuer == *named) {
            return Err("no tokens of this issuer are accepted here");
        }
        let revocation = match self {
            Self { jti: Some(id), .. } => Revocation::token(named, id),
            Self {
                token_sha256: Some(hex),
                ..
            } => {
                let digest = from_hex(hex).ok_or("token_sha256 is not 64 hexadecimal digits")?;
                Revocation::token_digest(named, &TokenDigest::new(digest))
            }
            Self { sid: Some(id), .. } => Revocation::session(named, id),
            Self { sub: Some(id), .. } => Revocation::subject(named, id),
            Self {
                client: Some(id), ..
            } => Revocation::client(named, id),
            Self { kid: Some(id), .. } => Revocation::key(named, id),
            Self { .. } => Revocation::issuer(named),
        };
        let is_token = self.jti.is_some() || self.token_sha256.is_some();
        let revocation = match self.exp {
            Some(_) if !is_token => return Err("exp is for a single token"),
            // Nothing would be remembered, and somebody believes that it was.
            Some(exp) if Timestamp::from_secs(exp) <= now => return Err("exp has passed"),
            Some(exp) => revocation.expires_at(Timestamp::from_secs(exp)),
            None => revocation,
        };
        match self.issued_until {
            Some(_) if !revocation.id().kind().is_watermark() => {
                Err("issued_until is for a subject, a client or an issuer")
            }
            // In milliseconds, say: it would be said of everything for ages, and can only be made later.
            Some(time) if Timestamp::from_secs(time) > now.saturating_add(AHEAD) => {
                Err("issued_until is in the future")
            }
            Some(time) => Ok(revocation.issued_until(Timestamp::from_secs(time))),
            None => Ok(revocation),
        }
    }
}

fn from_hex(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let digits = hex.as_bytes().chunks_exact(2);
    if digits.len() != bytes.len() || !digits.remainder().is_empty() {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(digits) {
        let [high, low] = <[u8; 2]>::try_from(digits)
            .ok()?
            .map(|digit| char::from(digit).to_digit(16));
        *byte = u8::try_from(high? * 16 + low?).ok()?;
    }
    Some(bytes)
}

/// What was done.
#[derive(Serialize)]
struct Done {
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unrevoked: Option<&'static str>,
    status: &'static str,
}

impl Api {
    /// The caller, when they may.
    fn caller<'r>(&self, extensions: &'r http::Extensions) -> Result<&'r Principal, Rejection> {
        let caller = Principal::of(extensions)?;
        // Also where the layer stands elsewhere: nobody takes back what was said of themselves.
        if self.denylist.is_revoked(caller) {
            return Err(TokenFault::Revoked.into());
        }
        self.requirement.check(caller, self.denylist.now())?;
        Ok(caller)
    }

    fn refuse(&self, rejection: &Rejection, head: Head<'_>) -> Answer {
        // The layer that authenticates knows the credentials, and refused none.
        gate::refuse(NAME, &self.renderer, rejection, None, head).map(Full::new)
    }

    async fn answer<B>(&self, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let caller = match self.caller(&parts.extensions) {
            Ok(caller) => caller,
            Err(rejection) => return self.refuse(&rejection, Head::of_parts(&parts)),
        };
        let takes_back = match parts.method {
            Method::POST => false,
            Method::DELETE => true,
            _ => return answer::method_not_allowed("POST, DELETE"),
        };
        let body = match body::read(&parts.headers, body, "application/json").await {
            Ok(body) => body,
            Err(body::Unread(status, why)) => {
                return answer::problem(status, "revocation_invalid", why);
            }
        };
        // What stands in it may be a name, so that it is not said what exactly could not be read.
        let asked = serde_json::from_slice::<Asked>(&body)
            .map_err(|_| "the body is not a JSON object with the members that are asked for");
        let now = self.denylist.now();
        let revocation = asked.and_then(|asked| asked.revocation(&self.issuers, now));
        let revocation = match revocation {
            Ok(revocation) => revocation,
            Err(why) => {
                return answer::problem(StatusCode::BAD_REQUEST, "revocation_invalid", why);
            }
        };
        let (id, kind) = (revocation.id(), revocation.id().kind().name());
        tracing::warn!(
            name: "gateless.denylist.asked",
            ?id,
            takes_back,
            by_issuer = caller.issuer(),
            by = ?caller.revocation_ids().subjects().next(),
            by_client = ?caller.revocation_ids().client(),
            "somebody with the permission changes the denylist"
        );
        let (changed, revoked, unrevoked) = if takes_back {
            (self.denylist.unrevoke(id).await, None, Some(kind))
        } else {
            (self.denylist.revoke(&revocation).await, Some(kind), None)
        };
        match changed {
            Ok(appended) => {
                let (code, status) = answer::reach(appended);
                let done = Done {
                    revoked,
                    unrevoked,
                    status,
                };
                answer::json(code, "application/json", &done)
            }
            Err(error) => refused(&error),
        }
    }
}

/// Nothing was done, and that must not be overlooked.
fn refused(error: &RevokeError) -> Answer {
    // The reason may name a server.
    let detail = match error {
        RevokeError::NotStored(_) => "the change cannot be stored at the moment".to_owned(),
        error => error.to_string(),
    };
    let status = StatusCode::SERVICE_UNAVAILABLE;
    answer::later(answer::problem(status, answer::code(error), &detail))
}

inlet!(RevocationApi);

impl fmt::Debug for RevocationApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RevocationApi").field(&self.0).finish()
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("requirement", &self.requirement)
            .field("issuers", &self.issuers)
            .finish_non_exhaustive()
    }
}
