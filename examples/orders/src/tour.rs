//! The guided tour: requests that show what the layers do, printed to be pasted or sent and judged.
//!
//! A step is written once; [`print_guide`] turns it into a command line, [`run`] sends it and holds the answer
//! against what is expected.

mod answer;
mod client;
mod guide;
mod records;
mod steps;

use std::borrow::Cow;
use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

use gateless::audit::{AuditHandle, SealPublicKey};
use gateless_testkit::{Fault, TestIssuer};

use self::answer::{Answer, Expected};
use self::client::Client;
pub use self::guide::print_guide;
use crate::config::Limits;

/// One request and the answer that it has to get.
#[derive(Debug)]
struct Step {
    title: &'static str,
    call: Call,
    /// One bearer token for each `Authorization` field.
    tokens: Vec<String>,
    expected: Expected,
}

#[derive(Clone, Debug)]
enum Call {
    Get(&'static str),
    /// Path and JSON body.
    Post(&'static str, Cow<'static, str>),
    /// The same again and again, until it is too much, but no more often than that.
    Flood(&'static str, u32),
    /// Each time with another token that was made up, until it is too much, but no more often than that.
    Guess(&'static str, u32),
    GrpcList,
    /// Of one item.
    GrpcCreate(&'static str),
}

/// A service to be toured.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whose tokens it trusts.
    pub issuer: &'a TestIssuer,
    /// What they are meant for.
    pub audience: &'a str,
    /// How much is too much.
    pub limits: Limits,
}

/// What it records.
#[derive(Clone, Copy, Debug)]
pub struct Log<'a> {
    /// The file that they are in.
    pub records: &'a Path,
    /// Who has signed them.
    pub seal: &'a SealPublicKey,
    /// Who writes them.
    pub audit: &'a AuditHandle,
}

/// Goes through the tour, and prints each answer; then looks at what was recorded of it.
///
/// True when all of them were right.
///
/// # Errors
///
/// When `out` cannot be written to.
pub async fn run(subject: Subject<'_>, log: Log<'_>, out: &mut impl Write) -> io::Result<bool> {
    let Subject {
        address,
        issuer,
        audience,
        limits,
    } = subject;
    let mut tour = Tour {
        client: Client::new(address),
        out,
        sent: 0,
        right: 0,
    };
    let opaque = steps::opaque_token(issuer, audience);
    for step in steps::standing(issuer, audience, &opaque) {
        tour.take(&step).await?;
    }
    for step in steps::revocation(issuer, audience) {
        tour.take(&step).await?;
    }
    issuer.set_introspection_fault(Fault::Status(503));
    for step in steps::outage(opaque, issuer, audience) {
        tour.take(&step).await?;
    }
    issuer.clear_fault();
    // Signed before, sent after: this one the service knew how to verify.
    let orphan = steps::withdrawn_key(issuer, audience);
    let rotating = issuer.clone();
    tokio::task::spawn_blocking(move || rotating.rotate()).await?;
    tour.take(&steps::new_key(issuer, audience)).await?;
    tour.take(&orphan).await?;
    // At the end: whoever has guessed for long enough has to wait before anything new is looked at.
    for step in steps::limits(issuer, audience, limits) {
        tour.take(&step).await?;
    }
    tour.look_at(log).await?;

    let Tour {
        out, sent, right, ..
    } = tour;
    writeln!(out, "{right} of {sent} answers were right")?;
    Ok(right == sent)
}

struct Tour<'o, W> {
    client: Client,
    out: &'o mut W,
    sent: u32,
    right: u32,
}

impl<W: Write> Tour<'_, W> {
    /// The last step: what was recorded of all that, and whether it can be trusted.
    async fn look_at(&mut self, log: Log<'_>) -> io::Result<()> {
        let asked = self.client.asked();
        let _ = log.audit.flush().await;
        let found = records::read(log.records, log.seal)?;
        let Self {
            out, sent, right, ..
        } = self;
        *sent += 1;
        writeln!(
            out,
            "{sent:2}. what was recorded of all that, by the service itself"
        )?;
        writeln!(out, "    {}", log.records.display())?;
        writeln!(
            out,
            "    expected  {asked} requests, and a chain that nobody has changed"
        )?;
        let (requests, allowed, denied) = (found.requests, found.allowed, found.denied);
        writeln!(
            out,
            "    got       {requests} requests: {allowed} allowed, {denied} denied"
        )?;
        for example in &found.examples {
            writeln!(out, "              {example}")?;
        }
        match found.finding {
            None if requests == asked => {
                *right += 1;
                writeln!(out, "    right     {} records are signed", found.signed)?;
            }
            None => writeln!(out, "    WRONG     there are not as many")?,
            Some(finding) => writeln!(out, "    WRONG     {finding}")?,
        }
        writeln!(out)
    }

    async fn take(&mut self, step: &Step) -> io::Result<()> {
        self.sent += 1;
        let answer = self.client.send(step).await;
        let verdict = answer
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|answer| step.expected.judge(answer));

        let Self {
            out, sent, right, ..
        } = self;
        writeln!(out, "{sent:2}. {}", step.title)?;
        writeln!(out, "    {}", step.call.name())?;
        writeln!(out, "    expected  {}", step.expected)?;
        if let Ok(answer) = &answer {
            writeln!(out, "    got       {}", answer.summary())?;
            for detail in answer.details() {
                writeln!(out, "              {detail}")?;
            }
        }
        match verdict {
            Ok(()) => {
                *right += 1;
                writeln!(out, "    right")?;
            }
            Err(why) => writeln!(out, "    WRONG     {why}")?,
        }
        writeln!(out)
    }
}

impl Call {
    fn name(&self) -> String {
        match self {
            Self::Get(path) => format!("GET {path}"),
            Self::Flood(path, _) => format!("GET {path}, again and again"),
            Self::Guess(path, _) => format!("GET {path}, each time with another token"),
            Self::Post(path, _) => format!("POST {path}"),
            Self::GrpcList | Self::GrpcCreate(_) => format!("gRPC {}", self.path()),
        }
    }

    const fn path(&self) -> &'static str {
        match self {
            Self::Get(path) | Self::Post(path, _) | Self::Flood(path, _) | Self::Guess(path, _) => {
                path
            }
            Self::GrpcList => "/orders.v1.Orders/List",
            Self::GrpcCreate(_) => "/orders.v1.Orders/Create",
        }
    }
}

#[cfg(test)]
mod tests;
