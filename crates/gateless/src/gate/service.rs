//! The service behind a gate, or behind a row of them: readiness, cloning, waiting and bodies.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::Verdict;
use super::row::{Company, Progress, Refusal, Refuser, Row, Walk};
use crate::body::GateBody;

/// A service behind a gate.
#[derive(Clone, Debug)]
pub struct Gated<S, G> {
    inner: S,
    gate: G,
}

impl<S, G> Gated<S, G> {
    /// Puts `gate` in front of `inner`.
    #[must_use]
    pub const fn new(inner: S, gate: G) -> Self {
        Self { inner, gate }
    }
}

impl<S, G, ReqBody, ResBody> Service<Request<ReqBody>> for Gated<S, G>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    G: Row,
{
    type Response = Response<GateBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, G, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let mut walk = Walk::default();
        let state = match walk.on(&self.gate, &mut request) {
            Progress::Through => State::Forward {
                future: self.inner.call(request),
                company: walk.company(),
            },
            Progress::Refused(refusal) => State::Refuse {
                refusal: Some(refusal),
            },
            Progress::Waits(wait, refuser) => {
                // `poll_ready` prepared *this* instance, not a clone of it: the prepared one goes into the future,
                // the clone stays behind to be polled again.
                let clone = self.inner.clone();
                let held = Held {
                    prepared: mem::replace(&mut self.inner, clone),
                    row: self.gate.clone(),
                    walk,
                    request,
                    refuser,
                };
                State::Wait {
                    wait,
                    held: Some(Box::new(held)),
                }
            }
        };
        ResponseFuture { state }
    }
}

pin_project! {
    /// The response of a [`Gated`] service.
    pub struct ResponseFuture<S, G, ReqBody>
    where
        S: Service<Request<ReqBody>>,
        G: Row,
    {
        #[pin]
        state: State<S, G, ReqBody>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, G, ReqBody>
    where
        S: Service<Request<ReqBody>>,
        G: Row,
    {
        Forward { #[pin] future: S::Future, company: Company },
        Refuse { refusal: Option<Box<Refusal>> },
        Wait { #[pin] wait: G::Wait, held: Option<Box<Held<S, G, ReqBody>>> },
    }
}

/// A request that waits for a decision, with the service that was made ready for it. Boxed: next to waiting that is
/// nothing, and it keeps the future of every other request small.
struct Held<S, G, ReqBody> {
    prepared: S,
    row: G,
    walk: Walk,
    request: Request<ReqBody>,
    refuser: Refuser,
}

impl<S, G: Row, ReqBody> Held<S, G, ReqBody> {
    /// The wait is over.
    fn go_on(&mut self, verdict: Verdict) -> Progress<G::Wait> {
        let Self {
            row, walk, request, ..
        } = self;
        match verdict {
            Ok(pass) => {
                walk.pass(pass, request);
                walk.on(row, request)
            }
            Err(rejection) => Progress::Refused(walk.refused(&self.refuser, &rejection, request)),
        }
    }
}

impl<S, G, ReqBody, ResBody> Future for ResponseFuture<S, G, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    G: Row,
{
    type Output = Result<Response<GateBody<ResBody>>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let next = match self.as_mut().project().state.project() {
                StateProjection::Forward { future, company } => {
                    let response = ready!(future.poll(cx))?;
                    let (response, escort) = mem::take(company).see_off(response);
                    let response = response.map(|body| GateBody::inner(body, escort));
                    return Poll::Ready(Ok(response));
                }
                StateProjection::Refuse { refusal } => {
                    let refusal = refusal.take().expect("polled after it was ready");
                    let Refusal { response, escort } = *refusal;
                    let response = response.map(|body| GateBody::refusal(body, escort));
                    return Poll::Ready(Ok(response));
                }
                StateProjection::Wait { wait, held } => {
                    let verdict = ready!(wait.poll(cx));
                    let held = held.take();
                    let mut held = held.expect("the state changes when the wait is over");
                    match held.go_on(verdict) {
                        Progress::Through => {
                            let mut held = *held;
                            State::Forward {
                                future: held.prepared.call(held.request),
                                company: held.walk.company(),
                            }
                        }
                        Progress::Refused(refusal) => State::Refuse {
                            refusal: Some(refusal),
                        },
                        Progress::Waits(wait, refuser) => {
                            held.refuser = refuser;
                            State::Wait {
                                wait,
                                held: Some(held),
                            }
                        }
                    }
                }
            };
            self.as_mut().project().state.set(next);
        }
    }
}

impl<S, G, ReqBody> fmt::Debug for ResponseFuture<S, G, ReqBody>
where
    S: Service<Request<ReqBody>>,
    G: Row,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
