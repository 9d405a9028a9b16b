use std::ffi::OsString;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::*;
use crate::config::{Config, Mode};
use crate::store::Store;

const AUDIENCE: &str = "https://orders.example.com";

/// With limits that are soon reached.
fn config() -> Config {
    let lookup = |name: &str| match name {
        "RATE_LIMIT" => Some(OsString::from("40")),
        "FAILURE_LIMIT" => Some(OsString::from("20")),
        _ => None,
    };
    Config::read(Mode::Tour, lookup).unwrap()
}

struct Started {
    address: SocketAddr,
    config: Config,
    seal: SealPublicKey,
    audit: AuditHandle,
    _stop: oneshot::Sender<()>,
}

impl Started {
    /// The tour with tokens for `audience`.
    async fn tour(&self, issuer: &TestIssuer, audience: &str, out: &mut Vec<u8>) -> bool {
        let subject = Subject {
            address: self.address,
            issuer,
            audience,
            limits: self.config.limits,
        };
        let log = Log {
            records: &self.config.records,
            seal: &self.seal,
            audit: &self.audit,
        };
        run(subject, log, out).await.unwrap()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let folder = self.config.records.parent().unwrap();
        std::fs::remove_dir_all(folder).unwrap();
    }
}

/// The service on a free port, until it is dropped.
async fn start(issuer: &TestIssuer) -> Started {
    let config = config();
    let listener = TcpListener::bind(config.bind).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stack, seal) = config.stack(address, Some(issuer)).unwrap();
    stack.ready().await.unwrap();
    let store = Store::new();
    let (stop, stopped) = oneshot::channel();
    let stopped = async {
        let _ = stopped.await;
    };
    let app = crate::app(&stack, store.clone()).unwrap();
    tokio::spawn(crate::serve(listener, app, store, stopped));
    Started {
        address,
        config,
        seal,
        audit: stack.audit().unwrap(),
        _stop: stop,
    }
}

#[tokio::test]
async fn every_answer_of_the_tour_is_right() {
    let issuer = TestIssuer::serve().await.unwrap();
    let started = start(&issuer).await;
    let mut out = Vec::new();
    let all_right = started.tour(&issuer, AUDIENCE, &mut out).await;
    let out = String::from_utf8(out).unwrap();
    assert!(all_right, "{out}");
    assert!(out.ends_with("30 of 30 answers were right\n"), "{out}");
}

#[tokio::test]
async fn a_wrong_answer_shows() {
    let issuer = TestIssuer::serve().await.unwrap();
    let started = start(&issuer).await;
    let mut out = Vec::new();
    // Tokens for an audience that the service is not.
    let elsewhere = "https://elsewhere.example.com";
    let all_right = started.tour(&issuer, elsewhere, &mut out).await;
    let out = String::from_utf8(out).unwrap();
    assert!(!all_right, "{out}");
    assert!(out.contains("WRONG     the status is not 200"), "{out}");
}

/// The last step of the tour finds what somebody has changed in the log meanwhile.
#[tokio::test]
async fn a_log_that_was_changed_shows() {
    let issuer = TestIssuer::serve().await.unwrap();
    let started = start(&issuer).await;
    let mut out = Vec::new();
    assert!(started.tour(&issuer, AUDIENCE, &mut out).await);
    let path = &started.config.records;
    let log = std::fs::read_to_string(path).unwrap();
    let forged = log.replacen(r#""outcome":"denied""#, r#""outcome":"allowed""#, 1);
    assert_ne!(forged, log);
    std::fs::write(path, forged).unwrap();
    let found = records::read(path, &started.seal).unwrap();
    assert!(found.finding.is_some());
}

#[tokio::test]
async fn the_guide_has_a_line_for_every_step() {
    let issuer = TestIssuer::new();
    let mut out = Vec::new();
    let address = "0.0.0.0:8080".parse().unwrap();
    let subject = Subject {
        address,
        issuer: &issuer,
        audience: AUDIENCE,
        limits: config().limits,
    };
    let records = Path::new("audit.jsonl");
    print_guide(subject, records, &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    let steps = steps::standing(&issuer, AUDIENCE, "opaque").len();
    let steps = steps + steps::revocation(&issuer, AUDIENCE).len();
    assert_eq!(out.matches("curl -s -i ").count(), steps + 3);
    assert_eq!(out.matches("curl -s -o ").count(), 2);
    assert_eq!(out.matches("http://127.0.0.1:8080/").count(), steps + 5);
    let mut without = Vec::new();
    let subject = Subject {
        limits: Limits::OFF,
        ..subject
    };
    print_guide(subject, records, &mut without).unwrap();
    let without = String::from_utf8(without).unwrap();
    assert_eq!(without.matches("http://127.0.0.1:8080/").count(), steps);
    assert_eq!(out.matches("\ngrpcurl ").count(), 5);
}

#[test]
fn a_challenge_too_many_or_too_few_is_wrong() {
    let answer = |challenge: Option<&str>| Answer::Http {
        status: 401,
        challenge: challenge.map(str::to_owned),
        retry_after: None,
        body: String::new(),
    };
    let bare = Expected::http(401).challenge("Bearer");
    let invalid = Expected::http(401).challenge(r#"Bearer error="invalid_token""#);
    let none = Expected::http(401);
    let sent = r#"Bearer error="invalid_token", error_description="x""#;
    assert!(bare.judge(&answer(Some("Bearer"))).is_ok());
    assert!(bare.judge(&answer(Some(sent))).is_err());
    assert!(invalid.judge(&answer(Some(sent))).is_ok());
    assert!(invalid.judge(&answer(Some("Bearer"))).is_err());
    assert!(invalid.judge(&answer(None)).is_err());
    assert!(none.judge(&answer(Some(sent))).is_err());
}
