//! The revocation endpoint of a service that issues tokens itself (RFC 7009).

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use gateless_core::{AccessToken, Principal, Rejection, Revocation, TokenFault};
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body::Body;
use zeroize::Zeroizing;

use super::super::DenylistHandle;
use super::answer::{self, Answer};
use super::body;
use super::form::{self, Form};
use crate::verifier::TokenVerifier;

/// What a client says to prove who it is.
pub struct ClientCredentials {
    client_id: String,
    secret: Option<Zeroizing<String>>,
}

impl ClientCredentials {
    /// The client's id.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Its secret; `None` for a public client. Compare it in constant time, or by a slow hash.
    #[must_use]
    pub fn secret(&self) -> Option<&str> {
        self.secret.as_deref().map(String::as_str)
    }
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials").finish_non_exhaustive()
    }
}

/// A service at which clients give back their own access tokens (RFC 7009), for whoever issues them too.
///
/// `POST` with a form: `token`, and the client's credentials by Basic or in the form (RFC 6749 §2.3.1).
///
/// | answer | when |
/// |---|---|
/// | 200 | the token is revoked, or will never be good (§2.2) |
/// | 400 `invalid_request` | no token, a parameter twice, credentials in two places |
/// | 400 `unauthorized_client` | the token is another client's |
/// | 400 `unsupported_token_type` | it is said to be a refresh token, and is no access token; or it is one that `verifier` does not accept, for another audience, say |
/// | 401 `invalid_client` | the client did not prove who it is |
/// | 503 with `Retry-After` | the token is **not** revoked: nobody can tell whose it is, or it is not good yet, or it cannot be stored (§2.2.1) |
///
/// So that a client can give back all of its tokens, `verifier` accepts every audience that they are made for.
///
/// ```
/// use gateless::OnOutage;
/// use gateless::denylist::{ClientCredentials, Denylist, Ephemeral, RevocationEndpoint};
/// # use gateless::bearer::{BearerAuth, Keys, TokenPolicy};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let auth = BearerAuth::builder(
/// #     TokenPolicy::new("https://idp.example.com", "https://api.example.com"),
/// #     Keys::discovery(OnOutage::FailClosed),
/// # ).build()?;
/// /// Looks a client up where the service keeps them.
/// async fn is_client(credentials: ClientCredentials) -> bool {
///     // For the sketch: a real one compares a hash of the secret.
///     credentials.client_id() == "web" && credentials.secret() == Some("the client's secret")
/// }
///
/// let denylist = Denylist::builder(Ephemeral::new(), OnOutage::FailClosed).build()?;
/// let issuer = "https://idp.example.com"; // this service itself
/// let endpoint = RevocationEndpoint::builder(denylist.handle(), issuer, auth.handle().clone(), is_client)
///     .revokes_session()
///     .build();
/// // Router::new().route_service("/revoke", endpoint)
/// # let _ = endpoint;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RevocationEndpoint(Arc<Revoker>);

/// Settings of a [`RevocationEndpoint`].
#[must_use]
pub struct RevocationEndpointBuilder(Revoker);

type Authentication = Pin<Box<dyn Future<Output = bool> + Send>>;

struct Revoker {
    denylist: DenylistHandle,
    issuer: Box<str>,
    verifier: Box<dyn TokenVerifier>,
    is_client: Box<dyn Fn(ClientCredentials) -> Authentication + Send + Sync>,
    revokes_session: bool,
}

impl RevocationEndpoint {
    /// Revokes with `denylist` what `verifier` takes for a token of `issuer`, for clients that `is_client` says yes to. A
    /// client of another issuer may have the same name.
    pub fn builder<F>(
        denylist: &DenylistHandle,
        issuer: impl Into<Box<str>>,
        verifier: impl TokenVerifier,
        is_client: impl Fn(ClientCredentials) -> F + Send + Sync + 'static,
    ) -> RevocationEndpointBuilder
    where
        F: Future<Output = bool> + Send + 'static,
    {
        RevocationEndpointBuilder(Revoker {
            denylist: denylist.clone(),
            issuer: issuer.into(),
            verifier: Box::new(verifier),
            is_client: Box::new(move |credentials| Box::pin(is_client(credentials))),
            revokes_session: false,
        })
    }
}

impl RevocationEndpointBuilder {
    /// Revokes all tokens of the token's session (`sid`), where it has one (RFC 7009 §2.1). Only the token by default.
    pub fn revokes_session(mut self) -> Self {
        self.0.revokes_session = true;
        self
    }

    /// Makes the service.
    #[must_use]
    pub fn build(self) -> RevocationEndpoint {
        RevocationEndpoint(Arc::new(self.0))
    }
}

impl fmt::Debug for RevocationEndpointBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationEndpointBuilder")
            .field("revokes_session", &self.0.revokes_session)
            .finish_non_exhaustive()
    }
}

