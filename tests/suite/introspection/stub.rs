//! An endpoint that answers whatever a test wants, and keeps what it was asked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use gateless::OnOutage;
use gateless::introspection::{Endpoint, Introspection, IntrospectionPolicy};
use gateless_testkit::FakeClock;
use http::Response;
use http_body_util::BodyExt as _;
use reqwest::Url;
use serde_json::{Value, json};

use super::known;
use crate::sockets::{DEADLINE, serve};
use crate::support::{AUDIENCE, ISSUER};

/// One question, as it came over the wire.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) authorization: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) body: String,
}

impl Question {
    /// The parameters of the form.
    pub(super) fn parameters(&self) -> Vec<(String, String)> {
        let url = Url::parse(&format!("http://form.example.com/?{}", self.body)).unwrap();
        url.query_pairs().into_owned().collect()
    }

    /// The value of the only parameter of this name.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let mut values = self.parameters().into_iter().filter(|(it, _)| it == name);
        let value = values.next().map(|(_, value)| value);
        assert!(values.next().is_none(), "{name} twice");
        value
    }
}

/// An endpoint of the issuer `ISSUER`.
#[derive(Clone)]
pub(super) struct Stub {
    pub(super) url: String,
    pub(super) clock: FakeClock,
    questions: Arc<Mutex<Vec<Question>>>,
    asked: Arc<AtomicU64>,
}

impl Stub {
    /// Answers by the token that it is asked about.
    pub(super) async fn serve(
        answer: impl Fn(&str) -> Response<String> + Clone + Send + Sync + 'static,
    ) -> Self {
        let questions = Arc::<Mutex<Vec<_>>>::default();
        let asked = Arc::<AtomicU64>::default();
        let (kept, count) = (Arc::clone(&questions), Arc::clone(&asked));
        let router = Router::new().fallback(move |request: Request| async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let field = |name| {
                let value = head.headers.get(name)?;
                Some(value.to_str().unwrap().to_owned())
            };
            let question = Question {
                authorization: field("authorization"),
                content_type: field("content-type"),
                body: String::from_utf8(body.to_vec()).unwrap(),
            };
            count.fetch_add(1, Ordering::Relaxed);
            let token = question.parameter("token").unwrap_or_default();
            kept.lock().unwrap().push(question);
            answer(&token)
        });
        let address = serve(router).await;
        Self {
            url: format!("http://{address}/introspect"),
            clock: FakeClock::new(),
            questions,
            asked,
        }
    }

    /// A layer that asks here.
    pub(super) fn layer(&self) -> Introspection {
        let policy = IntrospectionPolicy::new(ISSUER, AUDIENCE).danger_allow_http_loopback();
        Introspection::builder(policy, self.endpoint(), known())
            .clock(Arc::new(self.clock.clone()))
            .build()
            .unwrap()
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint::url(&*self.url, OnOutage::FailClosed).timeout(DEADLINE)
    }

    pub(super) fn calls(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    pub(super) fn questions(&self) -> Vec<Question> {
        self.questions.lock().unwrap().clone()
    }

    pub(super) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

/// `200` with a good answer about `subject`.
pub(super) fn active(subject: &str) -> Response<String> {
    json(200, &good(subject))
}

/// What is said of a good token.
pub(super) fn good(subject: &str) -> Value {
    let now = FakeClock::START.as_secs();
    json!({
        "active": true,
        "sub": subject,
        "client_id": "client-1",
        "token_type": "Bearer",
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + 3600,
    })
}

pub(super) fn json(status: u16, body: &Value) -> Response<String> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(body.to_string())
        .unwrap()
}

/// An error of RFC 6749 §5.2.
pub(super) fn error(status: u16, code: &str) -> Response<String> {
    json(status, &json!({ "error": code }))
}
