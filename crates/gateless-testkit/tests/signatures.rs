//! What the mint signs verifies against what the issuer publishes.
// clippy.toml allows both in tests, but takes the helper functions of a test file for something else.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateless_testkit::{FakeClock, SigningAlgorithm, TestIssuer, encode_segments};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

struct Token {
    message: String,
    header: Vec<u8>,
    claims: Vec<u8>,
    signature: Vec<u8>,
}

impl Token {
    fn of(compact: &str) -> Self {
        let (message, signature) = compact.rsplit_once('.').unwrap();
        let (header, claims) = message.split_once('.').unwrap();
        let [header, claims, signature] = [header, claims, signature].map(decode);
        let message = message.to_owned();
        Self {
            message,
            header,
            claims,
            signature,
        }
    }

    fn header(&self) -> Value {
        serde_json::from_slice(&self.header).unwrap()
    }

    fn claims(&self) -> Value {
        serde_json::from_slice(&self.claims).unwrap()
    }

    /// Whether the key of this `kid` among `jwks` verifies the token under the algorithm of that key.
    fn verifies(&self, jwks: &Value, kid: &str) -> bool {
        let keys = jwks["keys"].as_array().unwrap();
        let jwk = keys.iter().find(|jwk| jwk["kid"] == kid).unwrap();
        assert_eq!(jwk["use"], "sig");
        let member = |name: &str| decode(jwk[name].as_str().unwrap());
        let (message, signature) = (self.message.as_bytes(), &self.signature);
        let rsa = |parameters| {
            let (n, e) = (member("n"), member("e"));
            RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
        };
        let ec = |parameters, curve| {
            assert_eq!((&jwk["kty"], &jwk["crv"]), (&json!("EC"), &json!(curve)));
            let point = [vec![4], member("x"), member("y")].concat();
            UnparsedPublicKey::new(parameters, point).verify(message, signature)
        };
        match jwk["alg"].as_str().unwrap() {
            "RS256" => rsa(&RSA_PKCS1_2048_8192_SHA256),
            "RS384" => rsa(&RSA_PKCS1_2048_8192_SHA384),
            "RS512" => rsa(&RSA_PKCS1_2048_8192_SHA512),
            "PS256" => rsa(&RSA_PSS_2048_8192_SHA256),
            "PS384" => rsa(&RSA_PSS_2048_8192_SHA384),
            "PS512" => rsa(&RSA_PSS_2048_8192_SHA512),
            "ES256" => ec(&ECDSA_P256_SHA256_FIXED, "P-256"),
            "ES384" => ec(&ECDSA_P384_SHA384_FIXED, "P-384"),
            "EdDSA" => UnparsedPublicKey::new(&ED25519, member("x")).verify(message, signature),
            other => panic!("published a key for {other}"),
        }
        .is_ok()
    }
}

fn decode(segment: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(segment).unwrap()
}

fn kid(token: &Token) -> String {
    token.header()["kid"].as_str().unwrap().to_owned()
}

#[test]
fn every_algorithm_verifies_against_the_published_key() {
    let issuer = TestIssuer::new();
    for &algorithm in SigningAlgorithm::ALL {
        let token = Token::of(&issuer.token().algorithm(algorithm).mint());
        assert_eq!(token.header()["alg"], algorithm.name());
        assert!(token.verifies(&issuer.jwks(), &kid(&token)), "{algorithm}");
    }
    assert_eq!(issuer.kids().len(), SigningAlgorithm::ALL.len());
}

#[test]
fn no_private_member_is_published() {
    let issuer = TestIssuer::new();
    let private = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
    for key in issuer.jwks()["keys"].as_array().unwrap() {
        assert!(private.iter().all(|member| key.get(member).is_none()));
    }
}

#[test]
fn a_token_starts_as_a_good_one() {
    let issuer = TestIssuer::builder()
        .clock(Arc::new(FakeClock::new()))
        .build();
    let token = Token::of(&issuer.token().mint());
    let jti = token.claims()["jti"].clone();
    assert_eq!(
        token.header(),
        json!({ "alg": "RS256", "typ": "at+jwt", "kid": issuer.kids()[0] })
    );
    assert_eq!(
        token.claims(),
        json!({
            "iss": "https://idp.example.com",
            "sub": "user-1",
            "client_id": "client-1",
            "aud": "https://api.example.com",
            "iat": 1_750_000_000,
            "exp": 1_750_000_300,
            "jti": jti,
        })
    );
}

#[test]
fn token_and_key_ids_are_never_used_twice() {
    let issuers = [TestIssuer::new(), TestIssuer::new()];
    let jtis: HashSet<_> = issuers
        .iter()
        .flat_map(|issuer| [issuer.token().unsigned(), issuer.token().unsigned()])
        .map(|token| Token::of(&token.mint()).claims()["jti"].to_string())
        .collect();
    let kids: HashSet<_> = issuers.iter().flat_map(TestIssuer::kids).collect();
    assert_eq!((jtis.len(), kids.len()), (4, 6));
}

