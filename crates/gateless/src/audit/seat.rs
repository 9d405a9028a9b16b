//! One request, from its arrival to its record. However it ends, its record is handed over: dropping is one way to end.

use std::sync::Arc;
use std::thread;

use gateless_audit::{EndKind, Outcome};
use gateless_core::{Monotonic, Rejection, Wire};
use http::header::CONTENT_TYPE;
use http::response::Parts;
use http::{Extensions, HeaderMap};
use tokio::sync::oneshot;

use super::Log;
use super::queue::{Message, Written};
use super::trail::{Closing, Ending, Refusal, Trail};
use crate::gate::CredentialFingerprint;

/// The stage of a refusal that no stage of ours has told of: an extractor, or a service of somebody else's.
const HANDLER: &str = "handler";

/// A request that is under way.
pub(super) struct Seat {
    log: Arc<Log>,
    trail: Trail,
    /// Whether there is room for its record for sure.
    is_taken: bool,
    /// Whether its record was not written when its response was to leave: the writer has it still.
    has_waited_in_vain: bool,
    /// Whether the service is at it right now: if it ends like that, it has panicked.
    is_polled: bool,
    progress: Progress,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    UnderWay,
    /// Its record is made when the response has ended.
    Answered,
    /// Its record is on its way; the end of the response may become another.
    Recorded,
    Over,
}

impl Seat {
    pub(super) const fn new(log: Arc<Log>, trail: Trail, is_taken: bool) -> Self {
        Self {
            log,
            trail,
            is_taken,
            has_waited_in_vain: false,
            is_polled: false,
            progress: Progress::UnderWay,
        }
    }

    pub(super) fn log(&self) -> &Arc<Log> {
        &self.log
    }

    pub(super) fn is_head_only(&self) -> bool {
        self.trail.arrival().method == "HEAD"
    }

    pub(super) fn wire(&self) -> Wire {
        self.trail.arrival().wire
    }

    /// Around each call of the service.
    pub(super) const fn polls(&mut self, is_polled: bool) {
        self.is_polled = is_polled;
    }

    /// The response has begun.
    pub(super) fn answered(&mut self, parts: &Parts) {
        let now = self.log.clock.monotonic();
        let grpc_status = grpc_status(&parts.headers);
        let mut facts = self.trail.facts();
        facts.refusal = refusal(facts.refusal.take(), parts, grpc_status);
        let outcome = outcome(facts.refusal.as_ref().map(|refusal| &refusal.rejection));
        facts.closing = Some(Closing {
            at: now,
            outcome,
            status: Some(parts.status.as_u16()),
            grpc_status,
            is_grpc: parts
                .headers
                .get(CONTENT_TYPE)
                .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc")),
            latency_us: self.since_arrival(now),
            end: None,
        });
        drop(facts);
        self.progress = Progress::Answered;
    }

    /// Hands the record over before the response has ended; what comes back says when it is written. `None` when it cannot be
    /// handed over.
    pub(super) fn record(&mut self) -> Option<oneshot::Receiver<Written>> {
        let (written, receiver) = oneshot::channel();
        self.progress = Progress::Recorded;
        self.hand_over(Some(written), false).then_some(receiver)
    }

    /// There is no response: the service has failed.
    pub(super) fn failed(mut self) {
        self.close_without_response(Outcome::Failed);
    }

    /// The response has ended. Of one whose length was known there is nothing more to say, if all of it was handed on.
    pub(super) fn ended(
        mut self,
        how: EndKind,
        sent_bytes: u64,
        grpc_status: Option<u16>,
        is_length_known: bool,
    ) {
        if self.progress == Progress::Recorded && how == EndKind::Complete && is_length_known {
            self.progress = Progress::Over;
        }
        self.end(how, sent_bytes, grpc_status);
    }

    /// The response leaves although its record is not written yet.
    pub(super) const fn waited_in_vain(&mut self) {
        self.has_waited_in_vain = true;
    }

    /// The response does not leave.
    pub(super) fn withheld(mut self) {
        self.end(EndKind::Withheld, 0, None);
    }

