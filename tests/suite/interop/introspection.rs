//! The introspection endpoint of the test issuer, held against that of a real authorization server.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gateless_testkit::{SigningAlgorithm, TestIssuer};
use http::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use serde_json::{Map, Value, json};

use super::authorization_server::{KeyClient, SecretClient};
use super::{AuthorizationServer, OPAQUE};

const SIGNED: &str = "application/token-introspection+jwt";

#[tokio::test]
async fn the_test_issuer_answers_introspections_as_a_real_authorization_server_does() {
    let server = AuthorizationServer::start().await;
    let (good, revoked, jwt) = tokio::join!(
        server.token(OPAQUE, "orders:read"),
        server.token(OPAQUE, "orders:read"),
        server.token(super::AUDIENCE, "orders:read"),
    );
    server.revoke(&revoked).await;
    let real = Asked {
        issuer: server.issuer(),
        url: server.introspection_url(),
        basic: server.signed_client(),
        post: server.post_client(),
        key: server.jwt_client(),
        tokens: [&good, &revoked, &jwt],
    };
    let real = real.everything().await;

    let issuer = TestIssuer::serve().await.expect("a free port");
    issuer.sign_introspections_with(SigningAlgorithm::Es256);
    let key = server.jwt_client();
    issuer.register_client_key(&*key.id, public_jwk(key));
    let known = SecretClient {
        id: TestIssuer::CLIENT_ID.to_owned(),
        secret: TestIssuer::CLIENT_SECRET.to_owned(),
    };
    let token = || issuer.opaque_token().scope("orders:read").without("sub");
    let [good, revoked] = [token().mint(), token().mint()];
    issuer.revoke(&revoked);
    let ours = Asked {
        issuer: issuer.issuer(),
        url: &issuer.introspection_url(),
        basic: &known,
        post: &known,
        key,
        tokens: [&good, &revoked, &issuer.token().mint()],
    };
    for (real, ours) in real.iter().zip(ours.everything().await) {
        assert_eq!(*real, ours);
    }
}

#[tokio::test]
async fn a_real_authorization_server_says_of_a_refresh_token_that_it_is_active() {
    let server = AuthorizationServer::start().await;
    let client = server.post_client();
    let answer = ask(
        server.introspection_url(),
        &[],
        &[
            ("token", server.refresh_token()),
            ("client_id", &client.id),
            ("client_secret", &client.secret),
        ],
    )
    .await;
    let told = json_of(&answer.body);
    assert_eq!(told["active"], true);
    // All that gives it away.
    assert!(told.get("token_type").is_none() && told.get("aud").is_none());
}

