//! A request that was decided on.

use serde::{Deserialize, Serialize};

use super::text::Text;

/// A request, and what was decided on it. No part of it is free text: all is a number, a name out of a closed set, a name that the
/// service chose, a pseudonym, or a text that was cut and of which no control character is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Request<'a> {
    /// The method, if it is a registered one, or `OTHER`.
    #[serde(borrow)]
    pub method: Text<'a>,
    /// The route that matched, as the router spells it: `/orders/{id}`. Never the path that the client sent.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub route: Option<Text<'a>>,
    /// The gRPC method: `orders.v1.Orders/List`.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub grpc_method: Option<Text<'a>>,
    /// How the client speaks.
    pub protocol: Protocol,
    /// What was decided.
    pub outcome: Outcome,
    /// The HTTP status; none where no response was made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<u16>,
    /// The gRPC status, where it was known when the record was made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub grpc_status: Option<u16>,
    /// How long it took until the response began, in microseconds.
    pub latency_us: u64,
    /// The stage that refused the request, or `handler` where a handler asked for more than the caller has.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub stage: Option<Text<'a>>,
    /// Why: the code of the refusal.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub code: Option<Text<'a>>,
    /// Why exactly. What the caller was not told.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<Text<'a>>,
    /// Who issued the token.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub issuer: Option<Text<'a>>,
    /// The subject: a pseudonym, unless the service says otherwise.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<Text<'a>>,
    /// `user` or `client`.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub subject_kind: Option<Text<'a>>,
    /// Who acts on behalf of the subject, the current actor first (RFC 8693 §4.1); in the form of the subject.
    #[serde(borrow, skip_serializing_if = "Vec::is_empty", default)]
    pub actors: Vec<Text<'a>>,
    /// The client that the token was issued to.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub client: Option<Text<'a>>,
    /// The pseudonym of the token: its id (`jti`), or its digest where it has none.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub token: Option<Text<'a>>,
    /// Tells refused credentials of one run apart where nothing else is known of them.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub credential: Option<Text<'a>>,
    /// The key that signed the token.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub key: Option<Text<'a>>,
    /// How it is known that the token is good.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub token_found: Option<TokenFound>,
    /// The number of the configuration that decided on the token, in this run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub policy_epoch: Option<u64>,
    /// The scopes that were asked for. Of alternatives, all.
    #[serde(borrow, skip_serializing_if = "Vec::is_empty", default)]
    pub scopes_required: Vec<Text<'a>>,
    /// The scopes that the token grants: at most 32 of them.
    #[serde(borrow, skip_serializing_if = "Vec::is_empty", default)]
    pub scopes_granted: Vec<Text<'a>>,
    /// What rate limits said.
    #[serde(borrow, skip_serializing_if = "Vec::is_empty", default)]
    pub limits: Vec<Limited<'a>>,
    /// What was unusual about the decision.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub flags: Vec<Flag>,
    /// Where the request came from.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub peer: Option<Text<'a>>,
    /// What kind of client it says it is: one of a closed set of names, such as `curl` or `firefox`.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub agent: Option<Text<'a>>,
    /// The trace that it belongs to (W3C Trace Context `trace-id`): 32 hex digits.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub trace: Option<Text<'a>>,
    /// How the response ended, where the record was made after that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub end: Option<EndKind>,
    /// How many bytes of the body were handed on by then.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sent_bytes: Option<u64>,
    /// How long all of it took, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duration_us: Option<u64>,
}

impl Request<'_> {
    /// A request of which nothing else is known.
    #[must_use]
    pub fn new(protocol: Protocol, outcome: Outcome) -> Self {
        Self {
            method: Text::default(),
            route: None,
            grpc_method: None,
            protocol,
            outcome,
            status: None,
            grpc_status: None,
            latency_us: 0,
            stage: None,
            code: None,
            reason: None,
            issuer: None,
            subject: None,
            subject_kind: None,
            actors: Vec::new(),
            client: None,
            token: None,
            credential: None,
            key: None,
            token_found: None,
            policy_epoch: None,
            scopes_required: Vec::new(),
            scopes_granted: Vec::new(),
            limits: Vec::new(),
            flags: Vec::new(),
            peer: None,
            agent: None,
            trace: None,
            end: None,
            sent_bytes: None,
            duration_us: None,
        }
    }
}

macro_rules! names {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// As in a record.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }
    };
}
pub(super) use names;

names! {
    /// How a client speaks.
    Protocol {
        /// HTTP.
        Http = "http",
        /// gRPC.
        Grpc = "grpc",
        /// gRPC-Web.
        GrpcWeb = "grpc_web",
    }
}

names! {
    /// What came of a request.
    Outcome {
        /// It reached the handler, which answered.
        Allowed = "allowed",
        /// It was refused.
        Denied = "denied",
        /// It could not be decided on, as something that the decision depends on was away.
        Unavailable = "unavailable",
        /// The service failed, or its layers are in the wrong order.
        Failed = "failed",
        /// A handler panicked.
        Panicked = "panicked",
        /// The client went away before there was a response.
        Aborted = "aborted",
    }
}

names! {
    /// How a response ended.
    EndKind {
        /// All of it was handed on.
        Complete = "complete",
        /// It was dropped before its end: the client went away, or the server was stopped.
        Aborted = "aborted",
        /// The body failed.
        Failed = "failed",
        /// It did not leave: its record could not be written, and the client got 503 instead.
        Withheld = "withheld",
        /// The connection went over to another protocol: what comes then is not recorded.
        Upgraded = "upgraded",
    }
}

names! {
    /// How it is known whether a token is good.
    TokenFound {
        /// It was remembered.
        Cached = "cached",
        /// Its signature was checked.
        Verified = "verified",
        /// The authorization server was asked.
        Introspected = "introspected",
    }
}

names! {
    /// What was unusual about a decision.
    Flag {
        /// The keys of the issuer were past their lifetime, as it is away.
        StaleKeys = "stale_keys",
        /// What the authorization server said was past its time, as it is away.
        StaleIntrospection = "stale_introspection",
        /// What is revoked was not known up to the moment.
        StaleDenylist = "stale_denylist",
        /// What is revoked was not known, and the route goes on whatever happens.
        OpenDenylist = "open_denylist",
        /// Nobody is signed in, and the authentication is optional.
        Anonymous = "anonymous",
    }
}

names! {
    /// What a limit said.
    LimitResult {
        /// There was enough left.
        Admitted = "admitted",
        /// There was not.
        Refused = "refused",
        /// There was not, and the limit only watches.
        Shadowed = "shadowed",
        /// This caller has no limit.
        Unlimited = "unlimited",
        /// Nobody could count, and that means to go on.
        LetThrough = "let_through",
        /// Nobody could count, and that means to refuse.
        Unavailable = "unavailable",
    }
}

/// What one limit said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limited<'a> {
    /// The name of the limit.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// What it said.
    pub result: LimitResult,
}