    fn end(&mut self, how: EndKind, sent_bytes: u64, grpc_status: Option<u16>) {
        let now = self.log.clock.monotonic();
        let ending = Ending {
            how,
            sent_bytes,
            duration_us: self.since_arrival(now),
        };
        match self.progress {
            Progress::UnderWay | Progress::Over => {}
            Progress::Answered => {
                let mut facts = self.trail.facts();
                if let Some(closing) = &mut facts.closing {
                    closing.at = now;
                    closing.grpc_status = grpc_status.or(closing.grpc_status);
                    closing.end = Some(ending);
                }
                drop(facts);
                self.hand_over(None, true);
            }
            Progress::Recorded => {
                let message = Message::End {
                    trail: self.trail.clone(),
                    ending,
                    grpc_status,
                };
                // Without a seat its request has no record that this could belong to, and is counted.
                if self.is_taken && self.log.queue.push(message) {
                    self.is_taken = false;
                }
            }
        }
        self.progress = Progress::Over;
    }

    fn close_without_response(&mut self, outcome: Outcome) {
        let now = self.log.clock.monotonic();
        self.trail.facts().closing = Some(Closing {
            at: now,
            outcome,
            status: None,
            grpc_status: None,
            is_grpc: false,
            latency_us: self.since_arrival(now),
            end: None,
        });
        self.hand_over(None, true);
        self.progress = Progress::Over;
    }

    /// Whether there was room for the record.
    fn hand_over(&mut self, written: Option<oneshot::Sender<Written>>, is_over: bool) -> bool {
        let queue = &self.log.queue;
        let is_taken = self.is_taken || queue.try_sit().is_ok();
        let message = Message::Request {
            trail: self.trail.clone(),
            written,
            frees_seat: is_over,
        };
        let has_room = is_taken && queue.push(message);
        // Whoever writes it frees the seat.
        self.is_taken = is_taken && !(has_room && is_over);
        if !has_room {
            self.log.lost();
        }
        has_room
    }

    fn leave(&mut self) {
        if !std::mem::take(&mut self.is_taken) {
            return;
        }
        // The seat bounds what the writer has in hand, not only what is under way.
        let is_later = self.has_waited_in_vain && self.log.queue.push(Message::Leave);
        if !is_later {
            self.log.queue.stand_up(1);
        }
    }

    fn since_arrival(&self, now: Monotonic) -> u64 {
        let since = now.since(self.trail.arrival().at);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        match self.progress {
            Progress::UnderWay if self.is_polled || thread::panicking() => {
                self.close_without_response(Outcome::Panicked);
            }
            Progress::UnderWay => self.close_without_response(Outcome::Aborted),
            Progress::Answered | Progress::Recorded => self.end(EndKind::Aborted, 0, None),
            Progress::Over => {}
        }
        self.leave();
    }
}

/// Who refused the request that was answered in this way, if anybody.
///
/// A refused response carries its rejection. Where something in between has made a new one of it, what the stage said counts, unless
/// the new one says that all went well.
fn refusal(noted: Option<Refusal>, parts: &Parts, grpc_status: Option<u16>) -> Option<Refusal> {
    let extensions: &Extensions = &parts.extensions;
    let Some(rejection) = extensions.get::<Rejection>() else {
        let is_well = parts.status.is_success() && grpc_status.unwrap_or(0) == 0;
        return noted.filter(|_| !is_well);
    };
    match noted {
        Some(noted) if noted.rejection == *rejection => Some(noted),
        _ => Some(Refusal {
            stage: HANDLER,
            rejection: rejection.clone(),
            credential: extensions.get::<CredentialFingerprint>().copied(),
        }),
    }
}

const fn outcome(rejection: Option<&Rejection>) -> Outcome {
    match rejection {
        None => Outcome::Allowed,
        Some(Rejection::DependencyUnavailable { .. }) => Outcome::Unavailable,
        Some(Rejection::PipelineMisordered) => Outcome::Failed,
        Some(_) => Outcome::Denied,
    }
}

/// The gRPC status among headers or trailers.
pub(super) fn grpc_status(fields: &HeaderMap) -> Option<u16> {
    fields.get("grpc-status")?.to_str().ok()?.parse().ok()
}
