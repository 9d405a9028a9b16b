//! One service for all stages that decide: readiness, waiting, forwarding and refusing, written once.
//!
//! A stage is a [`Gate`]: it looks at the [`Head`] of a request and takes a [`Step`]. It never sees a body, so its
//! code is compiled once however many services it wraps, and can be tested without a runtime. [`Gated`] does the rest.
//!
//! ```
//! use std::future::Ready;
//!
//! use gateless::gate::{Gate, Gated, Head, Pass, Step, Verdict};
//! use gateless::{Principal, PrincipalKind, Rejection, TokenFault};
//!
//! /// Lets nobody but clients in: a gate of your own, next to those of gateless.
//! #[derive(Clone)]
//! struct ClientsOnly;
//!
//! impl Gate for ClientsOnly {
//!     const NAME: &'static str = "clients_only";
//!     type Wait = Ready<Verdict>;
//!
//!     fn decide(&self, head: Head<'_>) -> Step<Self::Wait> {
//!         Step::Now(Principal::of(head.extensions).and_then(|principal| match principal.kind() {
//!             PrincipalKind::Client => Ok(Pass::new()),
//!             _ => Err(Rejection::TokenInvalid(TokenFault::ClientNotAllowed)),
//!         }))
//!     }
//! }
//!
//! impl<S> tower_layer::Layer<S> for ClientsOnly {
//!     type Service = Gated<S, Self>;
//!
//!     fn layer(&self, inner: S) -> Self::Service {
//!         Gated::new(inner, self.clone())
//!     }
//! }
//! ```

/// Makes the layer of a gate: a copy of it in front of each service.
macro_rules! gate_layer {
    ($gate:ty) => {
        impl<S> tower_layer::Layer<S> for $gate {
            type Service = crate::gate::Gated<S, Self>;

            fn layer(&self, inner: S) -> Self::Service {
                crate::gate::Gated::new(inner, self.clone())
            }
        }
    };
}

mod row;
mod service;

use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::mem;
#[cfg(any(feature = "bearer", feature = "limit"))]
use std::pin::Pin;
use std::sync::{LazyLock, Once};

use bytes::Bytes;
use gateless_core::{Anonymous, Principal, Rejection, Renderer, Wire};
use http::header::{AUTHORIZATION, CONTENT_LENGTH};
use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri,
};

#[cfg(feature = "stack")]
pub(crate) use self::row::{Decided, Row};
pub use self::service::{Gated, ResponseFuture};
use crate::notes::Notes;

/// Decides on requests.
#[diagnostic::on_unimplemented(
    message = "`{Self}` decides on no requests",
    label = "is no gate",
    note = "implement `decide` of `gateless::gate::Gate` for it"
)]
pub trait Gate {
    /// The stage's stable name, for logs and metrics.
    const NAME: &'static str;

    /// A decision that has to wait for something, such as a key set or a remote store.
    type Wait: Future<Output = Verdict>;

    /// Decides on the spot whenever it can.
    fn decide(&self, head: Head<'_>) -> Step<Self::Wait>;

    /// What tells the credentials of a request from others, for whoever counts refusals further out. `None` where there
    /// are none, and by default: only a stage that reads credentials knows where they stand.
    fn fingerprint(&self, head: Head<'_>) -> Option<CredentialFingerprint> {
        let _ = head;
        None
    }

    /// What turns this stage's rejections into responses. Problem details by default.
    fn renderer(&self) -> Renderer {
        Renderer::default()
    }
}

/// What a gate sees of a request: everything but the body.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target.
    pub uri: &'a Uri,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// What the server and earlier stages left behind.
    pub extensions: &'a Extensions,
}

impl<'a> Head<'a> {
    /// The head of `request`.
    #[must_use]
    pub fn of<B>(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }

    /// The head of a request that was taken apart.
    #[cfg(feature = "denylist")]
    pub(crate) const fn of_parts(parts: &'a http::request::Parts) -> Self {
        Self {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
            extensions: &parts.extensions,
        }
    }
}

