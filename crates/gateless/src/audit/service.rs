//! The service of the audit layer: it decides nothing, unless there is no room for a record.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use gateless_core::{Dependency, Rejection, Wire};
use http::{Method, Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::arrival::Arrival;
use super::backpressure::Backpressure;
use super::body::AuditBody;
use super::queue::Written;
use super::seat::Seat;
use super::trail::Trail;
use super::{AuditLog, Log};
use crate::body::GateBody;
use crate::gate::{self, Head};

/// The stage, in refusals.
const NAME: &str = "audit";

/// When to try again: nobody knows when a disk has room again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A service whose requests are recorded.
#[derive(Clone, Debug)]
pub struct Audited<S> {
    inner: S,
    log: AuditLog,
}

impl<S> Audited<S> {
    pub(super) const fn new(inner: S, log: AuditLog) -> Self {
        Self { inner, log }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Audited<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<AuditBody<ResBody>>;
    type Error = S::Error;
    type Future = AuditFuture<S, ReqBody, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        // A layer further out records this request already.
        if Trail::of(request.extensions()).is_some() {
            return AuditFuture::forward(self.inner.call(request), None);
        }
        let log = &self.log.0;
        match log.admit() {
            Admission::Seated(is_taken) => {
                let seat = log.seat(&mut request, is_taken);
                AuditFuture::forward(self.inner.call(request), Some(seat))
            }
            Admission::Refused => AuditFuture::refuse(log, &request),
            Admission::Wait(at_most) => {
                let clone = self.inner.clone();
                let prepared = mem::replace(&mut self.inner, clone);
                AuditFuture {
                    state: State::Queue {
                        wait: wait_for_seat(Arc::clone(log), at_most),
                        held: Some(Box::new((prepared, request))),
                        standing: Standing(Some(Arc::clone(log))),
                    },
                }
            }
        }
    }
}

/// Whether there is room for the record of a request.
enum Admission {
    /// Yes, and whether that is for sure.
    Seated(bool),
    /// Not yet.
    Wait(Duration),
    /// No.
    Refused,
}

impl Log {
    fn admit(&self) -> Admission {
        let queue = &self.queue;
        match self.backpressure {
            Backpressure::DropAndCount => Admission::Seated(false),
            Backpressure::FailRequest if queue.is_down() => Admission::Refused,
            _ if queue.is_closed() => Admission::Refused,
            policy => match (queue.try_sit(), policy) {
                (Ok(()), _) => Admission::Seated(true),
                (Err(_), Backpressure::Block(at_most)) => Admission::Wait(at_most),
                (Err(_), _) => Admission::Refused,
            },
        }
    }

    fn seat<B>(self: &Arc<Self>, request: &mut Request<B>, is_taken: bool) -> Seat {
        let head = Head::of(request);
        let peer = self.locator.prefix(head);
        let trail = Trail::new(Arrival::new(head, peer, self.clock.monotonic()));
        trail.routed(head);
        request.extensions_mut().insert(trail.clone());
        Seat::new(Arc::clone(self), trail, is_taken)
    }
}

/// A request that waits for a seat. When nobody waits for it any more it was not served, and that is counted.
struct Standing(Option<Arc<Log>>);

impl Drop for Standing {
    fn drop(&mut self) {
        if let Some(log) = &self.0 {
            log.not_served();
        }
    }
}

/// Whether a seat was found in time.
type WaitForSeat = Pin<Box<dyn Future<Output = bool> + Send>>;

fn wait_for_seat(log: Arc<Log>, at_most: Duration) -> WaitForSeat {
    Box::pin(async move { within(at_most, log.queue.sit()).await.unwrap_or(false) })
}

/// What became of the record of a response that waits.
type WaitForWriter = Pin<Box<dyn Future<Output = Written> + Send>>;

/// `None` when the time is over. Without a runtime there is no time, and the wait has no end.
async fn within<T>(at_most: Duration, wait: impl Future<Output = T>) -> Option<T> {
    if at_most == Duration::MAX || tokio::runtime::Handle::try_current().is_err() {
        return Some(wait.await);
    }
    tokio::time::timeout(at_most, wait).await.ok()
}

pin_project! {
    /// The response of an [`Audited`] service.
    pub struct AuditFuture<S, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S, ReqBody, ResBody>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>>,
    {
        Forward { #[pin] future: S::Future, seat: Option<Seat> },
        Refuse { response: Option<Response<Bytes>> },
        Queue { wait: WaitForSeat, held: Option<Box<(S, Request<ReqBody>)>>, standing: Standing },
        Flush { wait: WaitForWriter, held: Option<Box<Waiting<ResBody>>> },
    }
}

/// A response that waits for its record.
struct Waiting<B> {
    response: Response<B>,
    seat: Seat,
    wire: Wire,
}

impl<S, ReqBody, ResBody> AuditFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
{
    const fn forward(future: S::Future, seat: Option<Seat>) -> Self {
        Self {
            state: State::Forward { future, seat },
        }
    }

    fn refuse(log: &Log, request: &Request<ReqBody>) -> Self {
        Self {
            state: State::refuse(log, request),
        }
    }
}

impl<S, ReqBody, ResBody> State<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
{
    fn refuse(log: &Log, request: &Request<ReqBody>) -> Self {
        log.not_served();
        let mut response = log.unavailable(Wire::of(request.headers()));
        if request.method() == Method::HEAD {
            gate::leave_out_the_body(&mut response);
        }
        Self::Refuse {
            response: Some(response),
        }
    }
}

impl Log {
    fn unavailable(&self, wire: Wire) -> Response<Bytes> {
        let rejection = Rejection::DependencyUnavailable {
            dependency: Dependency::Audit,
            retry_after: RETRY_AFTER,
        };
        gate::note_refusal(NAME, &rejection);
        self.renderer.render(&rejection, wire)
    }
}

impl<S, ReqBody, ResBody> Future for AuditFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
{
    type Output = Result<Response<AuditBody<ResBody>>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let next = match self.as_mut().project().state.project() {
                StateProjection::Forward { future, seat } => {
                    let answer = ready!(future.poll(cx));
                    let seat = seat.take();
                    let response = match answer {
                        Ok(response) => response,
                        Err(error) => {
                            if let Some(seat) = seat {
                                seat.failed();
                            }
                            return Poll::Ready(Err(error));
                        }
                    };
                    match answered(response, seat) {
                        Answered::Leaves(response) => return Poll::Ready(Ok(response)),
                        Answered::Waits(wait, held) => State::Flush {
                            wait,
                            held: Some(held),
                        },
                    }
                }
                StateProjection::Refuse { response } => {
                    let response = response.take().expect("polled after it was ready");
                    let response =
                        response.map(|body| AuditBody::new(GateBody::refusal(body), None));
                    return Poll::Ready(Ok(response));
                }
                StateProjection::Queue {
                    wait,
                    held,
                    standing,
                } => {
                    let is_seated = ready!(wait.as_mut().poll(cx));
                    let held = held.take();
                    let (mut prepared, mut request) =
                        *held.expect("the state changes when the wait is over");
                    let log = standing.0.take();
                    let log = log.expect("the state changes when the wait is over");
                    if is_seated {
                        let seat = Some(log.seat(&mut request, true));
                        let future = prepared.call(request);
                        State::Forward { future, seat }
                    } else {
                        State::refuse(&log, &request)
                    }
                }
                StateProjection::Flush { wait, held } => {
                    let written = ready!(wait.as_mut().poll(cx));
                    let held = held.take();
                    let held = *held.expect("the state changes when the wait is over");
                    return Poll::Ready(Ok(held.conclude(written)));
                }
            };
            self.as_mut().project().state.set(next);
        }
    }
}