#[test]
fn times_are_relative_to_the_clock() {
    let clock = FakeClock::new();
    let issuer = TestIssuer::builder().clock(Arc::new(clock.clone())).build();
    clock.advance(Duration::from_secs(100));
    let token = issuer
        .token()
        .issued_in(-5)
        .not_before_in(7)
        .expires_in(-1)
        .unsigned();
    let claims = Token::of(&token.mint()).claims();
    let offset = |name: &str| claims[name].as_i64().unwrap() - 1_750_000_100;
    assert_eq!(["iat", "nbf", "exp"].map(offset), [-5, 7, -1]);
}

#[test]
fn claims_and_parameters_are_set_and_left_out() {
    let token = TestIssuer::new()
        .token()
        .subject("user-2")
        .audience(["a", "b"])
        .scope("orders:read orders:write")
        .session_id("s-1")
        .claim("sub", 7)
        .without("jti")
        .header("typ", "JWT")
        .header("crit", json!(["exp"]))
        .without_header("kid")
        .unsigned();
    let token = Token::of(&token.mint());
    let claims = token.claims();
    assert_eq!(
        token.header(),
        json!({ "alg": "RS256", "typ": "JWT", "crit": ["exp"] })
    );
    assert_eq!(claims["sub"], 7);
    assert_eq!(claims["aud"], json!(["a", "b"]));
    assert_eq!(claims["scope"], "orders:read orders:write");
    assert_eq!(claims["sid"], "s-1");
    assert_eq!(claims.get("jti"), None);
}

#[test]
fn rotation_orphans_old_tokens_unless_the_old_keys_stay() {
    let issuer = TestIssuer::new();
    let sign = || Token::of(&issuer.token().algorithm(SigningAlgorithm::Es256).mint());
    let old = sign();
    issuer.rotate_keeping_old();
    let new = sign();
    assert_ne!(kid(&old), kid(&new));
    for token in [&old, &new] {
        assert!(token.verifies(&issuer.jwks(), &kid(token)));
    }
    issuer.rotate();
    assert!(
        ![&old, &new]
            .map(kid)
            .iter()
            .any(|it| issuer.kids().contains(it))
    );
}

#[test]
fn a_key_id_picks_among_the_keys_of_the_algorithm() {
    let issuer = TestIssuer::new();
    let es256 = || issuer.token().algorithm(SigningAlgorithm::Es256);
    let first = kid(&Token::of(&es256().mint()));
    let second = issuer.add_key(SigningAlgorithm::Es256);
    for kid in [first, second] {
        let token = Token::of(&es256().key_id(&*kid).mint());
        assert!(token.verifies(&issuer.jwks(), &kid));
    }
}

#[test]
fn a_key_id_of_another_algorithm_is_a_lie_in_the_header() {
    let issuer = TestIssuer::new();
    let rsa = issuer.kids().remove(0);
    let token = issuer.token().algorithm(SigningAlgorithm::EdDsa);
    let token = Token::of(&token.key_id(&*rsa).mint());
    assert_eq!(
        (kid(&token), &token.header()["alg"]),
        (rsa.clone(), &json!("EdDSA"))
    );
    assert!(!token.verifies(&issuer.jwks(), &rsa));
}

#[test]
fn two_issuers_of_one_name_do_not_share_a_key() {
    let [ours, theirs] = [TestIssuer::new(), TestIssuer::new()];
    let kid = ours.kids().remove(0);
    let token = Token::of(&theirs.token().key_id(&*kid).mint());
    assert!(!token.verifies(&ours.jwks(), &kid));
}

#[rstest]
#[case::not_json(b"{", b"[]")]
#[case::a_member_twice(br#"{"alg":"EdDSA","alg":"none"}"#, br#"{"exp":1,"exp":2}"#)]
#[case::nothing(b"", b"")]
#[case::no_text(b"\xff", b"\0")]
fn raw_segments_arrive_as_they_are_and_are_signed(#[case] header: &[u8], #[case] claims: &[u8]) {
    let issuer = TestIssuer::new();
    let kid = issuer.add_key(SigningAlgorithm::EdDsa);
    let token = issuer
        .token()
        .algorithm(SigningAlgorithm::EdDsa)
        .raw_header(header)
        .raw_claims(claims);
    let token = Token::of(&token.mint());
    assert_eq!((&*token.header, &*token.claims), (header, claims));
    assert!(token.verifies(&issuer.jwks(), &kid));
}

#[rstest]
#[case::by_default(false, "HS256")]
#[case::unless_overridden(true, "RS256")]
fn a_confused_token_is_an_hmac_under_hs256(#[case] overridden: bool, #[case] alg: &str) {
    let issuer = TestIssuer::new();
    let mut token = issuer.token().hmac_with(b"a public key");
    if overridden {
        token = token.header("alg", "RS256");
    }
    let token = Token::of(&token.mint());
    let secret = hmac::Key::new(hmac::HMAC_SHA256, b"a public key");
    assert_eq!(token.header()["alg"], alg);
    assert_eq!(kid(&token), issuer.kids()[0]);
    hmac::verify(&secret, token.message.as_bytes(), &token.signature).unwrap();
}

proptest! {
    #[test]
    fn encoded_segments_decode_to_what_they_were(header: Vec<u8>, claims: Vec<u8>, signature: Vec<u8>) {
        let token = Token::of(&encode_segments(&header, &claims, &signature));
        prop_assert_eq!((token.header, token.claims, token.signature), (header, claims, signature));
    }
}
