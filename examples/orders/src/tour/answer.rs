//! What came back, and whether it is what was expected.

use std::fmt;

use tonic::Code;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Http {
        status: u16,
        challenge: Option<String>,
        retry_after: Option<String>,
        body: String,
    },
    Grpc {
        code: Code,
        message: String,
    },
}

/// What has to come back.
#[derive(Clone, Debug)]
pub(super) enum Expected {
    Http {
        status: u16,
        /// What `WWW-Authenticate` begins with, and what else is in it. Without any there must be no challenge.
        challenge: Vec<&'static str>,
        /// Whether there is a `Retry-After`.
        waits: bool,
        /// What is in the body.
        body: &'static str,
    },
    Grpc(Code),
}

impl Expected {
    pub(super) const fn http(status: u16) -> Self {
        Self::Http {
            status,
            challenge: Vec::new(),
            waits: false,
            body: "",
        }
    }

    pub(super) const fn grpc(code: Code) -> Self {
        Self::Grpc(code)
    }

    pub(super) fn challenge(mut self, has: &'static str) -> Self {
        if let Self::Http { challenge, .. } = &mut self {
            challenge.push(has);
        }
        self
    }

    /// `Retry-After` says when to come back.
    pub(super) const fn told_to_wait(mut self) -> Self {
        if let Self::Http { waits, .. } = &mut self {
            *waits = true;
        }
        self
    }

    pub(super) const fn body(mut self, has: &'static str) -> Self {
        if let Self::Http { body, .. } = &mut self {
            *body = has;
        }
        self
    }

    /// Says what is wrong with `answer`.
    pub(super) fn judge(&self, answer: &Answer) -> Result<(), String> {
        match (self, answer) {
            (
                Self::Http {
                    status,
                    challenge,
                    waits,
                    body,
                },
                Answer::Http {
                    status: sent_status,
                    challenge: sent_challenge,
                    retry_after,
                    body: sent_body,
                },
            ) => {
                if status != sent_status {
                    return Err(format!("the status is not {status}"));
                }
                judge_challenge(challenge, sent_challenge.as_deref())?;
                if *waits && retry_after.is_none() {
                    return Err("there is no Retry-After".to_owned());
                }
                if !sent_body.contains(body) {
                    return Err(format!("the body has no {body}"));
                }
                Ok(())
            }
            (Self::Grpc(code), Answer::Grpc { code: sent, .. }) if code == sent => Ok(()),
            (Self::Grpc(code), _) => Err(format!("the status is not {code:?}")),
            (Self::Http { .. }, Answer::Grpc { .. }) => Err("the answer is not HTTP".to_owned()),
        }
    }
}

fn judge_challenge(expected: &[&str], sent: Option<&str>) -> Result<(), String> {
    match (expected, sent) {
        ([], None) => Ok(()),
        ([], Some(_)) => Err("there must be no challenge".to_owned()),
        (_, None) => Err("there is no challenge".to_owned()),
        // A bare scheme says that nothing was wrong with the credentials: there were none (RFC 6750 §3.1).
        (["Bearer"], Some(sent)) if sent != "Bearer" => {
            Err("the challenge is not just Bearer".to_owned())
        }
        ([first, rest @ ..], Some(sent)) => {
            let missing = rest.iter().find(|part| !sent.contains(**part));
            match missing {
                _ if !sent.starts_with(first) => Err(format!("the challenge is not {first}")),
                Some(part) => Err(format!("the challenge has no {part}")),
                None => Ok(()),
            }
        }
    }
}

impl Answer {
    pub(super) fn summary(&self) -> String {
        match self {
            Self::Http { status, .. } => status.to_string(),
            Self::Grpc { code, message } => format!("{code:?}: {message}"),
        }
    }

    /// The rest of it, a line each.
    pub(super) fn details(&self) -> Vec<String> {
        match self {
            Self::Http {
                challenge,
                retry_after,
                body,
                ..
            } => {
                let challenge = challenge
                    .iter()
                    .map(|value| format!("WWW-Authenticate: {value}"));
                let retry_after = retry_after
                    .iter()
                    .map(|value| format!("Retry-After: {value}"));
                challenge
                    .chain(retry_after)
                    .chain([excerpt(body)])
                    .collect()
            }
            Self::Grpc { .. } => Vec::new(),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http {
                status, challenge, ..
            } => {
                write!(f, "{status}")?;
                if !challenge.is_empty() {
                    write!(f, ", challenge {}", challenge.join(" … "))?;
                }
                Ok(())
            }
            Self::Grpc(code) => write!(f, "{code:?}"),
        }
    }
}

fn excerpt(body: &str) -> String {
    const MAX: usize = 300;
    let mut chars = body.chars();
    let mut excerpt: String = chars.by_ref().take(MAX).collect();
    if chars.next().is_some() {
        excerpt.push('…');
    }
    excerpt
}