impl fmt::Debug for Head<'_> {
    /// Without query and header values: tokens travel there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("method", self.method)
            .field("path", &self.uri.path())
            .finish_non_exhaustive()
    }
}

/// How a gate came to its decision.
#[derive(Debug)]
pub enum Step<W> {
    /// Decided: the hot path. Nothing is boxed or cloned.
    Now(Verdict),
    /// The decision has to wait.
    Wait(W),
}

/// A decision that waits for the network. Boxed: next to that it is nothing.
#[cfg(any(feature = "bearer", feature = "limit"))]
pub(crate) type BoxedWait = Pin<Box<dyn Future<Output = Verdict> + Send>>;

/// The decision.
pub type Verdict = Result<Pass, Rejection>;

/// A request may go on, and what changes about it on the way.
#[derive(Default)]
#[must_use]
pub struct Pass {
    identity: Identity,
    /// Apart, as most requests have none and a pass is moved a few times.
    changes: Option<Box<Changes>>,
    escort: Option<Box<dyn Escort>>,
}

#[derive(Debug, Default)]
struct Changes {
    strips_credentials: bool,
    stripped: Vec<HeaderName>,
    sensitive: Vec<HeaderName>,
    response_headers: ResponseHeaders,
    extensions: Extensions,
}

/// What is added to a response.
type ResponseHeaders = Vec<(HeaderName, HeaderValue)>;

#[derive(Debug, Default)]
enum Identity {
    #[default]
    Unchanged,
    Known(Principal),
    Anonymous,
}

impl Pass {
    /// The request goes on as it is.
    pub fn new() -> Self {
        Self::default()
    }

    /// The request goes on as that of `principal`, in place of any that was there.
    ///
    /// Its `Authorization` field is marked as sensitive, so that it stays out of debug output.
    pub fn authenticated(principal: Principal) -> Self {
        Self {
            identity: Identity::Known(principal),
            ..Self::default()
        }
    }

    /// The request goes on without an identity, and any that was there is removed.
    pub fn anonymous() -> Self {
        Self {
            identity: Identity::Anonymous,
            ..Self::default()
        }
    }

    /// Takes the credentials off the request, so that nothing behind this stage can hand them on.
    pub fn strip_credentials(mut self) -> Self {
        self.changes().strips_credentials = true;
        self
    }

    /// Takes a header field off the request.
    pub fn strip_header(mut self, name: HeaderName) -> Self {
        self.changes().stripped.push(name);
        self
    }

    /// Marks a header field of the request as sensitive, so that it stays out of debug output.
    pub fn sensitive_header(mut self, name: HeaderName) -> Self {
        self.changes().sensitive.push(name);
        self
    }

    /// Adds a header field to the response, next to those that it has.
    pub fn response_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.changes().response_headers.push((name, value));
        self
    }

    /// Leaves `value` in the extensions of the request.
    pub fn extension<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.changes().extensions.insert(value);
        self
    }

    /// Sends `escort` along with the request.
    pub fn escort(mut self, escort: Box<dyn Escort>) -> Self {
        self.escort = Some(escort);
        self
    }

    fn changes(&mut self) -> &mut Changes {
        self.changes.get_or_insert_default()
    }

    /// Changes the request; what remains is for the response.
    fn apply<B>(self, request: &mut Request<B>) -> (ResponseHeaders, Option<Box<dyn Escort>>) {
        let escort = self.escort;
        match self.identity {
            Identity::Unchanged => {}
            Identity::Known(principal) => {
                Notes::of(request.extensions()).identified(Some(&principal));
                if let Some(credentials) = request.headers_mut().get_mut(AUTHORIZATION) {
                    credentials.set_sensitive(true);
                }
                principal.attach(request.extensions_mut());
            }
            Identity::Anonymous => {
                Notes::of(request.extensions()).identified(None);
                Anonymous::attach(request.extensions_mut());
            }
        }
        let Some(changes) = self.changes.map(|changes| *changes) else {
            return (ResponseHeaders::new(), escort);
        };
        request.extensions_mut().extend(changes.extensions);
        if changes.strips_credentials {
            request.headers_mut().remove(AUTHORIZATION);
        }
        for name in &changes.sensitive {
            // Every value: a request may have several `Cookie` fields.
            for (field, value) in request.headers_mut() {
                value.set_sensitive(value.is_sensitive() || field == name);
            }
        }
        for name in &changes.stripped {
            request.headers_mut().remove(name);
        }
        (changes.response_headers, escort)
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass")
            .field("identity", &self.identity)
            .field("changes", &self.changes)
            .field("is_escorted", &self.escort.is_some())
            .finish()
    }
}

