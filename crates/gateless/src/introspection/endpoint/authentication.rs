//! How this service proves to the authorization server who asks (RFC 7662 §2.1).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gateless_core::{ConfigError, Monotonic, Timestamp};
use gateless_jwt::{Algorithm, KeyError, SigningKey};
use http::HeaderValue;
use reqwest::RequestBuilder;
use serde::Serialize;
use url::form_urlencoded::{self, byte_serialize};
use zeroize::Zeroizing;

use super::secret::{HeldSecret, Secret, SecretText};

/// How long an assertion is good.
const ASSERTION_LIFETIME: Duration = Duration::from_secs(60);

/// How this service proves to the authorization server who asks (RFC 7662 §2.1).
///
/// An endpoint that answers anybody would let anybody try out tokens, so there is no way to ask without. Who the
/// service is at that server is part of what an answer is kept under: another client may get another answer.
///
/// ```
/// use gateless::introspection::{Algorithm, ClientAuthentication, Secret};
///
/// let basic = ClientAuthentication::basic("orders", Secret::file("/run/secrets/introspection"));
/// let signed = ClientAuthentication::private_key_jwt(
///     "orders",
///     Secret::file("/run/secrets/orders.pem"),
///     Algorithm::ES256,
/// );
/// # drop((basic, signed));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientAuthentication {
    client_id: Option<Box<str>>,
    secret: Secret,
    method: Method,
    key_id: Option<Box<str>>,
    assertion_audience: Option<Box<str>>,
}

#[derive(Clone, Copy, Debug)]
enum Method {
    Basic,
    Post,
    PrivateKeyJwt(Algorithm),
    Bearer,
}

impl ClientAuthentication {
    /// `client_secret_basic`: id and secret in the `Authorization` field, each form-encoded first as RFC 6749 §2.3.1
    /// asks. What servers understand unless they say otherwise.
    pub fn basic(client_id: impl Into<Box<str>>, secret: Secret) -> Self {
        Self {
            client_id: Some(client_id.into()),
            secret,
            method: Method::Basic,
            key_id: None,
            assertion_audience: None,
        }
    }

    /// `client_secret_post`: id and secret in the body, for servers that do not read the field.
    pub fn post(client_id: impl Into<Box<str>>, secret: Secret) -> Self {
        Self {
            method: Method::Post,
            ..Self::basic(client_id, secret)
        }
    }

    /// `private_key_jwt` (RFC 7523 §2.2): a short-lived assertion, signed anew for each call with a key that never
    /// leaves this service. `key` is the private key in PEM (PKCS#8), and for `algorithm` alone.
    pub fn private_key_jwt(
        client_id: impl Into<Box<str>>,
        key: Secret,
        algorithm: Algorithm,
    ) -> Self {
        Self {
            method: Method::PrivateKeyJwt(algorithm),
            ..Self::basic(client_id, key)
        }
    }

    /// An access token of this service's own (RFC 7662 §2.1). For one that a task of yours renews there is
    /// [`Secret::callback`].
    pub const fn bearer(token: Secret) -> Self {
        Self {
            client_id: None,
            secret: token,
            method: Method::Bearer,
            key_id: None,
            assertion_audience: None,
        }
    }

    /// Names the key of an assertion (`kid`), for servers that hold several of this client. For
    /// [`private_key_jwt`](Self::private_key_jwt) only.
    pub fn key_id(mut self, id: impl Into<Box<str>>) -> Self {
        self.key_id = Some(id.into());
        self
    }

    /// Whom an assertion is for (`aud`): the issuer by default. Older servers want the address of their token or
    /// introspection endpoint. For [`private_key_jwt`](Self::private_key_jwt) only.
    pub fn assertion_audience(mut self, identifier: impl Into<Box<str>>) -> Self {
        self.assertion_audience = Some(identifier.into());
        self
    }

    pub(in crate::introspection) fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// Checks the settings and makes what proves while serving; `issuer` is whom it proves it to.
    pub(super) fn build(&self, issuer: &str, faults: &mut ConfigError) -> Option<Prover> {
        if self.client_id.as_deref().is_some_and(str::is_empty) {
            faults.add("client_authentication", "has no client id");
        }
        if !matches!(self.method, Method::PrivateKeyJwt(_)) {
            for (setting, value) in [
                ("key_id", &self.key_id),
                ("assertion_audience", &self.assertion_audience),
            ] {
                if value.is_some() {
                    faults.add(setting, "means nothing without private_key_jwt");
                }
            }
        }
        let text = match self.secret.read() {
            Ok(text) => text,
            Err(error) => {
                faults.add(
                    "client_authentication",
                    format!("secret {:?} {error}", self.secret),
                );
                return None;
            }
        };
        let signing = match self.method {
            Method::PrivateKeyJwt(algorithm) => match self.signing_key(&text, algorithm) {
                Ok(key) => Some((Arc::clone(&text), Arc::new(key))),
                Err(error) => {
                    faults.add("client_authentication", format!("key: {error}"));
                    return None;
                }
            },
            Method::Bearer if HeaderValue::from_str(&text).is_err() => {
                faults.add(
                    "client_authentication",
                    "has a token that no field can carry",
                );
                return None;
            }
            _ => None,
        };
        let audience = self.assertion_audience.as_deref().unwrap_or(issuer);
        Some(Prover {
            audience: audience.into(),
            secret: HeldSecret::new(self.secret.clone(), text),
            settings: self.clone(),
            signing: Mutex::new(signing),
        })
    }

