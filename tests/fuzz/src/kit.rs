//! An issuer with one fixed key, a clock that stands still, and what a layer answers.

use std::collections::HashSet;
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use gateless::Principal;
use gateless::bearer::{Algorithm, BearerAuth, BearerAuthBuilder, KeySet, Keys, TokenPolicy};
use gateless_core::{Clock, Monotonic, Timestamp};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use tower::{Layer, Service, ServiceExt as _, service_fn};

pub(crate) const ISSUER: &str = "https://idp.example.com";
pub(crate) const AUDIENCE: &str = "https://api.example.com";
pub(crate) const NOW: i64 = 1_750_000_000;
/// How far a clock may be off, by default.
pub(crate) const LEEWAY: f64 = 30.0;

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[7; 32]));

/// The public half, as it stands in a set of keys.
pub(crate) fn public() -> String {
    URL_SAFE_NO_PAD.encode(KEY.verifying_key().as_bytes())
}

pub(crate) fn jwks() -> Value {
    json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "k1", "x": public()}]})
}

pub(crate) fn keys() -> &'static KeySet {
    static KEYS: LazyLock<KeySet> =
        LazyLock::new(|| policy().read_keys(jwks().to_string().as_bytes()).unwrap());
    &KEYS
}

pub(crate) fn policy() -> TokenPolicy {
    TokenPolicy::new(ISSUER, AUDIENCE).algorithms([Algorithm::EdDSA])
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_secs(NOW)
}

/// A JWS of any bytes, with a good signature.
pub(crate) fn sign(header: &[u8], payload: &[u8]) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", encode(header), encode(payload));
    let signature = KEY.sign(signed.as_bytes()).to_bytes();
    format!("{signed}.{}", encode(&signature))
}

pub(crate) fn header(typ: &str) -> Vec<u8> {
    json!({"alg": "EdDSA", "typ": typ, "kid": "k1"})
        .to_string()
        .into_bytes()
}

pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "user-1",
        "client_id": "client-1",
        "jti": "token-1",
        "iat": NOW - 10,
        "exp": NOW + 300,
        "scope": "orders:read orders:write",
    })
}

/// The claims with some set otherwise.
pub(crate) fn claims_with(changes: Value) -> Value {
    let mut claims = claims();
    let Value::Object(changes) = changes else {
        panic!("no object");
    };
    claims.as_object_mut().unwrap().extend(changes);
    claims
}

/// The tokens that are good.
pub(crate) fn good_tokens() -> &'static [String] {
    static GOOD: LazyLock<Vec<String>> = LazyLock::new(|| {
        let client = json!({"sub": "client-1", "aud": [AUDIENCE, "https://other.example.com"]});
        [claims(), claims_with(client)]
            .iter()
            .map(|claims| sign(&header("at+jwt"), claims.to_string().as_bytes()))
            .collect()
    });
    &GOOD
}

/// It stands.
#[derive(Debug)]
pub(crate) struct Still;

impl Clock for Still {
    fn wall(&self) -> Timestamp {
        now()
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_start(Duration::ZERO)
    }
}

pub(crate) fn auth() -> BearerAuthBuilder {
    BearerAuth::builder(policy(), Keys::fixed(keys().clone())).clock(Arc::new(Still))
}

/// A document in the plain reading of another parser: `None` where it is none, or where a member stands twice in an object.
///
/// `serde_json::Value` alone takes the last of two, and would agree with whoever takes the last, too.
pub(crate) fn plain(data: &[u8]) -> Option<Value> {
    let value = serde_json::from_slice(data).ok()?;
    // It is JSON: outside of strings a brace is a brace, and the string before a colon is a name.
    let (mut objects, mut text, mut at) = (Vec::new(), &data[..0], 0);
    while at < data.len() {
        let begin = at;
        match data[at] {
            b'"' => {
                at += 1;
                while data[at] != b'"' {
                    at += if data[at] == b'\\' { 2 } else { 1 };
                }
                text = &data[begin..=at];
            }
            b'{' => objects.push(HashSet::new()),
            b'}' => drop(objects.pop()),
            b':' => {
                let name: String = serde_json::from_slice(text).unwrap();
                if !objects.last_mut().unwrap().insert(name) {
                    return None;
                }
            }
            _ => {}
        }
        at += 1;
    }
    Some(value)
}

/// The same document with a member twice: first with this value, and where it stands as it is.
pub(crate) fn twice(document: &Value, name: &str, value: &Value) -> String {
    let name = Value::from(name);
    document
        .to_string()
        .replacen('{', &format!("{{{name}:{value},"), 1)
}

/// What comes of a future that has nothing to wait for.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("it waits for something"),
    }
}

/// What a layer answered, and whom it let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A service that answers with the subject of its caller, and says which it is.
type Whoami = tower::util::ServiceFn<
    fn(Request<Full<Bytes>>) -> Ready<Result<Response<Full<Bytes>>, Infallible>>,
>;

/// The header field by which a caller is told from a refusal.
pub(crate) const CALLER: &str = "x-caller";

pub(crate) fn whoami() -> Whoami {
    service_fn(|request| {
        let caller = Principal::optional(request.extensions()).ok().flatten();
        let caller = caller.and_then(Principal::subject).unwrap_or_default();
        let mut response = Response::new(Full::new(Bytes::copy_from_slice(caller.as_bytes())));
        response
            .headers_mut()
            .insert(CALLER, http::HeaderValue::from_static("1"));
        ready(Ok(response))
    })
}

/// Sends a request through a layer that decides on the spot.
pub(crate) fn send<L, B>(layer: &L, request: Request<Full<Bytes>>) -> Answer
where
    L: Layer<Whoami>,
    L::Service: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let response = at_once(layer.layer(whoami()).oneshot(request)).unwrap();
    let (parts, body) = response.into_parts();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: at_once(body.collect()).unwrap().to_bytes(),
    }
}

impl Answer {
    /// The caller that got through.
    pub(crate) fn caller(&self) -> Option<&str> {
        let got_through = self.headers.contains_key(CALLER);
        got_through.then(|| std::str::from_utf8(&self.body).unwrap())
    }
}