/// Goes along with a request that passed, and sees how it ends. Dropped when the response has ended, when the service behind
/// the gate fails, or when nobody waits for the response any more.
pub trait Escort: Send + Sync + 'static {
    /// The response has begun. Whoever returns itself goes along with the body too, and is dropped at its end.
    fn answered(self: Box<Self>, response: ResponseHead<'_>) -> Option<Box<dyn Escort>>;
}

/// What an [`Escort`] sees of a response: everything but the body.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ResponseHead<'a> {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// What the stages further in left behind: the [`Rejection`] of one that refused, above all.
    pub extensions: &'a Extensions,
}

/// Tells the credentials of a refused request from others, and nothing about them.
///
/// Whoever refuses credentials leaves it in the extensions of the response. It is a hash under a key of this process that
/// nobody knows (SipHash), so that two are the same by chance only, and means nothing outside.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CredentialFingerprint(u64);

impl CredentialFingerprint {
    /// Of credentials as they came.
    #[must_use]
    pub fn of(credentials: &[u8]) -> Self {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self(KEY.hash_one(credentials))
    }
}

#[cfg(feature = "audit")]
impl CredentialFingerprint {
    /// For a record: it means nothing without the key, which nobody has, and ends with the process.
    pub(crate) fn hex(self) -> String {
        format!("{:016x}", self.0)
    }
}

impl fmt::Debug for CredentialFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialFingerprint([redacted])")
    }
}

/// Counts a refusal, and tells whoever listens.
pub(crate) fn note_refusal(stage: &'static str, rejection: &Rejection) {
    crate::metrics::refused(stage, rejection);
    tracing::debug!(
        name: "gateless.refused",
        stage,
        code = rejection.code(),
        reason = rejection.reason(),
        "request refused"
    );
}

/// Refuses a request, for whoever decides: counts and tells it, notes it for the record, and says so in the protocol of the
/// request.
pub(crate) fn refuse(
    stage: &'static str,
    renderer: &Renderer,
    rejection: &Rejection,
    fingerprint: Option<CredentialFingerprint>,
    head: Head<'_>,
) -> Response<Bytes> {
    note_refusal(stage, rejection);
    let notes = Notes::of(head.extensions);
    notes.routed(head);
    notes.refused(stage, rejection, fingerprint);
    if *rejection == Rejection::PipelineMisordered {
        log_misordered(stage);
    }
    let mut response = renderer.render(rejection, Wire::of(head.headers));
    if let Some(fingerprint) = fingerprint {
        response.extensions_mut().insert(fingerprint);
    }
    if *head.method == Method::HEAD {
        leave_out_the_body(&mut response);
    }
    response
}

/// Once for a process: a deployment fault shows with every request.
#[cold]
fn log_misordered(stage: &'static str) {
    static LOG: Once = Once::new();
    LOG.call_once(|| {
        tracing::error!(
            name: "gateless.misordered",
            stage,
            "a stage did not find what an earlier one leaves behind: an authenticated caller, or the address of the peer"
        );
    });
}

/// An answer to `HEAD` has none (RFC 9110 §9.3.2), and the length that it would have. In HTTP/2 hyper leaves that to the
/// service, and axum to services on a route.
pub(crate) fn leave_out_the_body(response: &mut Response<Bytes>) {
    let body = mem::take(response.body_mut());
    let length = HeaderValue::from(body.len());
    response.headers_mut().insert(CONTENT_LENGTH, length);
}