impl Revoker {
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
            Ok(body) => Zeroizing::new(body.to_vec()),
            Err(body::Unread(status, _)) => return answer::oauth_error(status, "invalid_request"),
        };
        match self.revoke(&parts.headers, &body).await {
            Ok(()) => answer::empty(StatusCode::OK),
            Err(refused) => refused,
        }
    }

    async fn revoke(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Answer> {
        let invalid = || answer::oauth_error(StatusCode::BAD_REQUEST, "invalid_request");
        let form = Form::parse(body).ok_or_else(invalid)?;
        let credentials = credentials(headers, &form).map_err(|fault| match fault {
            Fault::Ambiguous => invalid(),
            Fault::Unusable => answer::invalid_client(),
        })?;
        let client_id = credentials.client_id.clone();
        if !(self.is_client)(credentials).await {
            return Err(answer::invalid_client());
        }
        let token = form.get("token").ok_or_else(invalid)?;
        let caller = match self.verifier.verify(AccessToken::new(token)).await {
            Ok(caller) => caller,
            Err(rejection) => match fate(&rejection) {
                Fate::Unknown => return Err(unavailable()),
                Fate::Elsewhere => return Err(unsupported()),
                Fate::Dead if form.get("token_type_hint") == Some("refresh_token") => {
                    return Err(unsupported());
                }
                // There is nothing left to revoke (RFC 7009 §2.2).
                Fate::Dead => return Ok(()),
            },
        };
        if caller.client_id() != Some(&*client_id) || caller.issuer() != &*self.issuer {
            let status = StatusCode::BAD_REQUEST;
            return Err(answer::oauth_error(status, "unauthorized_client"));
        }
        let revocations = self.revocations(&caller);
        if revocations.is_empty() {
            return Err(unavailable());
        }
        let revoked = self.denylist.revoke_all(&revocations).await;
        revoked.map(drop).map_err(|_| unavailable())
    }

    fn revocations(&self, caller: &Principal) -> Vec<Revocation> {
        let session = caller
            .session_id()
            .filter(|_| self.revokes_session)
            .map(|session| Revocation::session(caller.issuer(), session));
        Revocation::this_token(caller)
            .into_iter()
            .chain(session)
            .collect()
    }
}

/// What becomes of a token that is not accepted.
enum Fate {
    /// It will never be accepted by anybody.
    Dead,
    /// It may be good for another service.
    Elsewhere,
    /// It may be good later, or is good and nobody can tell.
    Unknown,
}

fn fate(rejection: &Rejection) -> Fate {
    use TokenFault::{
        AnswerInvalid, ClaimsInvalid, Encrypted, Expired, HeaderInvalid, Inactive, IssuedInFuture,
        KeyUnknown, Malformed, NotYetValid, Revoked, SignatureInvalid,
    };
    match rejection {
        Rejection::DependencyUnavailable { .. }
        | Rejection::TokenInvalid(AnswerInvalid | KeyUnknown | NotYetValid | IssuedInFuture) => {
            Fate::Unknown
        }
        // Nobody takes these for a token, or none does any more.
        Rejection::TokenInvalid(
            Malformed | Encrypted | HeaderInvalid | ClaimsInvalid | SignatureInvalid | Expired
            | Inactive | Revoked,
        ) => Fate::Dead,
        // What this service asks for, another one may not.
        _ => Fate::Elsewhere,
    }
}

fn unsupported() -> Answer {
    answer::oauth_error(StatusCode::BAD_REQUEST, "unsupported_token_type")
}

fn unavailable() -> Answer {
    let answer = answer::oauth_error(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable");
    answer::later(answer)
}

/// Why a client cannot be asked about.
enum Fault {
    /// More than one way at once (RFC 6749 §2.3).
    Ambiguous,
    /// None, or one that cannot be read.
    Unusable,
}

/// Who the client says that it is.
fn credentials(headers: &HeaderMap, form: &Form<'_>) -> Result<ClientCredentials, Fault> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let in_form = (form.get("client_id"), form.get("client_secret"));
    match (fields.next(), fields.next(), in_form) {
        (Some(_), Some(_), _) | (Some(_), _, (_, Some(_))) => Err(Fault::Ambiguous),
        (Some(field), None, (in_form, None)) => {
            let credentials = basic(field.as_bytes()).ok_or(Fault::Unusable)?;
            match in_form {
                Some(client_id) if client_id != credentials.client_id => Err(Fault::Ambiguous),
                _ => Ok(credentials),
            }
        }
        (None, _, (Some(client_id), secret)) => Ok(ClientCredentials {
            client_id: client_id.to_owned(),
            secret: secret.map(|secret| Zeroizing::new(secret.to_owned())),
        }),
        (None, _, (None, _)) => Err(Fault::Unusable),
    }
}

/// RFC 7617, with both parts form-encoded (RFC 6749 §2.3.1).
fn basic(field: &[u8]) -> Option<ClientCredentials> {
    let (scheme, credentials) = field.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = Zeroizing::new(STANDARD.decode(credentials.trim_ascii()).ok()?);
    let (client_id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(ClientCredentials {
        client_id: form::decode(client_id)?,
        secret: Some(Zeroizing::new(form::decode(secret)?)),
    })
}

inlet!(RevocationEndpoint);

impl fmt::Debug for RevocationEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationEndpoint")
            .field("revokes_session", &self.0.revokes_session)
            .finish_non_exhaustive()
    }
}
