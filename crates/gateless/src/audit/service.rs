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
use http::header::RETRY_AFTER as RETRY_AFTER_FIELD;
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

/// How long a response waits for its record where no other time was chosen. A sink that needs longer hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// A service whose requests are recorded.
#[derive(Clone, Debug)]
pub struct Audited<S> {
    inner: S,
    /// `None` in a stack without records.
    log: Option<AuditLog>,
}

impl<S> Audited<S> {
    pub(crate) const fn new(inner: S, log: Option<AuditLog>) -> Self {
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
        let Some(AuditLog(log)) = &self.log else {
            return AuditFuture::forward(self.inner.call(request), None);
        };
        // A layer of the same log further out records this request already.
        let trail = Trail::of(request.extensions());
        if trail.is_some_and(|trail| trail.is_under_way_at(log.boot)) {
            return AuditFuture::forward(self.inner.call(request), None);
        }
        match log.admit() {
            Admission::Seated(is_taken) => {
                let mut seat = log.seat(&mut request, is_taken);
                seat.polls(true);
                let future = self.inner.call(request);
                seat.polls(false);
                AuditFuture::forward(future, Some(seat))
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
            _ if queue.is_closing() => Admission::Refused,
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
        let trail = Trail::new(self.boot, Arrival::new(head, peer, self.clock.monotonic()));
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
pub(super) async fn within<T>(at_most: Duration, wait: impl Future<Output = T>) -> Option<T> {
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
type Waiting<B> = (Response<B>, Seat);

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
                    if let Some(seat) = seat {
                        seat.polls(true);
                    }
                    let answer = future.poll(cx);
                    if let Some(seat) = seat {
                        seat.polls(false);
                    }
                    let answer = ready!(answer);
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
                        response.map(|body| AuditBody::unwatched(GateBody::refusal(body, None)));
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
                        let mut seat = log.seat(&mut request, true);
                        seat.polls(true);
                        let future = prepared.call(request);
                        seat.polls(false);
                        State::Forward {
                            future,
                            seat: Some(seat),
                        }
                    } else {
                        State::refuse(&log, &request)
                    }
                }
                StateProjection::Flush { wait, held } => {
                    let written = ready!(wait.as_mut().poll(cx));
                    let held = held.take();
                    let (response, seat) = *held.expect("the state changes when the wait is over");
                    return Poll::Ready(Ok(conclude(response, seat, written)));
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
    let Some(mut seat) = seat else {
        let response = response.map(|body| AuditBody::unwatched(GateBody::inner(body, None)));
        return Answered::Leaves(response);
    };
    let (parts, body) = response.into_parts();
    seat.answered(&parts);
    let response = Response::from_parts(parts, body);
    let log = Arc::clone(seat.log());
    // Nobody would wait for long, and be told nothing.
    let waits_in_vain = log.backpressure == Backpressure::DropAndCount && log.queue.is_down();
    if !log.waits || waits_in_vain {
        return Answered::Leaves(watched(response, seat));
    }
    let Some(written) = seat.record() else {
        return Answered::Leaves(conclude(response, seat, Written::No));
    };
    let at_most = match log.backpressure {
        Backpressure::Block(at_most) => at_most,
        _ => PATIENCE,
    };
    let wait = Box::pin(async move {
        match within(at_most, written).await {
            Some(written) => written.unwrap_or(Written::No),
            // It does not even say that it fails. Until it has written something, it has.
            None => {
                log.queue.set_down(true);
                Written::No
            }
        }
    });
    Answered::Waits(wait, Box::new((response, seat)))
}

/// A response that leaves, and whose end is recorded.
fn watched<B: Body<Data = Bytes>>(response: Response<B>, seat: Seat) -> Response<AuditBody<B>> {
    let (parts, body) = response.into_parts();
    let body = AuditBody::new(&parts, GateBody::inner(body, None), seat);
    Response::from_parts(parts, body)
}

/// What becomes of a response when it is known what became of its record.
fn conclude<B: Body<Data = Bytes>>(
    response: Response<B>,
    mut seat: Seat,
    written: Written,
) -> Response<AuditBody<B>> {
    let log = Arc::clone(seat.log());
    if written == Written::Yes {
        return watched(response, seat);
    }
    if log.backpressure == Backpressure::DropAndCount {
        seat.waited_in_vain();
        return watched(response, seat);
    }
    let (wire, is_head_only) = (seat.wire(), seat.is_head_only());
    seat.withheld();
    let mut response = log.unavailable(wire);
    // The request was carried out: whoever sends it again has it carried out twice.
    response.headers_mut().remove(RETRY_AFTER_FIELD);
    if is_head_only {
        gate::leave_out_the_body(&mut response);
    }
    response.map(|body| AuditBody::unwatched(GateBody::refusal(body, None)))
}

impl<S, ReqBody, ResBody> fmt::Debug for AuditFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditFuture").finish_non_exhaustive()
    }
}