enum Answered<B> {
    Leaves(Response<AuditBody<B>>),
    Waits(WaitForWriter, Box<Waiting<B>>),
}

/// What happens to a response that has come out.
fn answered<B: Body<Data = Bytes>>(response: Response<B>, seat: Option<Seat>) -> Answered<B> {
    let (parts, body) = response.into_parts();
    let Some(mut seat) = seat else {
        let body = AuditBody::new(GateBody::inner(body, None), None);
        return Answered::Leaves(Response::from_parts(parts, body));
    };
    seat.answered(&parts);
    let written = seat.log().waits.then(|| seat.record()).flatten();
    let Some(written) = written else {
        let body = AuditBody::new(GateBody::inner(body, None), Some(seat));
        return Answered::Leaves(Response::from_parts(parts, body));
    };
    let wait: WaitForWriter = match seat.log().backpressure {
        Backpressure::Block(at_most) => Box::pin(async move {
            let written = within(at_most, written).await;
            written.and_then(Result::ok).unwrap_or(Written::No)
        }),
        _ => Box::pin(async move { written.await.unwrap_or(Written::No) }),
    };
    let wire = seat.wire();
    let response = Response::from_parts(parts, body);
    Answered::Waits(
        wait,
        Box::new(Waiting {
            response,
            seat,
            wire,
        }),
    )
}

impl<B: Body<Data = Bytes>> Waiting<B> {
    fn conclude(self, written: Written) -> Response<AuditBody<B>> {
        let Self {
            response,
            seat,
            wire,
        } = self;
        let log = Arc::clone(seat.log());
        if written == Written::No && log.backpressure != Backpressure::DropAndCount {
            seat.withheld();
            log.not_served();
            let response = log.unavailable(wire);
            return response.map(|body| AuditBody::new(GateBody::refusal(body), None));
        }
        response.map(|body| AuditBody::new(GateBody::inner(body, None), Some(seat)))
    }
}

impl<S, ReqBody, ResBody> fmt::Debug for AuditFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditFuture").finish_non_exhaustive()
    }
}
