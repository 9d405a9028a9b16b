//! Gates in a row behind one service: a request goes from one to the next, and is moved but once.

use std::future::Future;
use std::mem;

use bytes::Bytes;
use gateless_core::{Rejection, Renderer};
use http::{Request, Response};

use super::{
    CredentialFingerprint, Escort, Gate, Head, Pass, ResponseHead, ResponseHeaders, Step, Verdict,
    refuse,
};
use crate::notes::Notes;

/// One gate, or several: each decides where the one before let through.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand in front of a service",
    label = "is no gate that can be cloned",
    note = "it has to implement `Gate`, and `Clone`: a request that waits takes the gates behind along"
)]
pub trait Row: Clone {
    /// What any of them may wait for.
    type Wait: Future<Output = Verdict>;

    /// What the gate at `position` decides; `None` behind the last one.
    fn decide(&self, position: usize, head: Head<'_>) -> Option<Decided<Self::Wait>>;
}

/// What one of them decided.
#[derive(Debug)]
pub enum Decided<W> {
    Passes(Pass),
    Refuses(Rejection, Refuser),
    /// Whoever refuses then is known before the wait: settings may change meanwhile.
    Waits(W, Refuser),
}

impl<W> Decided<W> {
    pub(crate) fn by<G: Gate<Wait = W>>(gate: &G, head: Head<'_>) -> Self {
        match gate.decide(head) {
            Step::Now(Ok(pass)) => Self::Passes(pass),
            Step::Now(Err(rejection)) => Self::Refuses(rejection, Refuser::of(gate, head)),
            Step::Wait(wait) => Self::Waits(wait, Refuser::of(gate, head)),
        }
    }
}

/// Whoever refuses, and how.
#[derive(Debug)]
pub struct Refuser {
    stage: &'static str,
    renderer: Renderer,
    fingerprint: Option<CredentialFingerprint>,
}

impl Refuser {
    fn of<G: Gate>(gate: &G, head: Head<'_>) -> Self {
        Self {
            stage: G::NAME,
            renderer: gate.renderer(),
            fingerprint: gate.fingerprint(head),
        }
    }
}

impl<G: Gate + Clone> Row for G {
    type Wait = G::Wait;

    fn decide(&self, position: usize, head: Head<'_>) -> Option<Decided<G::Wait>> {
        (position == 0).then(|| Decided::by(self, head))
    }
}

/// How far a request came.
pub(super) enum Progress<W> {
    /// Past all of them.
    Through,
    /// To one that refused it.
    Refused(Box<Refusal>),
    /// To one that has to wait.
    Waits(W, Refuser),
}

/// A request on its way along a row.
#[derive(Default)]
pub(super) struct Walk {
    position: usize,
    company: Company,
}

impl Walk {
    /// Goes on until a gate holds the request up.
    pub(super) fn on<R: Row, B>(&mut self, row: &R, request: &mut Request<B>) -> Progress<R::Wait> {
        Notes::of(request.extensions()).routed(Head::of(request));
        while let Some(decided) = row.decide(self.position, Head::of(request)) {
            match decided {
                Decided::Passes(pass) => self.pass(pass, request),
                Decided::Refuses(rejection, refuser) => {
                    return Progress::Refused(self.refused(&refuser, &rejection, request));
                }
                Decided::Waits(wait, refuser) => return Progress::Waits(wait, refuser),
            }
        }
        Progress::Through
    }

    /// The gate at hand lets the request through.
    pub(super) fn pass<B>(&mut self, pass: Pass, request: &mut Request<B>) {
        self.position += 1;
        self.company.join(pass.apply(request));
    }

    /// The gate at hand does not.
    pub(super) fn refused<B>(
        &mut self,
        refuser: &Refuser,
        rejection: &Rejection,
        request: &Request<B>,
    ) -> Box<Refusal> {
        let Refuser {
            stage,
            ref renderer,
            fingerprint,
        } = *refuser;
        let head = Head::of(request);
        let response = refuse(stage, renderer, rejection, fingerprint, head);
        let (response, escort) = mem::take(&mut self.company).see_off(response);
        Box::new(Refusal { response, escort })
    }

    /// What goes along with the request from here on.
    pub(super) fn company(self) -> Company {
        self.company
    }
}

/// A refusal, and whoever goes along with its body.
pub(super) struct Refusal {
    pub(super) response: Response<Bytes>,
    pub(super) escort: Option<Box<dyn Escort>>,
}

/// What the gates that a request passed have to do with its response.
#[derive(Default)]
pub(super) struct Company {
    headers: ResponseHeaders,
    escort: Option<Box<dyn Escort>>,
}

impl Company {
    /// As if each had a service of its own: whoever is further in sees the response first.
    fn join(&mut self, (headers, escort): (ResponseHeaders, Option<Box<dyn Escort>>)) {
        // Nearly always there is neither.
        if !headers.is_empty() {
            let outer = mem::replace(&mut self.headers, headers);
            self.headers.extend(outer);
        }
        if escort.is_some() {
            self.escort = both(escort, self.escort.take());
        }
    }

    /// The response has begun.
    pub(super) fn see_off<B>(
        self,
        mut response: Response<B>,
    ) -> (Response<B>, Option<Box<dyn Escort>>) {
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        let escort = self.escort.and_then(|escort| {
            escort.answered(ResponseHead {
                status: response.status(),
                headers: response.headers(),
                extensions: response.extensions(),
            })
        });
        (response, escort)
    }
}

fn both(inner: Option<Box<dyn Escort>>, outer: Option<Box<dyn Escort>>) -> Option<Box<dyn Escort>> {
    match (inner, outer) {
        (Some(inner), Some(outer)) => Some(Box::new(Both { inner, outer })),
        (one, None) | (None, one) => one,
    }
}

/// Two that go along.
struct Both {
    inner: Box<dyn Escort>,
    outer: Box<dyn Escort>,
}

impl Escort for Both {
    fn answered(self: Box<Self>, response: ResponseHead<'_>) -> Option<Box<dyn Escort>> {
        let inner = self.inner.answered(response);
        both(inner, self.outer.answered(response))
    }
}
