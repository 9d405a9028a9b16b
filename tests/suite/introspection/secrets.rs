//! Where the secret of this service comes from, and where it never goes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gateless::bearer::Algorithm;
use gateless::introspection::{ClientAuthentication, Introspection, Secret};
use gateless_testkit::{Fault, TestIssuer};
use serde_json::{Value, json};

use super::{PAUSE, World, accepts, ask, rejects};
use crate::support::{Protocol, Refusal};

/// A file of its own, removed at the end.
pub(super) struct SecretFile(PathBuf);

impl SecretFile {
    pub(super) fn new(name: &str, content: &str) -> Self {
        let name = format!("gateless-tests-{}-secret-{name}", std::process::id());
        let file = Self(std::env::temp_dir().join(name));
        file.write(content);
        file
    }

    pub(super) fn write(&self, content: &str) {
        std::fs::write(&self.0, content).unwrap();
    }

    fn remove(&self) {
        std::fs::remove_file(&self.0).unwrap();
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A private key for ES256, in a file.
pub(super) struct KeyFile {
    file: SecretFile,
    jwk: Value,
}

impl KeyFile {
    pub(super) fn new(name: &str) -> Self {
        let (pem, jwk) = pair();
        let file = SecretFile::new(name, &pem);
        Self { file, jwk }
    }

    /// Puts a new key into the file.
    fn rotate(&mut self) {
        let (pem, jwk) = pair();
        self.file.write(&pem);
        self.jwk = jwk;
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// The public half.
    pub(super) fn jwk(&self) -> Value {
        self.jwk.clone()
    }
}

fn pair() -> (String, Value) {
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let text = STANDARD.encode(key.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref()).unwrap();
    let point = pair.public_key().as_ref();
    let [x, y] = [&point[1..33], &point[33..]].map(|it| URL_SAFE_NO_PAD.encode(it));
    (
        pem,
        json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "x": x, "y": y }),
    )
}

fn layer(world: &World, client: ClientAuthentication) -> Introspection {
    let layer = world.asking(world.policy(), world.endpoint(), client);
    layer.build().unwrap()
}

fn basic(secret: Secret) -> ClientAuthentication {
    ClientAuthentication::basic(TestIssuer::CLIENT_ID, secret)
}

#[tokio::test]
async fn tf_09_a_secret_that_was_replaced_in_its_file_is_read_at_once() {
    let world = World::new().await;
    world.issuer.set_client_secret("the first one");
    let file = SecretFile::new("rotated", "the first one\n");
    let layer = layer(&world, basic(Secret::file(file.path())));
    accepts(&layer, &world.issuer.opaque_token().mint()).await;

    world.issuer.set_client_secret("the second one");
    file.write("the second one\r\n");
    // No time has passed, and nobody sees anything of it.
    let calls = world.calls();
    accepts(&layer, &world.issuer.opaque_token().mint()).await;
    assert_eq!(world.calls(), calls + 2, "refused, and asked again");
    accepts(&layer, &world.issuer.opaque_token().mint()).await;
    assert_eq!(world.calls(), calls + 3);

    // Where it was replaced here first, nobody is refused: a second later it is read in any case.
    world.issuer.set_client_secret("the third one");
    file.write("the third one");
    world.advance(PAUSE);
    accepts(&layer, &world.issuer.opaque_token().mint()).await;
    assert_eq!(world.calls(), calls + 4);
}

#[tokio::test]
async fn tf_09_a_secret_that_is_gone_from_its_file_goes_on() {
    let world = World::new().await;
    let file = SecretFile::new("gone", TestIssuer::CLIENT_SECRET);
    let layer = layer(&world, basic(Secret::file(file.path())));
    let spoilt: [fn(&SecretFile); 3] = [
        SecretFile::remove,
        |file| file.write(" \n"),
        |file| file.write(&"x".repeat(64 * 1024 + 1)),
    ];
    for spoil in spoilt {
        spoil(&file);
        world.advance(PAUSE);
        let token = world.issuer.opaque_token().mint();
        let answer = ask(&layer, Protocol::Http, &token).await;
        answer.passed();
        let warned = answer.logs.contains("the secret cannot be read again");
        assert!(warned, "{}", answer.logs);
        file.write(TestIssuer::CLIENT_SECRET);
    }
}

#[tokio::test]
async fn a_callback_is_asked_again_when_its_secret_is_refused() {
    let world = World::new().await;
    let held = Arc::new(Mutex::new(TestIssuer::CLIENT_SECRET.to_owned()));
    let source = Arc::clone(&held);
    let secret = Secret::callback(move || Ok::<_, String>(source.lock().unwrap().clone()));
    let layer = layer(&world, basic(secret));
    accepts(&layer, &world.issuer.opaque_token().mint()).await;
    world.issuer.set_client_secret("another");
    let token = world.issuer.opaque_token().mint();
    rejects(&layer, &token, &Refusal::unanswered(1)).await;
    *held.lock().unwrap() = "another".to_owned();
    accepts(&layer, &token).await;
}

#[tokio::test]
async fn a_secret_can_be_in_the_environment() {
    let world = World::new().await;
    // One that is always set: a test cannot set one of its own.
    let path = std::env::var("PATH").unwrap();
    world.issuer.set_client_secret(path);
    let layer = layer(&world, basic(Secret::env("PATH")));
    accepts(&layer, &world.issuer.opaque_token().mint()).await;
}

#[tokio::test]
async fn a_private_key_that_was_replaced_in_its_file_signs_from_then_on() {
    let world = World::new().await;
    let mut key = KeyFile::new("signs");
    world.issuer.register_client_key("client-2", key.jwk());
    let client = |key: &KeyFile| {
        let key = Secret::file(key.path());
        ClientAuthentication::private_key_jwt("client-2", key, Algorithm::ES256)
    };
    let layer = layer(&world, client(&key));
    accepts(&layer, &world.issuer.opaque_token().mint()).await;
    key.rotate();
    world.issuer.register_client_key("client-2", key.jwk());
    world.advance(PAUSE);
    accepts(&layer, &world.issuer.opaque_token().mint()).await;
    // Nothing that can sign: nobody is asked, and it is an alarm.
    key.file.write("-----BEGIN CANARY-----");
    world.advance(PAUSE);
    let calls = world.calls();
    let token = world.issuer.opaque_token().mint();
    let answer = ask(&layer, Protocol::Http, &token).await;
    answer.refused(Protocol::Http, &Refusal::unanswered(1));
    assert!(answer.logs.contains("check the client's credentials"));
    assert!(!answer.logs.contains("CANARY"));
    assert_eq!(world.calls(), calls);
    key.rotate();
    world.issuer.register_client_key("client-2", key.jwk());
    world.advance(PAUSE);
    accepts(&layer, &token).await;
}

/// What each of them prints has neither the secret nor a token or a claim in it.
#[tokio::test]
async fn tf_19_tf_26_nothing_prints_a_secret_a_token_or_a_claim() {
    let world = World::new().await;
    let secret = "canary-secret";
    world.issuer.set_client_secret(secret);
    world.issuer.accept_bearer(secret);
    for client in [
        basic(Secret::new(secret)),
        ClientAuthentication::post(TestIssuer::CLIENT_ID, Secret::new(secret)),
        ClientAuthentication::bearer(Secret::new(secret)),
        basic(Secret::callback(|| Ok::<_, String>("canary-secret".into()))),
    ] {
        let mut printed = format!("{client:?}");
        let builder = world.asking(world.policy(), world.endpoint(), client);
        printed.push_str(&format!("{builder:?}"));
        let layer = builder.build().unwrap();
        let token = world.issuer.opaque_token().subject("canary-subject");
        let token = token.scope("canary-scope").text("canary-token").mint();
        let answer = ask(&layer, Protocol::Http, &token).await;
        answer.passed();
        printed.push_str(&answer.logs);
        for fault in [
            Fault::Status(500),
            Fault::Body("canary/type".into(), "canary-body".into()),
            Fault::Body("application/json".into(), "canary-body".into()),
            Fault::Redirect("/canary-place".into()),
        ] {
            world.issuer.set_introspection_fault(fault);
            let answer = ask(&layer, Protocol::Http, "canary-unknown").await;
            answer.refused(Protocol::Http, &Refusal::unanswered(1));
            printed.push_str(&answer.logs);
            printed.push_str(&layer.handle().status().to_string());
            let error = layer.handle().ready().await.unwrap_err();
            printed.push_str(&format!("{error} {error:?}"));
        }
        world.issuer.clear_fault();
        let handle = layer.handle();
        printed.push_str(&format!("{layer:?} {handle:?} {:#?}", layer.clone()));
        // What the HTTP client writes of an answer at TRACE is not about tokens, secrets or claims.
        assert!(!printed.contains("canary-secret"), "{printed}");
        assert!(!printed.contains("canary-token"), "{printed}");
        assert!(!printed.contains("canary-unknown"), "{printed}");
        assert!(!printed.contains("canary-subject"), "{printed}");
        assert!(!printed.contains("canary-scope"), "{printed}");
        assert!(!printed.contains("canary-body"), "{printed}");
    }
}

/// What a file does that is on a disk far away: it is read, and does not answer.
#[cfg(unix)]
#[tokio::test]
async fn tf_09_a_secret_in_a_file_that_hangs_goes_on() {
    let world = World::new().await;
    let file = SecretFile::new("hangs", TestIssuer::CLIENT_SECRET);
    let layer = layer(&world, basic(Secret::file(file.path())));
    accepts(&layer, &world.issuer.opaque_token().mint()).await;
    file.remove();
    let made = std::process::Command::new("mkfifo")
        .arg(file.path())
        .status();
    assert!(made.unwrap().success());
    for _ in 0..3 {
        world.advance(PAUSE);
        accepts(&layer, &world.issuer.opaque_token().mint()).await;
    }
    // Whoever reads it is let go: the runtime waits for it at its end.
    file.write(TestIssuer::CLIENT_SECRET);
}
