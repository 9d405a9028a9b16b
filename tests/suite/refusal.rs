//! What a refusal has to be, to the byte.

use gateless::{PresentationFault, TokenFault};
use http::StatusCode;
use serde_json::{Value, json};

/// What a client may learn: one line of section 4.0 of the checklist, written out.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(super) status: u16,
    pub(super) challenge: Option<String>,
    pub(super) grpc: i32,
    pub(super) code: &'static str,
    pub(super) detail: &'static str,
    pub(super) missing: Vec<String>,
    pub(super) required: Vec<String>,
    pub(super) acr_values: Vec<String>,
    pub(super) max_age: Option<u64>,
    pub(super) allow: Option<&'static str>,
    pub(super) retry_after: Option<u64>,
    pub(super) reason: String,
}

impl Refusal {
    fn new(status: u16, grpc: i32, code: &'static str, detail: &'static str) -> Self {
        Self {
            status,
            challenge: None,
            grpc,
            code,
            detail,
            missing: Vec::new(),
            required: Vec::new(),
            acr_values: Vec::new(),
            max_age: None,
            allow: None,
            retry_after: None,
            reason: code.to_owned(),
        }
    }

    /// NONE: no credentials at all.
    pub(crate) fn none() -> Self {
        Self {
            challenge: Some("Bearer".into()),
            ..Self::new(
                401,
                16,
                "credentials_missing",
                "an access token is required",
            )
        }
    }

    /// REQ: a malformed presentation.
    pub(crate) fn req(fault: PresentationFault) -> Self {
        let detail = "the access token is not presented the way RFC 6750 asks for";
        Self {
            challenge: Some(format!(
                "Bearer error=\"invalid_request\", error_description=\"{detail}\""
            )),
            reason: fault.code().to_owned(),
            ..Self::new(400, 16, "credentials_malformed", detail)
        }
    }

    /// TOK: anything wrong with the token itself. Only the reason, which no client sees, tells one from another.
    pub(crate) fn tok(fault: TokenFault) -> Self {
        let detail = "the access token is not valid";
        Self {
            challenge: Some(format!(
                "Bearer error=\"invalid_token\", error_description=\"{detail}\""
            )),
            reason: fault.code().to_owned(),
            ..Self::new(401, 16, "token_invalid", detail)
        }
    }

    /// SCOPE: what is granted is not enough.
    pub(crate) fn scope(missing: &[&str], required: &[&str]) -> Self {
        let detail = "the access token does not grant what this request needs";
        Self {
            challenge: Some(format!(
                "Bearer error=\"insufficient_scope\", error_description=\"{detail}\", scope=\"{}\"",
                required.join(" ")
            )),
            missing: owned(missing),
            required: owned(required),
            ..Self::new(403, 7, "scope_insufficient", detail)
        }
    }

    /// STEP: the person has to sign in anew, one of these ways and no longer ago than that.
    pub(crate) fn step(acr_values: &[&str], max_age: Option<u64>) -> Self {
        let detail = "this request needs a more recent or a stronger authentication";
        Self {
            acr_values: owned(acr_values),
            max_age,
            ..Self::new(401, 16, "authentication_insufficient", detail)
        }
        .asking_for_all()
    }

    /// STEP, with scopes that are missing as well.
    pub(crate) fn and_scope(self, missing: &[&str], required: &[&str]) -> Self {
        Self {
            missing: owned(missing),
            required: owned(required),
            ..self
        }
        .asking_for_all()
    }

    /// The challenge of STEP.
    fn asking_for_all(mut self) -> Self {
        let mut challenge = format!(
            "Bearer error=\"insufficient_user_authentication\", error_description=\"{}\"",
            self.detail
        );
        for (name, value) in [
            ("acr_values", self.acr_values.join(" ")),
            (
                "max_age",
                self.max_age.map_or_else(String::new, |it| it.to_string()),
            ),
            ("scope", self.required.join(" ")),
        ] {
            if !value.is_empty() {
                challenge.push_str(&format!(", {name}=\"{value}\""));
            }
        }
        self.challenge = Some(challenge);
        self
    }

    /// The route is for others, and there is nothing to ask for.
    pub(crate) fn not_permitted() -> Self {
        let detail = "this request is not for this caller";
        Self::new(403, 7, "caller_not_permitted", detail)
    }

    /// No route matches.
    pub(crate) fn no_route() -> Self {
        Self::new(404, 12, "route_unknown", "there is no such route")
    }

    /// A route matches and does not have the method; those of `allow` it has.
    pub(crate) fn no_method(allow: &'static str) -> Self {
        Self {
            allow: Some(allow),
            ..Self::new(
                405,
                12,
                "method_unknown",
                "the route does not have this method",
            )
        }
    }

    /// A route matches, and nobody declared what it needs.
    pub(crate) fn undeclared() -> Self {
        let detail = "the route is not open to anybody";
        Self::new(403, 7, "route_undeclared", detail)
    }

    /// RATE: too much, and of what; more can be had later.
    pub(crate) fn rate(of: &str, retry_after: u64) -> Self {
        Self {
            retry_after: Some(retry_after),
            reason: of.to_owned(),
            ..Self::new(429, 8, "rate_exceeded", "too many requests")
        }
    }

    /// DOWN: something else that the decision depends on is away.
    pub(crate) fn unavailable(dependency: &str, retry_after: u64) -> Self {
        Self {
            reason: dependency.to_owned(),
            ..Self::down(retry_after)
        }
    }

    /// DOWN: the issuer's keys cannot be had.
    pub(crate) fn down(retry_after: u64) -> Self {
        Self {
            retry_after: Some(retry_after),
            reason: "keys".into(),
            ..Self::new(
                503,
                14,
                "dependency_unavailable",
                "the service cannot decide on this request at the moment",
            )
        }
    }

    /// DOWN: nobody can say whether it was revoked.
    pub(crate) fn unlisted(retry_after: u64) -> Self {
        Self {
            reason: "denylist".into(),
            ..Self::down(retry_after)
        }
    }

    /// DOWN: nobody can count what callers take.
    pub(crate) fn uncounted(retry_after: u64) -> Self {
        Self {
            reason: "limits".into(),
            ..Self::down(retry_after)
        }
    }

    /// DOWN: the server that knows about a token cannot be asked.
    pub(crate) fn unanswered(retry_after: u64) -> Self {
        Self {
            reason: "introspection".into(),
            ..Self::down(retry_after)
        }
    }

    /// No authentication layer ran: a fault of the deployment.
    pub(crate) fn misordered() -> Self {
        Self::new(
            500,
            13,
            "pipeline_misordered",
            "the service is not set up correctly",
        )
    }

    pub(super) fn problem(&self) -> Value {
        let status = StatusCode::from_u16(self.status).unwrap();
        let mut problem = json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        });
        if !self.missing.is_empty() {
            problem["missing_scopes"] = json!(self.missing);
            problem["required_scopes"] = json!(self.required);
        }
        if !self.acr_values.is_empty() {
            problem["acr_values"] = json!(self.acr_values);
        }
        if let Some(secs) = self.max_age {
            problem["max_age"] = json!(secs);
        }
        problem
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