    fn signing_key(&self, pem: &str, algorithm: Algorithm) -> Result<SigningKey, KeyError> {
        let key = SigningKey::from_pem(pem.as_bytes(), algorithm)?;
        Ok(match self.key_id.as_deref() {
            Some(id) => key.with_id(id),
            None => key,
        })
    }
}

/// Proves who asks, while serving.
pub(super) struct Prover {
    settings: ClientAuthentication,
    /// Whom assertions are for.
    audience: Box<str>,
    secret: HeldSecret,
    /// The key that was made of the secret last.
    signing: Mutex<Option<(SecretText, Arc<SigningKey>)>>,
}

/// What proves it in one call.
pub(super) struct Proof {
    /// What it was made of.
    pub(super) secret: SecretText,
    field: Field,
}

enum Field {
    Basic {
        user: String,
        password: Zeroizing<String>,
    },
    Bearer,
    Form(Vec<(&'static str, Zeroizing<String>)>),
}

/// The claims of an assertion (RFC 7523 §3).
#[derive(Serialize)]
struct Assertion<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: &'a str,
    iat: i64,
    exp: i64,
}

/// The proof cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::introspection) enum Unprovable {
    #[error("what the secret has become is no private key for the algorithm")]
    Key,
    #[error("what the secret has become cannot be sent as a token")]
    Token,
    #[error("the assertion cannot be signed")]
    Signature,
    #[error("the system has no randomness to give")]
    Randomness,
}

impl Prover {
    /// A proof with the secret as it is now; `refused` is one that was not accepted just before.
    pub(super) async fn prove(
        &self,
        now: Monotonic,
        wall: Timestamp,
        refused: Option<&SecretText>,
    ) -> Result<Proof, Unprovable> {
        let secret = self.secret.get(now, refused).await;
        let id = self.settings.client_id().unwrap_or_default();
        let field = match self.settings.method {
            Method::Basic => Field::Basic {
                user: byte_serialize(id.as_bytes()).collect(),
                password: Zeroizing::new(byte_serialize(secret.as_bytes()).collect()),
            },
            Method::Post => Field::Form(vec![
                ("client_id", Zeroizing::new(id.to_owned())),
                ("client_secret", Zeroizing::clone(&secret)),
            ]),
            Method::PrivateKeyJwt(algorithm) => {
                let key = self.signing_key(&secret, algorithm)?;
                let assertion = Zeroizing::new(assertion(&key, id, &self.audience, wall)?);
                Field::Form(vec![
                    ("client_id", Zeroizing::new(id.to_owned())),
                    (
                        "client_assertion_type",
                        Zeroizing::new(ASSERTION_TYPE.to_owned()),
                    ),
                    ("client_assertion", assertion),
                ])
            }
            Method::Bearer if HeaderValue::from_str(&secret).is_err() => {
                return Err(Unprovable::Token);
            }
            Method::Bearer => Field::Bearer,
        };
        Ok(Proof { secret, field })
    }

    /// The key in the secret, parsed once for as long as that does not change.
    fn signing_key(
        &self,
        secret: &SecretText,
        algorithm: Algorithm,
    ) -> Result<Arc<SigningKey>, Unprovable> {
        let mut held = self.signing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made_of, key)) = &*held
            && Arc::ptr_eq(made_of, secret)
        {
            return Ok(Arc::clone(key));
        }
        let key = self.settings.signing_key(secret, algorithm);
        let key = Arc::new(key.map_err(|_| Unprovable::Key)?);
        *held = Some((Arc::clone(secret), Arc::clone(&key)));
        Ok(key)
    }
}

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn assertion(
    key: &SigningKey,
    client_id: &str,
    audience: &str,
    now: Timestamp,
) -> Result<String, Unprovable> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|_| Unprovable::Randomness)?;
    let claims = Assertion {
        iss: client_id,
        sub: client_id,
        aud: audience,
        jti: &format!("{:032x}", u128::from_be_bytes(id)),
        iat: now.as_secs(),
        exp: now.saturating_add(ASSERTION_LIFETIME).as_secs(),
    };
    key.sign("JWT", &claims).map_err(|_| Unprovable::Signature)
}

impl Proof {
    /// Puts the proof on a request, and into its form.
    pub(super) fn apply(
        &self,
        request: RequestBuilder,
        form: &mut form_urlencoded::Serializer<'_, String>,
    ) -> RequestBuilder {
        match &self.field {
            Field::Basic { user, password } => request.basic_auth(user, Some(&**password)),
            Field::Bearer => request.bearer_auth(&**self.secret),
            Field::Form(pairs) => {
                for (name, value) in pairs {
                    form.append_pair(name, value);
                }
                request
            }
        }
    }
}

impl fmt::Debug for Prover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Prover").field(&self.settings).finish()
    }
}