type Field = (&'static str, String);
type Parameter<'a> = (&'static str, &'a str);

/// An endpoint, and what is needed to ask it.
struct Asked<'a> {
    issuer: &'a str,
    url: &'a str,
    basic: &'a SecretClient,
    post: &'a SecretClient,
    key: &'a KeyClient,
    /// A good one, a revoked one and a JWT.
    tokens: [&'a str; 3],
}

impl Asked<'_> {
    /// Each question with the form of its answer.
    async fn everything(&self) -> Vec<(&'static str, Form)> {
        let Self { post, key, .. } = self;
        let [good, revoked, jwt] = self.tokens.map(|token| ("token", token));
        let basic = [("authorization", basic(self.basic))];
        let basic_signed = [basic.as_slice(), &[("accept", SIGNED.into())]].concat();
        let id = ("client_id", &*post.id);
        let secret = ("client_secret", &*post.secret);
        let assertion = assertion(key, self.issuer);
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let asserted = [
            good,
            ("client_assertion", &*assertion),
            ("client_assertion_type", kind),
        ];
        let questions: [(_, &[Field], &[Parameter<'_>]); 12] = [
            ("by basic", &basic, &[good]),
            ("by post", &[], &[good, id, secret]),
            ("by assertion", &[], &asserted),
            ("by the same assertion", &[], &asserted),
            (
                "by a wrong secret",
                &[],
                &[good, id, ("client_secret", "x")],
            ),
            ("in two ways", &basic, &[good, secret]),
            ("unknown token", &basic, &[("token", "unheard-of")]),
            ("no token", &basic, &[]),
            ("revoked token", &basic, &[revoked]),
            ("JWT", &basic, &[jwt]),
            ("signed", &basic_signed, &[good]),
            ("revoked and signed", &basic_signed, &[revoked]),
        ];
        let mut answers = Vec::new();
        for (question, fields, parameters) in questions {
            answers.push((question, ask(self.url, fields, parameters).await.form()));
        }
        answers
    }
}

struct Answer {
    status: u16,
    content_type: String,
    body: String,
}

/// What an answer is like, whoever gives it: status, type, members with their kind of value, error.
#[derive(Debug, PartialEq)]
struct Form {
    status: u16,
    content_type: String,
    members: BTreeSet<String>,
    error: Option<String>,
}

impl Answer {
    fn form(&self) -> Form {
        let content = match self.body.split('.').collect::<Vec<_>>()[..] {
            [header, claims, _] if header.starts_with("ey") => {
                let [header, claims] = [header, claims].map(|part| {
                    let part = URL_SAFE_NO_PAD.decode(part).expect("base64url");
                    json_of(&String::from_utf8(part).expect("text"))
                });
                json!({ "header": header, "claims": claims })
            }
            _ => json_of(&self.body),
        };
        let mut members = BTreeSet::new();
        collect("", content.as_object().expect("an object"), &mut members);
        let essence = self.content_type.split(';').next().expect("there is one");
        Form {
            status: self.status,
            content_type: essence.to_owned(),
            members,
            error: content["error"].as_str().map(str::to_owned),
        }
    }
}

/// The paths of the members; of those whose value is the same everywhere, with the value.
fn collect(path: &str, members: &Map<String, Value>, into: &mut BTreeSet<String>) {
    for (name, value) in members {
        let path = format!("{path}/{name}");
        match (name.as_str(), value) {
            (_, Value::Object(members)) => collect(&path, members, into),
            ("active" | "token_type" | "typ" | "alg" | "scope", _) => {
                into.insert(format!("{path} = {value}"));
            }
            (_, Value::Number(_)) => {
                into.insert(format!("{path}, a number"));
            }
            _ => {
                into.insert(path);
            }
        }
    }
}

async fn ask(url: &str, fields: &[Field], parameters: &[Parameter<'_>]) -> Answer {
    let client = Client::builder().no_proxy().build();
    let mut request = client
        .expect("a client without settings")
        .post(url)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form(parameters));
    for (name, value) in fields {
        request = request.header(*name, value);
    }
    let response = request.send().await.expect("an answer");
    let content_type = response.headers().get(CONTENT_TYPE);
    let content_type = content_type.expect("a content type").to_str();
    Answer {
        status: response.status().as_u16(),
        content_type: content_type.expect("text").to_owned(),
        body: response.text().await.expect("a whole body"),
    }
}

/// A form is written as the query of a URL is.
fn form(parameters: &[Parameter<'_>]) -> String {
    let url = Url::parse_with_params("http://form.example.com", parameters);
    let url = url.expect("a URL");
    url.query().unwrap_or_default().to_owned()
}

fn basic(SecretClient { id, secret }: &SecretClient) -> String {
    let encode = |text: &str| form(&[("", text)]).replacen('=', "", 1);
    let pair = format!("{}:{}", encode(id), encode(secret));
    format!("Basic {}", STANDARD.encode(pair))
}

fn assertion(client: &KeyClient, issuer: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("it is later than 1970").as_secs();
    let header = json!({ "alg": "ES256", "typ": "JWT", "kid": client.key_id });
    let claims = json!({
        "iss": client.id,
        "sub": client.id,
        "aud": issuer,
        "jti": "the-first",
        "iat": now,
        "exp": now + 60,
    });
    let [header, claims] = [header, claims].map(|it| URL_SAFE_NO_PAD.encode(it.to_string()));
    let message = format!("{header}.{claims}");
    let signature = key_pair(client).sign(&SystemRandom::new(), message.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(signature.expect("the key signs everything"));
    format!("{message}.{signature}")
}

fn public_jwk(client: &KeyClient) -> Value {
    let pair = key_pair(client);
    // An uncompressed point, SEC 1 §2.3.3: 0x04 || X || Y.
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let [x, y] = [x, y].map(|it| URL_SAFE_NO_PAD.encode(it));
    json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": client.key_id })
}

fn key_pair(client: &KeyClient) -> EcdsaKeyPair {
    let lines = client.private_key.lines();
    let der: String = lines.filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(der).expect("PEM is base64");
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).expect("a P-256 key")
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}
