//! TB, TC, TD: what the token says, through the whole layer and in every protocol.
//!
//! Every refusal here is held against the same public text, to the byte: no client learns which check it failed.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gateless::bearer::{
    Algorithm, BearerAuth, HmacSecret, Key, KeyError, KeySet, KeySetError, Keys, Profile,
    ScopeClaim, SkipReason, TokenPolicy,
};
use gateless::scope::ScopeGuard;
use gateless::{Principal, PrincipalKind, Scope, TokenFault, scopes};
use gateless_testkit::{FakeClock, SigningAlgorithm, TestIssuer, TokenBuilder, encode_segments};
use num_bigint::BigUint;
use rstest::rstest;
use serde_json::{Value, json};
use tower::ServiceBuilder;

use TokenFault::{
    AlgorithmNotAllowed, AudienceMismatch, BindingUnsupported, ClaimMissing, ClaimsInvalid,
    Encrypted, Expired, HeaderCarriesKey, HeaderInvalid, HeaderUnsupported, IssuedInFuture,
    IssuerUnknown, KeyUnknown, LifetimeTooLong, Malformed, NotYetValid, SignatureInvalid,
    TypeNotAllowed, UseNotAllowed,
};

use crate::support::{
    AUDIENCE, ISSUER, Refusal, auth, auth_with, bearer, issuer, keys_of, passes, policy, refuses,
};

/// What may not show up anywhere, besides the token itself.
const CANARIES: &str = "canary-subject-77aa canary-session-8d1e canary-client-93c4";

fn token() -> TokenBuilder {
    issuer()
        .token()
        .subject("canary-subject-77aa")
        .session_id("canary-session-8d1e")
        .client_id("canary-client-93c4")
}

async fn refuses_token(auth: &BearerAuth, token: &str, fault: TokenFault) {
    let secret = format!("{token} {CANARIES}");
    refuses(auth, &Refusal::tok(fault), &secret, |request| {
        request.header("authorization", bearer(token))
    })
    .await;
}

async fn accepts_token(auth: &BearerAuth, token: &str) -> Principal {
    let secret = format!("{token} {CANARIES}");
    let request = passes(auth, &secret, |request| {
        request.header("authorization", bearer(token))
    })
    .await;
    Principal::of(&request.extensions).unwrap().clone()
}

fn decode(segment: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(segment).unwrap()
}

/// The token with another signature.
fn resigned(token: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = change(decode(signature));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The JWK of the issuer's key for `alg`.
fn jwk(issuer: &TestIssuer, alg: &str) -> Value {
    let jwks = issuer.jwks();
    let keys = jwks["keys"].as_array().unwrap();
    keys.iter().find(|key| key["alg"] == alg).unwrap().clone()
}

fn member(jwk: &Value, name: &str) -> Vec<u8> {
    decode(jwk[name].as_str().unwrap())
}

fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

/// Claims of a good token as text, to be spoiled as text.
fn claims_with(further: &str) -> String {
    let now = FakeClock::START.as_secs();
    format!(
        r#"{{"iss":"{ISSUER}","sub":"canary-subject-77aa","client_id":"c","aud":"{AUDIENCE}","iat":{now},"exp":{},"jti":"j"{further}}}"#,
        now + 300
    )
}

/// A header of a good token as text, to be spoiled as text.
fn header_with(further: &str) -> String {
    let kid = jwk(issuer(), "RS256")["kid"].clone();
    format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":{kid}{further}}}"#)
}

type Spoil = fn(TokenBuilder) -> TokenBuilder;

#[rstest]
#[case::tb_01_none(|t: TokenBuilder| t.header("alg", "none"), AlgorithmNotAllowed)]
#[case::tb_01_none_unsigned(|t: TokenBuilder| t.header("alg", "none").unsigned(), Malformed)]
#[case::tb_01_unsigned(TokenBuilder::unsigned, Malformed)]
#[case::tb_02_capitalised(|t: TokenBuilder| t.header("alg", "None"), AlgorithmNotAllowed)]
#[case::tb_02_mixed(|t: TokenBuilder| t.header("alg", "nOnE"), AlgorithmNotAllowed)]
#[case::tb_02_upper(|t: TokenBuilder| t.header("alg", "NONE"), AlgorithmNotAllowed)]
#[case::tb_02_padded(|t: TokenBuilder| t.header("alg", "none "), AlgorithmNotAllowed)]
#[case::tb_02_nothing(|t: TokenBuilder| t.header("alg", ""), AlgorithmNotAllowed)]
#[case::tb_02_lower_case_rs256(|t: TokenBuilder| t.header("alg", "rs256"), AlgorithmNotAllowed)]
#[case::tb_06_another_hash(|t: TokenBuilder| t.header("alg", "RS384"), AlgorithmNotAllowed)]
#[case::tb_06_pss_for_pkcs1(|t: TokenBuilder| t.header("alg", "PS256"), AlgorithmNotAllowed)]
#[case::tb_06_es256_with_an_rsa_kid(|t: TokenBuilder| t.header("alg", "ES256"), AlgorithmNotAllowed)]
#[case::tb_06_es384(|t: TokenBuilder| t.algorithm(SigningAlgorithm::Es256).header("alg", "ES384"), AlgorithmNotAllowed)]
#[case::tb_07_ed448(|t: TokenBuilder| t.algorithm(SigningAlgorithm::EdDsa).header("alg", "Ed448"), AlgorithmNotAllowed)]
#[case::tb_16_a_list(|t: TokenBuilder| t.raw_header("[]"), HeaderInvalid)]
#[case::tb_16_text(|t: TokenBuilder| t.raw_header("\"RS256\""), HeaderInvalid)]
#[case::tb_16_a_number(|t: TokenBuilder| t.raw_header("7"), HeaderInvalid)]
#[case::tb_16_null(|t: TokenBuilder| t.raw_header("null"), HeaderInvalid)]
#[case::tb_16_two_objects(|t: TokenBuilder| t.raw_header(header_with("") + "{}"), HeaderInvalid)]
#[case::tb_16_claims_are_a_list(|t: TokenBuilder| t.raw_claims("[]"), ClaimsInvalid)]
#[case::tb_17_alg_twice(|t: TokenBuilder| t.raw_header(header_with(r#","alg":"RS256""#)), HeaderInvalid)]
#[case::tb_17_kid_twice(|t: TokenBuilder| t.raw_header(header_with(r#","kid":"a""#)), HeaderInvalid)]
#[case::tb_17_an_escaped_alg(|t: TokenBuilder| t.raw_header(header_with(r#","\u0061lg":"none""#)), HeaderInvalid)]
#[case::tb_17_an_unknown_member_twice(|t: TokenBuilder| t.raw_header(header_with(r#","a":1,"a":1"#)), HeaderInvalid)]
#[case::tb_18_exp_twice(|t: TokenBuilder| t.raw_claims(claims_with(r#","exp":9999999999"#)), ClaimsInvalid)]
#[case::tb_18_sub_twice(|t: TokenBuilder| t.raw_claims(claims_with(r#","sub":"admin""#)), ClaimsInvalid)]
#[case::tb_18_an_escaped_sub(|t: TokenBuilder| t.raw_claims(claims_with(r#","s\u0075b":"admin""#)), ClaimsInvalid)]
#[case::tb_18_within_cnf(|t: TokenBuilder| t.raw_claims(claims_with(r#","cnf":{"jkt":"a","jkt":"b"}"#)), ClaimsInvalid)]
#[case::tb_18_within_an_unknown_claim(|t: TokenBuilder| t.raw_claims(claims_with(r#","x":[{"a":1,"a":2}]"#)), ClaimsInvalid)]
#[case::tb_19_no_alg(|t: TokenBuilder| t.without_header("alg"), HeaderInvalid)]
#[case::tb_19_a_number(|t: TokenBuilder| t.header("alg", 256), HeaderInvalid)]
#[case::tb_19_a_list(|t: TokenBuilder| t.header("alg", json!(["RS256"])), HeaderInvalid)]
#[case::tb_19_null(|t: TokenBuilder| t.header("alg", Value::Null), HeaderInvalid)]
#[case::tb_20_deep_claims(|t: TokenBuilder| t.raw_claims(claims_with(&format!(",\"x\":{}", nested(2500)))), ClaimsInvalid)]
#[case::tb_20_deep_header(|t: TokenBuilder| t.raw_header(header_with(&format!(",\"x\":{}", nested(2500)))), HeaderInvalid)]
#[case::tb_20_deep_audience(|t: TokenBuilder| t.raw_claims(claims_with(&format!(",\"scope\":{}", nested(17)))), ClaimsInvalid)]
#[case::tb_20_never_closed(|t: TokenBuilder| t.raw_claims(claims_with(&format!(",\"x\":{}", "{\"a\":".repeat(700)))), ClaimsInvalid)]
#[case::tb_21_beyond_a_double(|t: TokenBuilder| t.raw_claims(claims_with(",\"x\":1e400")), ClaimsInvalid)]
#[case::tb_21_nan(|t: TokenBuilder| t.raw_claims(claims_with(",\"x\":NaN")), ClaimsInvalid)]
#[case::tb_21_hex(|t: TokenBuilder| t.raw_claims(claims_with(",\"x\":0x10")), ClaimsInvalid)]
#[case::tb_22_invalid_utf_8(|t: TokenBuilder| t.raw_claims([claims_with("").as_bytes(), b"\xff"].concat()), ClaimsInvalid)]
#[case::tb_22_invalid_utf_8_within(|t: TokenBuilder| t.raw_claims(claims_with(",\"x\":\"?\"").into_bytes().into_iter().map(|b| if b == b'?' { 0xff } else { b }).collect::<Vec<_>>()), ClaimsInvalid)]
#[case::tb_22_utf_16(|t: TokenBuilder| t.raw_claims(claims_with("").encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()), ClaimsInvalid)]
#[case::tb_22_byte_order_mark(|t: TokenBuilder| t.raw_claims(format!("\u{feff}{}", claims_with(""))), ClaimsInvalid)]
#[case::tb_22_byte_order_mark_in_the_header(|t: TokenBuilder| t.raw_header(format!("\u{feff}{}", header_with(""))), HeaderInvalid)]
#[case::tb_22_lone_surrogate(|t: TokenBuilder| t.raw_claims(claims_with(r#","x":"\ud800""#)), ClaimsInvalid)]
#[case::tb_23_crit(|t: TokenBuilder| t.header("crit", json!(["x"])).header("x", 1), HeaderUnsupported)]
#[case::tb_23_crit_names_exp(|t: TokenBuilder| t.header("crit", json!(["exp"])).header("exp", 1), HeaderUnsupported)]
#[case::tb_24_empty(|t: TokenBuilder| t.header("crit", json!([])), HeaderUnsupported)]
#[case::tb_24_text(|t: TokenBuilder| t.header("crit", "x"), HeaderUnsupported)]
#[case::tb_24_null(|t: TokenBuilder| t.header("crit", Value::Null), HeaderUnsupported)]
#[case::tb_24_a_registered_name(|t: TokenBuilder| t.header("crit", json!(["alg"])), HeaderUnsupported)]
#[case::tb_24_an_absent_name(|t: TokenBuilder| t.header("crit", json!(["absent"])), HeaderUnsupported)]
#[case::tb_25_b64(|t: TokenBuilder| t.header("b64", false), HeaderUnsupported)]
#[case::tb_25_b64_true(|t: TokenBuilder| t.header("b64", true), HeaderUnsupported)]
#[case::tb_25_b64_in_crit(|t: TokenBuilder| t.header("b64", false).header("crit", json!(["b64"])), HeaderUnsupported)]
#[case::tb_26_zip(|t: TokenBuilder| t.header("zip", "DEF"), HeaderUnsupported)]
#[case::tb_27_pbes2(|t: TokenBuilder| t.header("alg", "PBES2-HS256+A128KW").header("p2c", 1_i64 << 31), AlgorithmNotAllowed)]
#[case::tb_28_rsa1_5(|t: TokenBuilder| t.header("alg", "RSA1_5"), AlgorithmNotAllowed)]
#[case::tb_28_ecdh(|t: TokenBuilder| t.header("alg", "ECDH-ES").header("enc", "A128GCM"), HeaderUnsupported)]
#[case::tb_30_jku(|t: TokenBuilder| t.header("jku", "https://evil.example/jwks"), HeaderCarriesKey)]
#[case::tb_30_jku_of_another_type(|t: TokenBuilder| t.header("jku", 7), HeaderCarriesKey)]
#[case::tb_31_x5u(|t: TokenBuilder| t.header("x5u", "https://evil.example/cert"), HeaderCarriesKey)]
#[case::tb_31_x5c(|t: TokenBuilder| t.header("x5c", json!(["MIIB"])), HeaderCarriesKey)]
#[case::tb_32_traversal(|t: TokenBuilder| t.header("kid", "../../../../dev/null"), KeyUnknown)]
#[case::tb_32_a_windows_path(|t: TokenBuilder| t.header("kid", r"..\..\secret.pem"), KeyUnknown)]
#[case::tb_32_an_address(|t: TokenBuilder| t.header("kid", "file:///proc/self/environ"), KeyUnknown)]
#[case::tb_33_sql(|t: TokenBuilder| t.header("kid", "' UNION SELECT 'key' --"), KeyUnknown)]
#[case::tb_33_a_command(|t: TokenBuilder| t.header("kid", "key;$(touch /tmp/pwned)|id"), KeyUnknown)]
#[case::tb_33_ldap(|t: TokenBuilder| t.header("kid", "*)(uid=*))(|(uid=*"), KeyUnknown)]
#[case::tb_33_a_log_line(|t: TokenBuilder| t.header("kid", "k\r\n2026-01-01 ERROR forged\u{1b}[31m"), KeyUnknown)]
#[case::tb_33_nul(|t: TokenBuilder| t.header("kid", "\0"), KeyUnknown)]
#[case::tb_34_a_long_kid(|t: TokenBuilder| t.header("kid", "k".repeat(257)), HeaderInvalid)]
#[case::tb_34_a_number(|t: TokenBuilder| t.header("kid", 1), HeaderInvalid)]
#[case::tb_34_a_list(|t: TokenBuilder| t.header("kid", json!(["1"])), HeaderInvalid)]
#[case::tb_34_empty(|t: TokenBuilder| t.header("kid", ""), HeaderInvalid)]
#[case::tb_37_no_typ(|t: TokenBuilder| t.without_header("typ"), TypeNotAllowed)]
#[case::tb_37_jwt(|t: TokenBuilder| t.header("typ", "JWT"), TypeNotAllowed)]
#[case::tb_37_an_empty_typ(|t: TokenBuilder| t.header("typ", ""), TypeNotAllowed)]
#[case::tb_37_a_number(|t: TokenBuilder| t.header("typ", 1), HeaderInvalid)]
#[case::tb_37_a_suffix(|t: TokenBuilder| t.header("typ", "xat+jwt"), TypeNotAllowed)]
#[case::tb_37_twice_application(|t: TokenBuilder| t.header("typ", "application/application/at+jwt"), TypeNotAllowed)]
#[case::tb_40_nested(|t: TokenBuilder| t.header("cty", "JWT"), HeaderUnsupported)]
#[case::tb_40_nested_media_type(|t: TokenBuilder| t.header("cty", "application/jwt"), HeaderUnsupported)]
#[case::tc_01_psychic(|t: TokenBuilder| t.algorithm(SigningAlgorithm::Es256).signature([0; 64]), SignatureInvalid)]
#[case::tc_01_psychic_der(|t: TokenBuilder| t.algorithm(SigningAlgorithm::Es256).signature(*b"\x30\x06\x02\x01\x00\x02\x01\x00"), SignatureInvalid)]
#[case::tc_01_all_zero_rsa(|t: TokenBuilder| t.signature([0; 256]), SignatureInvalid)]
#[case::tc_01_rsa_one(|t: TokenBuilder| t.signature([&[0; 255][..], &[1]].concat()), SignatureInvalid)]
#[case::tc_01_all_zero_ed25519(|t: TokenBuilder| t.algorithm(SigningAlgorithm::EdDsa).signature([0; 64]), SignatureInvalid)]
#[case::tc_02_beyond_the_order(|t: TokenBuilder| t.algorithm(SigningAlgorithm::Es256).signature([0xff; 64]), SignatureInvalid)]
#[case::tc_02_the_order_itself(|t: TokenBuilder| t.algorithm(SigningAlgorithm::Es256).signature([P256_ORDER, P256_ORDER].concat()), SignatureInvalid)]
#[case::tc_02_one_and_zero(|t: TokenBuilder| t.algorithm(SigningAlgorithm::Es256).signature([&[0; 31][..], &[1], &[0; 32]].concat()), SignatureInvalid)]
#[case::tc_04_short(|t: TokenBuilder| t.signature([1]), SignatureInvalid)]
#[case::tc_04_empty(|t: TokenBuilder| t.signature([]), Malformed)]
#[case::tc_04_long(|t: TokenBuilder| t.signature([0x41; 4096]), SignatureInvalid)]
#[case::tc_06_identity_point(|t: TokenBuilder| t.algorithm(SigningAlgorithm::EdDsa).signature([&[1][..], &[0; 63]].concat()), SignatureInvalid)]
#[case::tc_10_sha_1(|t: TokenBuilder| t.header("alg", "RS1"), AlgorithmNotAllowed)]
#[case::tc_18_post_quantum(|t: TokenBuilder| t.header("alg", "ML-DSA-44"), AlgorithmNotAllowed)]
#[case::tc_18_es256k(|t: TokenBuilder| t.header("alg", "ES256K"), AlgorithmNotAllowed)]
#[case::tc_18_garbage(|t: TokenBuilder| t.header("alg", "\u{1f511}"), AlgorithmNotAllowed)]
#[case::td_01_no_exp(|t: TokenBuilder| t.without("exp"), ClaimMissing)]
#[case::td_02_past(|t: TokenBuilder| t.issued_in(-600).expires_in(-31), Expired)]
#[case::td_03_text(|t: TokenBuilder| t.claim("exp", "9999999999"), ClaimsInvalid)]
#[case::td_03_empty_text(|t: TokenBuilder| t.claim("exp", ""), ClaimsInvalid)]
#[case::td_05_zero(|t: TokenBuilder| t.claim("exp", 0), Expired)]
#[case::td_05_negative(|t: TokenBuilder| t.claim("exp", -1), Expired)]
#[case::td_05_beyond_a_double(|t: TokenBuilder| t.claim("exp", (1_i64 << 53) + 1), ClaimsInvalid)]
#[case::td_05_beyond_an_integer(|t: TokenBuilder| t.claim("exp", 1_u64 << 63), ClaimsInvalid)]
#[case::td_05_a_huge_double(|t: TokenBuilder| t.claim("exp", 1e308), ClaimsInvalid)]
#[case::td_05_true(|t: TokenBuilder| t.claim("exp", true), ClaimsInvalid)]
#[case::td_05_null(|t: TokenBuilder| t.claim("exp", Value::Null), ClaimsInvalid)]
#[case::td_05_a_list(|t: TokenBuilder| t.claim("exp", json!([])), ClaimsInvalid)]
#[case::td_05_an_object(|t: TokenBuilder| t.claim("exp", json!({})), ClaimsInvalid)]
#[case::td_06_ten_years(|t: TokenBuilder| t.expires_in(10 * 365 * 86_400), LifetimeTooLong)]
#[case::td_06_year_9999(|t: TokenBuilder| t.claim("exp", 253_402_300_799_i64), LifetimeTooLong)]
#[case::td_06_a_second_too_long(|t: TokenBuilder| t.expires_in(86_401), LifetimeTooLong)]
#[case::td_07_future(|t: TokenBuilder| t.not_before_in(31), NotYetValid)]
#[case::td_07_text(|t: TokenBuilder| t.claim("nbf", "soon"), ClaimsInvalid)]
#[case::td_07_null(|t: TokenBuilder| t.claim("nbf", Value::Null), ClaimsInvalid)]
#[case::td_08_future(|t: TokenBuilder| t.issued_in(31), IssuedInFuture)]
#[case::td_08_text(|t: TokenBuilder| t.claim("iat", "1750000000"), ClaimsInvalid)]
#[case::td_09_no_iat(|t: TokenBuilder| t.without("iat"), ClaimMissing)]
#[case::td_09_after_exp(|t: TokenBuilder| t.issued_in(20).expires_in(10), IssuedInFuture)]
#[case::td_12_no_iss(|t: TokenBuilder| t.without("iss"), ClaimMissing)]
#[case::td_12_a_list(|t: TokenBuilder| t.claim("iss", json!([ISSUER])), ClaimsInvalid)]
#[case::td_12_null(|t: TokenBuilder| t.claim("iss", Value::Null), ClaimsInvalid)]
#[case::td_12_a_slash(|t: TokenBuilder| t.claim("iss", format!("{ISSUER}/")), IssuerUnknown)]
#[case::td_12_upper_case(|t: TokenBuilder| t.claim("iss", "https://IDP.example.com"), IssuerUnknown)]
#[case::td_12_escaped(|t: TokenBuilder| t.claim("iss", "https:%2F%2Fidp.example.com"), IssuerUnknown)]
#[case::td_12_a_suffix(|t: TokenBuilder| t.claim("iss", format!("{ISSUER}.evil.example")), IssuerUnknown)]
#[case::td_12_a_prefix(|t: TokenBuilder| t.claim("iss", "https://idp.example.co"), IssuerUnknown)]
#[case::td_12_a_user(|t: TokenBuilder| t.claim("iss", "https://idp.example.com@evil.example"), IssuerUnknown)]
#[case::td_12_http(|t: TokenBuilder| t.claim("iss", "http://idp.example.com"), IssuerUnknown)]
#[case::td_12_padded(|t: TokenBuilder| t.claim("iss", format!("{ISSUER} ")), IssuerUnknown)]
#[case::td_12_nul(|t: TokenBuilder| t.claim("iss", format!("{ISSUER}\0")), IssuerUnknown)]
#[case::td_12_empty(|t: TokenBuilder| t.claim("iss", ""), IssuerUnknown)]
#[case::td_14_no_aud(|t: TokenBuilder| t.without("aud"), ClaimMissing)]
#[case::td_14_an_empty_list(|t: TokenBuilder| t.audience(json!([])), ClaimsInvalid)]
#[case::td_14_empty_text(|t: TokenBuilder| t.audience(""), AudienceMismatch)]
#[case::td_16_a_prefix(|t: TokenBuilder| t.audience("https://api.example.co"), AudienceMismatch)]
#[case::td_16_a_suffix(|t: TokenBuilder| t.audience("https://api.example.com/"), AudienceMismatch)]
#[case::td_16_upper_case(|t: TokenBuilder| t.audience("https://API.example.com"), AudienceMismatch)]
#[case::td_16_a_wildcard(|t: TokenBuilder| t.audience("*"), AudienceMismatch)]
#[case::td_16_a_list_in_text(|t: TokenBuilder| t.audience("https://api.example.com https://other.example.com"), AudienceMismatch)]
#[case::td_17_a_number(|t: TokenBuilder| t.audience(7), ClaimsInvalid)]
#[case::td_17_an_object(|t: TokenBuilder| t.audience(json!({ AUDIENCE: true })), ClaimsInvalid)]
#[case::td_17_a_nested_list(|t: TokenBuilder| t.audience(json!([[AUDIENCE]])), ClaimsInvalid)]
#[case::td_17_null_within(|t: TokenBuilder| t.audience(json!([AUDIENCE, null])), ClaimsInvalid)]
#[case::td_17_null(|t: TokenBuilder| t.audience(Value::Null), ClaimsInvalid)]
#[case::td_18_an_id_token(|t: TokenBuilder| t.header("typ", "JWT").audience("canary-client-93c4").claim("nonce", "n"), TypeNotAllowed)]
#[case::td_18_under_our_typ(|t: TokenBuilder| t.audience("canary-client-93c4").claim("nonce", "n"), AudienceMismatch)]
#[case::td_19_keycloak_refresh(|t: TokenBuilder| t.claim("typ", "Refresh"), UseNotAllowed)]
#[case::td_19_keycloak_offline(|t: TokenBuilder| t.claim("typ", "Offline"), UseNotAllowed)]
#[case::td_19_token_use(|t: TokenBuilder| t.claim("token_use", "refresh"), UseNotAllowed)]
#[case::td_18_token_use_id(|t: TokenBuilder| t.claim("token_use", "id"), UseNotAllowed)]
#[case::td_19_a_list(|t: TokenBuilder| t.claim("token_use", json!(["access"])), ClaimsInvalid)]
#[case::td_20_a_logout_token(|t: TokenBuilder| t.without("client_id").without("exp").claim("events", json!({})), ClaimMissing)]
#[case::td_20_a_client_assertion(|t: TokenBuilder| t.without("client_id").header("typ", "client-authentication+jwt"), TypeNotAllowed)]
#[case::td_21_another_api(|t: TokenBuilder| t.audience("https://billing.example.com"), AudienceMismatch)]
#[case::td_23_an_empty_sub(|t: TokenBuilder| t.subject(""), ClaimsInvalid)]
#[case::td_23_a_blank_sub(|t: TokenBuilder| t.subject(" \u{2003}"), ClaimsInvalid)]
#[case::td_23_a_long_sub(|t: TokenBuilder| t.subject("s".repeat(513)), ClaimsInvalid)]
#[case::td_23_a_control_character(|t: TokenBuilder| t.subject("a\r\nb"), ClaimsInvalid)]
#[case::td_23_an_escape_sequence(|t: TokenBuilder| t.subject("\u{1b}[31m"), ClaimsInvalid)]
#[case::td_23_an_empty_client(|t: TokenBuilder| t.client_id(""), ClaimsInvalid)]
#[case::td_23_a_long_client(|t: TokenBuilder| t.client_id("c".repeat(513)), ClaimsInvalid)]
#[case::td_23_no_sub(|t: TokenBuilder| t.without("sub"), ClaimMissing)]
#[case::td_23_no_client(|t: TokenBuilder| t.without("client_id"), ClaimMissing)]
#[case::td_24_no_jti(|t: TokenBuilder| t.without("jti"), ClaimMissing)]
#[case::td_24_an_empty_jti(|t: TokenBuilder| t.token_id(""), ClaimsInvalid)]
#[case::td_26_a_list(|t: TokenBuilder| t.claim("scope", json!(["orders:read"])), ClaimsInvalid)]
#[case::td_26_a_quote(|t: TokenBuilder| t.scope("orders:read\""), ClaimsInvalid)]
#[case::td_26_a_line_break(|t: TokenBuilder| t.scope("orders:read\norders:write"), ClaimsInvalid)]
#[case::tj_12_a_number(|t: TokenBuilder| t.claim("scope", 7), ClaimsInvalid)]
#[case::tj_12_an_object(|t: TokenBuilder| t.claim("scope", json!({"orders": "read"})), ClaimsInvalid)]
#[case::tj_12_null(|t: TokenBuilder| t.claim("scope", Value::Null), ClaimsInvalid)]
#[case::td_27_sub_is_an_object(|t: TokenBuilder| t.claim("sub", json!({})), ClaimsInvalid)]
#[case::td_27_sub_is_a_number(|t: TokenBuilder| t.claim("sub", 1), ClaimsInvalid)]
#[case::td_27_sid_is_null(|t: TokenBuilder| t.claim("sid", Value::Null), ClaimsInvalid)]
#[case::td_27_client_is_a_list(|t: TokenBuilder| t.claim("client_id", json!(["a"])), ClaimsInvalid)]
#[case::td_32_dpop(|t: TokenBuilder| t.claim("cnf", json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"})), BindingUnsupported)]
#[case::td_32_mtls(|t: TokenBuilder| t.claim("cnf", json!({"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"})), BindingUnsupported)]
#[case::td_32_unknown(|t: TokenBuilder| t.claim("cnf", json!({"future": 1})), BindingUnsupported)]
#[case::td_32_empty(|t: TokenBuilder| t.claim("cnf", json!({})), BindingUnsupported)]
#[case::td_32_null(|t: TokenBuilder| t.claim("cnf", Value::Null), BindingUnsupported)]
#[case::td_33_not_an_object(|t: TokenBuilder| t.claim("act", "admin"), ClaimsInvalid)]
#[case::td_33_nine_actors(|t: TokenBuilder| t.claim("act", actors(9)), ClaimsInvalid)]
#[tokio::test]
async fn a_token_with_one_fault_is_refused(#[case] spoil: Spoil, #[case] fault: TokenFault) {
    refuses_token(&auth(), &spoil(token()).mint(), fault).await;
}

fn actors(length: usize) -> Value {
    (1..length).fold(
        json!({"sub": "a"}),
        |inner, _| json!({"sub": "a", "act": inner}),
    )
}

#[rstest]
#[case::tb_38_upper_case(|t: TokenBuilder| t.header("typ", "AT+JWT"))]
#[case::tb_38_a_media_type(|t: TokenBuilder| t.header("typ", "application/at+jwt"))]
#[case::tb_38_an_upper_case_media_type(|t: TokenBuilder| t.header("typ", "Application/AT+JWT"))]
#[case::tb_07_ed25519_by_its_new_name(|t: TokenBuilder| t.algorithm(SigningAlgorithm::EdDsa).header("alg", "Ed25519"))]
#[case::tb_36_no_kid(|t: TokenBuilder| t.without_header("kid"))]
#[case::tb_21_large_numbers(|t: TokenBuilder| t.raw_claims(claims_with(",\"x\":123456789012345678901234567890,\"y\":-0.0e-5")))]
#[case::tb_20_fifteen_levels(|t: TokenBuilder| t.raw_claims(claims_with(&format!(",\"x\":{}", nested(15)))))]
#[case::tb_16_space_around(|t: TokenBuilder| t.raw_header(format!(" \n{}\t", header_with(""))))]
#[case::tc_13_another_spelling(|t: TokenBuilder| t.raw_claims(format!(" {} ", claims_with(",\n\"x\" : \"\\u0061\\/\"").replace(',', " , "))))]
#[case::td_02_the_last_second(|t: TokenBuilder| t.issued_in(-300).expires_in(-29))]
#[case::td_04_a_whole_double(|t: TokenBuilder| t.claim("exp", 1_750_000_300.0))]
#[case::td_04_a_fraction(|t: TokenBuilder| t.claim("exp", 1_750_000_000.5).claim("iat", 1_749_999_999.25))]
#[case::td_04_an_exponent(|t: TokenBuilder| t.raw_claims(claims_with("").replace("1750000300", "1.7500003e9")))]
#[case::td_06_a_day(|t: TokenBuilder| t.expires_in(86_400))]
#[case::td_07_within_the_leeway(|t: TokenBuilder| t.not_before_in(30))]
#[case::td_08_within_the_leeway(|t: TokenBuilder| t.issued_in(30))]
#[case::td_15_among_others(|t: TokenBuilder| t.audience(json!(["https://other.example.com", AUDIENCE])))]
#[case::td_19_keycloak_bearer(|t: TokenBuilder| t.claim("typ", "Bearer"))]
#[case::td_19_cognito_access(|t: TokenBuilder| t.claim("token_use", "access"))]
#[case::td_26_surplus_spaces(|t: TokenBuilder| t.scope(" orders:read  orders:read "))]
#[case::td_27_prototype_names(|t: TokenBuilder| t.claim("__proto__", json!({"sub": "admin"})).claim("constructor", 1).claim("toString", "x"))]
#[case::td_33_eight_actors(|t: TokenBuilder| t.claim("act", actors(8)))]
#[tokio::test]
async fn a_token_that_only_looks_odd_is_accepted(#[case] spoil: Spoil) {
    let principal = accepts_token(&auth(), &spoil(token()).mint()).await;
    assert_eq!(principal.subject(), Some("canary-subject-77aa"));
}

#[rstest]
#[case::tb_09_a_jwe(|_: String| encode_segments(br#"{"alg":"RSA-OAEP-256","enc":"A256GCM"}"#, b"key", b"iv") + ".AAAA.BBBB", Encrypted)]
#[case::tb_08_a_jwe_of_an_unsigned_token(|t: String| format!("{t}.AAAA.BBBB"), Encrypted)]
#[case::tb_11_one_part(|t: String| t.split('.').next().unwrap().to_owned(), Malformed)]
#[case::tb_11_two_parts(|t: String| t.rsplit_once('.').unwrap().0.to_owned(), Malformed)]
#[case::tb_11_four_parts(|t: String| format!("{t}.AAAA"), Malformed)]
#[case::tb_11_six_parts(|t: String| format!("{t}.AAAA.BBBB.CCCC"), Malformed)]
#[case::tb_11_a_leading_dot(|t: String| format!(".{t}"), Malformed)]
#[case::tb_11_a_trailing_dot(|t: String| format!("{t}."), Malformed)]
#[case::tb_11_only_dots(|_: String| "..".to_owned(), Malformed)]
#[case::tb_11_an_empty_header(|t: String| t[t.find('.').unwrap()..].to_owned(), Malformed)]
#[case::tb_11_empty_claims(|t: String| format!("{}..{}", t.split('.').next().unwrap(), t.rsplit('.').next().unwrap()), Malformed)]
#[case::tb_12_thousands_of_dots(|_: String| ".".repeat(8000), Malformed)]
#[case::tb_12_a_huge_header(|t: String| "e30".repeat(2000) + &t[t.find('.').unwrap()..], HeaderInvalid)]
#[case::tb_13_padding(|t: String| format!("{t}=="), Malformed)]
#[case::tb_13_one_padding(|t: String| format!("{t}="), Malformed)]
#[case::tb_14_the_standard_alphabet(|t: String| resigned(&t, |_| vec![0xff; 255]).replace('_', "/"), Malformed)]
#[case::tb_14_a_plus(|t: String| format!("{}+{}", &t[..20], &t[21..]), Malformed)]
#[case::tb_14_a_tilde(|t: String| format!("{}~{}", &t[..20], &t[21..]), Malformed)]
#[case::tb_15_loose_bits(|t: String| { let (head, last) = t.split_at(t.len() - 1); format!("{head}{}", next_in_alphabet(last)) }, Malformed)]
#[case::tc_04_truncated(|t: String| resigned(&t, |mut s| { s.pop(); s }), SignatureInvalid)]
#[case::tc_04_extended(|t: String| resigned(&t, |mut s| { s.push(0); s }), SignatureInvalid)]
#[case::tc_04_a_zero_in_front(|t: String| resigned(&t, |s| [vec![0], s].concat()), SignatureInvalid)]
#[case::tc_04_a_bit_flipped(|t: String| resigned(&t, |mut s| { s[100] ^= 1; s }), SignatureInvalid)]
#[case::tc_04_of_another_token(|t: String| { let other = token().mint(); format!("{}.{}", t.rsplit_once('.').unwrap().0, other.rsplit_once('.').unwrap().1) }, SignatureInvalid)]
#[case::tc_13_respelled(|t: String| { let (header, rest) = t.split_once('.').unwrap(); let (claims, signature) = rest.split_once('.').unwrap(); let claims = [&decode(claims)[..], b" "].concat(); format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(claims)) }, SignatureInvalid)]
#[tokio::test]
async fn a_text_that_is_not_a_token_is_refused(
    #[case] spoil: fn(String) -> String,
    #[case] fault: TokenFault,
) {
    refuses_token(&auth(), &spoil(token().mint()), fault).await;
}

/// The same decoded bytes, as a lax decoder sees it: the bits that the last character has to spare are set.
fn next_in_alphabet(last: &str) -> char {
    let last = last.chars().next().unwrap();
    char::from_u32(u32::from(last) + 1).unwrap()
}

#[tokio::test]
async fn tb_10_json_serialisation_has_no_place_in_a_header() {
    let token = token().mint();
    let [header, claims, signature] = *token.split('.').collect::<Vec<_>>() else {
        panic!("three parts")
    };
    let flattened = json!({"protected": header, "payload": claims, "signature": signature});
    let general =
        json!({"payload": claims, "signatures": [{"protected": header, "signature": signature}]});
    let polyglot = format!("{{\"payload\":\"{claims}\",\"x\":\"{token}\"}}");
    let refusal = Refusal::req(gateless::PresentationFault::BadCharacters);
    for text in [flattened.to_string(), general.to_string(), polyglot] {
        refuses(&auth(), &refusal, &token, |request| {
            request.header("authorization", bearer(&text))
        })
        .await;
    }
}

/// DER, as far as it goes here: a tag, a length of up to two bytes, and the content.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let head = match content.len() {
        0..0x80 => vec![tag, length[1]],
        0x80..0x100 => vec![tag, 0x81, length[1]],
        _ => vec![tag, 0x82, length[0], length[1]],
    };
    [head, content.to_vec()].concat()
}

/// An unsigned integer in DER: without leading zeros, but with one where the first bit is set.
fn der_integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let number = &number[zeros..];
    let sign: &[u8] = if number.first().is_some_and(|byte| byte & 0x80 == 0) {
        &[]
    } else {
        &[0]
    };
    der(2, &[sign, number].concat())
}

/// A public RSA key in all the forms in which somebody may have configured it.
fn public_key_forms(jwk: &Value) -> Vec<Vec<u8>> {
    let (n, e) = (member(jwk, "n"), member(jwk, "e"));
    let pkcs1 = der(0x30, &[der_integer(&n), der_integer(&e)].concat());
    let rsa_encryption = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    let bits = der(3, &[&[0][..], &pkcs1].concat());
    let spki = der(0x30, &[&rsa_encryption[..], &bits].concat());
    let pem = |label: &str, der: &[u8]| {
        let text = STANDARD.encode(der);
        let lines: Vec<_> = text
            .as_bytes()
            .chunks(64)
            .map(|line| String::from_utf8_lossy(line))
            .collect();
        format!(
            "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
            lines.join("\n")
        )
    };
    let pem_spki = pem("PUBLIC KEY", &spki);
    let ssh = [&b"\0\0\0\x07ssh-rsa"[..], &n].concat();
    vec![
        format!(" {pem_spki}").into_bytes(),
        format!("\n\t{pem_spki}").into_bytes(),
        pem_spki.trim_end().as_bytes().to_vec(),
        pem_spki.replace('\n', "\r\n").into_bytes(),
        pem_spki.into_bytes(),
        pem("RSA PUBLIC KEY", &pkcs1).into_bytes(),
        jwk.to_string().into_bytes(),
        format!("ssh-rsa {}", STANDARD.encode(ssh)).into_bytes(),
        pkcs1,
        spki,
    ]
}

#[tokio::test]
async fn tb_03_tb_04_the_public_key_is_no_hmac_secret() {
    let public = jwk(issuer(), "RS256");
    // Even where the policy allows HMAC next to RSA, a key is for its own algorithm only.
    let both = policy().algorithms([Algorithm::RS256, Algorithm::HS256]);
    let both = auth_with(both).build().unwrap();
    let forms = public_key_forms(&public);
    for secret in forms
        .iter()
        .chain([&member(&public, "n"), &Vec::new(), &vec![0; 32]])
    {
        let forged = token().hmac_with(secret);
        refuses_token(&auth(), &forged.clone().mint(), AlgorithmNotAllowed).await;
        refuses_token(&both, &forged.clone().mint(), AlgorithmNotAllowed).await;
        refuses_token(
            &both,
            &forged.clone().without_header("kid").mint(),
            KeyUnknown,
        )
        .await;
        // Under the name of the key's own algorithm it is a bad signature.
        refuses_token(
            &both,
            &forged.header("alg", "RS256").mint(),
            SignatureInvalid,
        )
        .await;
    }
    // Nor can such a secret be configured.
    for secret in forms {
        assert_eq!(
            HmacSecret::new(&secret).unwrap_err(),
            KeyError::SecretIsPublic
        );
    }
}

#[tokio::test]
async fn tb_05_an_hmac_key_is_never_empty_and_never_a_default() {
    for secret in [&b""[..], &[0; 32], &[0; 64], b"secret"] {
        assert!(HmacSecret::new(secret).is_err());
    }
    let secret = b"3fd1b6e0c9a84f7d92e5170a6bc8d4f2";
    let key = Key::hmac(Algorithm::HS256, &HmacSecret::new(secret).unwrap()).unwrap();
    let policy = policy().algorithms([Algorithm::HS256]);
    let auth = |key| {
        BearerAuth::builder(policy.clone(), Keys::fixed(KeySet::new([key])))
            .clock(Arc::new(FakeClock::new()))
            .build()
            .unwrap()
    };
    let named = auth(key.clone().with_id("k1"));
    accepts_token(&named, &token().key_id("k1").hmac_with(secret).mint()).await;
    for guess in [&b""[..], &[0; 32], b"k1", &secret[..31]] {
        let forged = token().key_id("k1").hmac_with(guess).mint();
        refuses_token(&named, &forged, SignatureInvalid).await;
    }
    refuses_token(
        &named,
        &token().key_id("k2").hmac_with(b"").mint(),
        KeyUnknown,
    )
    .await;
    // A key without an id is not the answer to every id.
    refuses_token(
        &auth(key),
        &token().key_id("k2").hmac_with(secret).mint(),
        KeyUnknown,
    )
    .await;
}

#[tokio::test]
async fn tb_06_one_key_one_algorithm() {
    let issuer = TestIssuer::builder()
        .clock(Arc::new(FakeClock::new()))
        .build();
    for algorithm in SigningAlgorithm::ALL {
        let _ = issuer.token().algorithm(*algorithm).mint();
    }
    let all = [
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
    ];
    let policy = policy().algorithms(all.map(|name| Algorithm::from_name(name).unwrap()));
    let auth = BearerAuth::builder(policy.clone(), Keys::fixed(keys_of(&issuer, &policy)))
        .clock(Arc::new(FakeClock::new()))
        .build()
        .unwrap();
    for signing in SigningAlgorithm::ALL {
        let token = issuer.token().algorithm(*signing);
        accepts_token(&auth, &token.clone().mint()).await;
        for claimed in all.into_iter().filter(|name| *name != signing.name()) {
            let confused = token.clone().header("alg", claimed).mint();
            refuses_token(&auth, &confused, AlgorithmNotAllowed).await;
            // Without a kid, the keys of the claimed algorithm are tried.
            let confused = token
                .clone()
                .header("alg", claimed)
                .without_header("kid")
                .mint();
            refuses_token(&auth, &confused, SignatureInvalid).await;
        }
    }
}

#[tokio::test]
async fn tb_29_an_embedded_key_is_no_trust_anchor() {
    let mallory = TestIssuer::builder()
        .clock(Arc::new(FakeClock::new()))
        .build();
    let ours = jwk(issuer(), "RS256")["kid"].as_str().unwrap().to_owned();
    let lenient = auth_with(policy().ignore_key_headers()).build().unwrap();
    let forged = || mallory.token().header("jwk", jwk(&mallory, "RS256"));
    for (auth, unknown, known) in [
        (&auth(), HeaderCarriesKey, HeaderCarriesKey),
        (&lenient, KeyUnknown, SignatureInvalid),
    ] {
        refuses_token(auth, &forged().mint(), unknown).await;
        refuses_token(auth, &forged().header("kid", &*ours).mint(), known).await;
        refuses_token(auth, &forged().without_header("kid").mint(), known).await;
    }
    // A token of ours that carries a key for no reason.
    let token = token().header("jwk", jwk(&mallory, "RS256")).mint();
    refuses_token(&auth(), &token, HeaderCarriesKey).await;
    accepts_token(&lenient, &token).await;
}

#[tokio::test]
async fn tb_30_tb_31_td_34_no_address_in_a_token_is_fetched() {
    let trap = TestIssuer::serve().await.unwrap();
    let lenient = auth_with(policy().ignore_key_headers()).build().unwrap();
    let url = trap.jwks_url();
    let baited = token()
        .header("jku", &*url)
        .header("x5u", &*url)
        .claim("_claim_names", json!({"scope": "src"}))
        .claim(
            "_claim_sources",
            json!({"src": {"endpoint": url, "access_token": "t"}}),
        );
    refuses_token(&auth(), &baited.clone().mint(), HeaderCarriesKey).await;
    let principal = accepts_token(&lenient, &baited.mint()).await;
    assert!(principal.scopes().is_empty());
    let foreign = trap
        .token()
        .header("jku", &*url)
        .claim("iss", ISSUER)
        .mint();
    refuses_token(&lenient, &foreign, KeyUnknown).await;
    refuses_token(&lenient, &trap.token().mint(), IssuerUnknown).await;
    assert_eq!(trap.requests(), gateless_testkit::Requests::default());
}

#[tokio::test]
async fn tb_32_tb_33_a_kid_is_compared_and_nothing_else() {
    for kid in [
        "../../dev/null",
        "' OR '1'='1",
        "$(id)",
        "forged\nline",
        "%s%n{}{0}",
    ] {
        // Unknown, though the file exists and the statement is true.
        let token = token().header("kid", kid).mint();
        refuses(&auth(), &Refusal::tok(KeyUnknown), &token, |request| {
            request.header("authorization", bearer(&token))
        })
        .await;
        // Known, when a key is really called so.
        let mut key = jwk(issuer(), "RS256");
        key["kid"] = kid.into();
        let keys = policy().read_keys(json!({"keys": [key]}).to_string().as_bytes());
        let auth = BearerAuth::builder(policy(), Keys::fixed(keys.unwrap()))
            .clock(Arc::new(FakeClock::new()))
            .build()
            .unwrap();
        accepts_token(&auth, &token).await;
    }
}

/// Two issuers, each with keys of its own, behind one layer.
fn two_issuers() -> (TestIssuer, TestIssuer, BearerAuth) {
    let [a, b] = ["https://a.example.com", "https://b.example.com"].map(|name| {
        TestIssuer::builder()
            .issuer(name)
            .clock(Arc::new(FakeClock::new()))
            .build()
    });
    let [of_a, of_b] = [&a, &b].map(|issuer| {
        let policy = TokenPolicy::new(issuer.issuer(), AUDIENCE);
        let keys = keys_of(issuer, &policy);
        (policy, Keys::fixed(keys))
    });
    let auth = BearerAuth::builder(of_a.0, of_a.1)
        .issuer(of_b.0, of_b.1)
        .clock(Arc::new(FakeClock::new()))
        .build()
        .unwrap();
    (a, b, auth)
}

#[tokio::test]
async fn tb_35_td_13_a_key_of_another_issuer_means_nothing() {
    let (a, b, auth) = two_issuers();
    accepts_token(&auth, &a.token().mint()).await;
    accepts_token(&auth, &b.token().mint()).await;
    let kid_of_a = jwk(&a, "RS256")["kid"].as_str().unwrap().to_owned();
    let posing = || b.token().claim("iss", a.issuer());
    refuses_token(&auth, &posing().mint(), KeyUnknown).await;
    refuses_token(
        &auth,
        &posing().header("kid", &*kid_of_a).mint(),
        SignatureInvalid,
    )
    .await;
    refuses_token(
        &auth,
        &posing().without_header("kid").mint(),
        SignatureInvalid,
    )
    .await;
    refuses_token(
        &auth,
        &b.token().header("kid", &*kid_of_a).mint(),
        KeyUnknown,
    )
    .await;
}

#[tokio::test]
async fn td_28_td_30_the_same_subject_at_two_issuers_is_two_callers() {
    let (a, b, auth) = two_issuers();
    let of_a = accepts_token(&auth, &a.token().subject("1").mint()).await;
    // A claim cannot move a caller from one issuer to the other.
    let of_b = b.token().subject("1").claim("tenant", a.issuer());
    let of_b = accepts_token(&auth, &of_b.mint()).await;
    assert_eq!(of_a.subject(), of_b.subject());
    assert_eq!(of_a.issuer(), a.issuer());
    assert_eq!(of_b.issuer(), b.issuer());
}

#[tokio::test]
async fn tb_36_a_token_without_kid_costs_four_verifications_at_most() {
    let issuer = TestIssuer::builder()
        .clock(Arc::new(FakeClock::new()))
        .build();
    let es256 = SigningAlgorithm::Es256;
    let first = issuer.token().algorithm(es256).mint();
    let mut kids = vec![header(&first)["kid"].as_str().unwrap().to_owned()];
    kids.extend((0..5).map(|_| issuer.add_key(es256)));
    let policy = policy();
    let auth = BearerAuth::builder(policy.clone(), Keys::fixed(keys_of(&issuer, &policy)))
        .clock(Arc::new(FakeClock::new()))
        .build()
        .unwrap();
    for (index, kid) in kids.iter().enumerate() {
        let token = issuer.token().algorithm(es256).key_id(&**kid);
        accepts_token(&auth, &token.clone().mint()).await;
        let anonymous = token.without_header("kid").mint();
        if index < 4 {
            accepts_token(&auth, &anonymous).await;
        } else {
            refuses_token(&auth, &anonymous, SignatureInvalid).await;
        }
    }
}

fn header(token: &str) -> Value {
    serde_json::from_slice(&decode(token.split('.').next().unwrap())).unwrap()
}

fn lax() -> TokenPolicy {
    policy().profile(Profile::Lax)
}

#[rstest]
#[case::tb_39_logout("logout+jwt")]
#[case::tb_39_security_event("secevent+jwt")]
#[case::tb_39_dpop("dpop+jwt")]
#[case::tb_39_jose("JOSE")]
#[case::tb_39_introspection("token-introspection+jwt")]
#[case::tb_39_transaction("txntoken+jwt")]
#[case::tb_39_request_object("oauth-authz-req+jwt")]
#[case::tb_39_client_authentication("client-authentication+jwt")]
#[case::tb_39_id_jag("oauth-id-jag+jwt")]
#[case::tb_39_refresh("rt+jwt")]
#[case::tb_39_media_type("application/logout+jwt")]
#[tokio::test]
async fn tb_39_td_20_other_kinds_of_tokens_are_refused_in_either_profile(#[case] typ: &str) {
    let token = token().header("typ", typ).mint();
    refuses_token(&auth(), &token, TypeNotAllowed).await;
    refuses_token(&auth_with(lax()).build().unwrap(), &token, TypeNotAllowed).await;
}

#[rstest]
#[case::tb_37_no_typ(|t: TokenBuilder| t.without_header("typ"), None)]
#[case::tb_37_jwt(|t: TokenBuilder| t.header("typ", "JWT"), None)]
#[case::td_24_no_jti(|t: TokenBuilder| t.without("jti"), None)]
#[case::td_09_no_iat(|t: TokenBuilder| t.without("iat"), None)]
#[case::td_18_an_azp(|t: TokenBuilder| t.without("client_id").claim("azp", "web"), None)]
#[case::td_01_no_exp(|t: TokenBuilder| t.without("exp"), Some(ClaimMissing))]
#[case::td_06_no_iat_and_ten_years(|t: TokenBuilder| t.without("iat").expires_in(10 * 365 * 86_400), Some(LifetimeTooLong))]
#[case::td_14_no_aud(|t: TokenBuilder| t.without("aud"), Some(ClaimMissing))]
#[case::td_18_a_nonce(|t: TokenBuilder| t.claim("nonce", "n"), Some(UseNotAllowed))]
#[case::td_18_an_at_hash(|t: TokenBuilder| t.claim("at_hash", "h"), Some(UseNotAllowed))]
#[case::td_18_a_c_hash(|t: TokenBuilder| t.claim("c_hash", "h"), Some(UseNotAllowed))]
#[case::td_18_for_its_client(|t: TokenBuilder| t.client_id(AUDIENCE), Some(UseNotAllowed))]
#[case::td_18_for_its_authorized_party(|t: TokenBuilder| t.without("client_id").claim("azp", AUDIENCE), Some(UseNotAllowed))]
#[case::td_19_refresh(|t: TokenBuilder| t.claim("typ", "Refresh"), Some(UseNotAllowed))]
#[case::td_20_a_logout_token(|t: TokenBuilder| t.claim("events", json!({"http://schemas.openid.net/event/backchannel-logout": {}})), Some(UseNotAllowed))]
#[case::td_20_a_dpop_proof(|t: TokenBuilder| t.claim("htm", "GET").claim("htu", "https://a"), Some(UseNotAllowed))]
#[case::td_32_bound(|t: TokenBuilder| t.claim("cnf", json!({"jkt": "a"})), Some(BindingUnsupported))]
#[tokio::test]
async fn the_lax_profile_is_lax_about_form_only(
    #[case] spoil: Spoil,
    #[case] fault: Option<TokenFault>,
) {
    let auth = auth_with(lax()).build().unwrap();
    let token = spoil(token()).mint();
    match fault {
        Some(fault) => refuses_token(&auth, &token, fault).await,
        None => {
            accepts_token(&auth, &token).await;
        }
    }
}

/// The order of P-256.
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// `a - b` for big-endian numbers of one length, where `a` is the larger.
fn subtract(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut borrow = false;
    let mut difference: Vec<u8> = a
        .iter()
        .zip(b)
        .rev()
        .map(|(a, b)| {
            let (digit, first) = a.overflowing_sub(*b);
            let (digit, second) = digit.overflowing_sub(u8::from(borrow));
            borrow = first || second;
            digit
        })
        .collect();
    difference.reverse();
    difference
}

#[tokio::test]
async fn tc_03_ecdsa_in_der_is_refused() {
    let token = token().algorithm(SigningAlgorithm::Es256).mint();
    accepts_token(&auth(), &token).await;
    let in_der = resigned(&token, |signature| {
        let (r, s) = signature.split_at(32);
        der(0x30, &[der_integer(r), der_integer(s)].concat())
    });
    refuses_token(&auth(), &in_der, SignatureInvalid).await;
}

#[tokio::test]
async fn tc_05_the_other_spelling_of_an_ecdsa_signature_is_the_same_token() {
    let low_s = auth_with(policy().require_low_s()).build().unwrap();
    let token = token().algorithm(SigningAlgorithm::Es256).mint();
    let twin = resigned(&token, |signature| {
        let (r, s) = signature.split_at(32);
        [r, &subtract(&P256_ORDER, s)].concat()
    });
    let [first, second] = [
        accepts_token(&auth(), &token).await,
        accepts_token(&auth(), &twin).await,
    ];
    assert_eq!(first.token_id(), second.token_id());
    // One of the two is the low one, and with `require_low_s` only that is accepted.
    let is_low = |token: &str| decode(token.rsplit('.').next().unwrap())[32] < 0x80;
    let (low, high) = if is_low(&token) {
        (token, twin)
    } else {
        (twin, token)
    };
    accepts_token(&low_s, &low).await;
    refuses_token(&low_s, &high, SignatureInvalid).await;
}

#[tokio::test]
async fn tc_06_ed25519_has_one_spelling() {
    /// The order of the base point, little-endian (RFC 8032 §5.1).
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let token = token().algorithm(SigningAlgorithm::EdDsa).mint();
    accepts_token(&auth(), &token).await;
    let twin = resigned(&token, |mut signature| {
        let mut carry = 0_u16;
        for (digit, order) in signature[32..].iter_mut().zip(ORDER) {
            carry += u16::from(*digit) + u16::from(order);
            [*digit, _] = carry.to_le_bytes();
            carry >>= 8;
        }
        assert_eq!(carry, 0);
        signature
    });
    refuses_token(&auth(), &twin, SignatureInvalid).await;
}

fn rsa(n: &[u8], e: &[u8]) -> Value {
    let [n, e] = [n, e].map(|number| URL_SAFE_NO_PAD.encode(number));
    json!({"kty": "RSA", "alg": "RS256", "kid": "k", "n": n, "e": e})
}

#[rstest]
#[case::tc_07_1024_bits(128, &[1, 0, 1])]
#[case::tc_07_2040_bits(255, &[1, 0, 1])]
#[case::tc_07_exponent_one(256, &[1])]
#[case::tc_07_exponent_one_padded(256, &[0, 0, 1])]
#[case::tc_07_an_even_exponent(256, &[1, 0, 0])]
#[case::tc_07_exponent_zero(256, &[0])]
#[case::tc_08_16384_bits(2048, &[1, 0, 1])]
#[case::tc_08_a_huge_exponent(256, &[1, 0, 0, 0, 1])]
fn tc_07_tc_08_a_weak_or_monstrous_rsa_key_is_skipped(#[case] bytes: usize, #[case] e: &[u8]) {
    let weak = json!({"keys": [rsa(&vec![0xff; bytes], e)]}).to_string();
    let Err(KeySetError::NoUsableKey { skipped }) = policy().read_keys(weak.as_bytes()) else {
        panic!("such a key must not be used");
    };
    assert_eq!(skipped[0].reason, SkipReason::Weak);

    // Next to a good key it is skipped, and the good one is used.
    let both = json!({"keys": [rsa(&vec![0xff; bytes], e), jwk(issuer(), "ES256")]}).to_string();
    let keys = policy().read_keys(both.as_bytes()).unwrap();
    assert_eq!((keys.keys().len(), keys.skipped().len()), (1, 1));
}

#[tokio::test]
async fn tc_09_lax_padding_lets_anybody_sign() {
    // Bleichenbacher 2006: with e = 3, a cube whose first bytes look like a signature is found without any key. It
    // passes wherever nobody looks behind the hash.
    let mut weak = jwk(issuer(), "RS256");
    weak["e"] = URL_SAFE_NO_PAD.encode([3]).into();
    let keys = policy().read_keys(json!({"keys": [weak]}).to_string().as_bytes());
    let auth = BearerAuth::builder(policy(), Keys::fixed(keys.unwrap()))
        .clock(Arc::new(FakeClock::new()))
        .build()
        .unwrap();
    let token = token().mint();
    let signed = token.rsplit_once('.').unwrap().0;
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, signed.as_bytes());
    let sha_256 = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
    let start = [&[0, 1][..], &[0xff; 8], &[0], sha_256, hash.as_ref()].concat();
    let shift = 8 * (256 - start.len());
    let start = BigUint::from_bytes_be(&start);
    let root = (start.clone() << shift).cbrt() + 1_u8;
    assert_eq!(root.pow(3) >> shift, start, "the forgery is a good one");
    let root = root.to_bytes_be();
    let forged = resigned(&token, |_| [vec![0; 256 - root.len()], root].concat());
    refuses_token(&auth, &forged, SignatureInvalid).await;
}

#[tokio::test]
async fn tc_12_a_weak_secret_cannot_be_configured() {
    for secret in [
        &b"1234"[..],
        b"password",
        b"secretsecretsecretsecretsecretsecret",
    ] {
        assert!(HmacSecret::new(secret).is_err());
    }
}

#[tokio::test]
async fn tc_14_no_claim_is_used_before_the_signature_is_checked() {
    // Wrong in every respect; the first thing that is found is the signature.
    let forged = token()
        .audience("https://other.example.com")
        .expires_in(-600)
        .claim("typ", "Refresh")
        .claim("cnf", json!({}))
        .signature([7; 256])
        .mint();
    refuses_token(&auth(), &forged, SignatureInvalid).await;
}

#[tokio::test]
async fn tc_17_tm_13_no_spoiled_byte_panics_or_passes() {
    let auth = auth();
    let token = token().algorithm(SigningAlgorithm::EdDsa).mint();
    let recorder = gateless_testkit::Recorder::new();
    for position in 0..token.len() {
        for byte in [b'A', b'_', b'.', b'=', b'/'] {
            let mut spoiled = token.clone().into_bytes();
            if std::mem::replace(&mut spoiled[position], byte) == byte {
                continue;
            }
            let spoiled = String::from_utf8(spoiled).unwrap();
            let request = http::Request::get("/")
                .header("authorization", bearer(&spoiled))
                .body(String::new())
                .unwrap();
            let service = tower::Layer::layer(&auth, recorder.clone());
            let answer = tower::ServiceExt::oneshot(service, request).await.unwrap();
            assert!(
                matches!(answer.status().as_u16(), 400 | 401),
                "{spoiled} at {position}"
            );
        }
    }
    assert!(recorder.requests().is_empty());
}

/// What a token is like at a moment of the layer's clock, in milliseconds around that of the issuer.
async fn at(millis: i64, token: TokenBuilder) -> Option<TokenFault> {
    let start = FakeClock::START.as_millis();
    let clock = FakeClock::at(gateless::Timestamp::from_millis(start + millis));
    let auth = auth_with(policy()).clock(Arc::new(clock)).build().unwrap();
    let request = http::Request::get("/")
        .header("authorization", bearer(token.mint()))
        .body(String::new())
        .unwrap();
    let answer = crate::support::send(&auth, request).await;
    match answer.rejection {
        None => None,
        Some(gateless::Rejection::TokenInvalid(fault)) => Some(fault),
        other => panic!("{other:?}"),
    }
}

#[rstest]
#[case::td_02_before(|t: TokenBuilder| t.expires_in(60), 59_999, None)]
#[case::td_02_exactly_now(|t: TokenBuilder| t.expires_in(60), 60_000, None)]
#[case::td_02_the_last_moment(|t: TokenBuilder| t.expires_in(60), 89_999, None)]
#[case::td_02_on_leeway(|t: TokenBuilder| t.expires_in(60), 90_000, Some(Expired))]
#[case::td_02_long_after(|t: TokenBuilder| t.expires_in(60), 86_400_000, Some(Expired))]
#[case::td_04_a_fraction_still_good(|t: TokenBuilder| t.claim("exp", 1_750_000_060.5), 90_499, None)]
#[case::td_04_a_fraction_no_longer(|t: TokenBuilder| t.claim("exp", 1_750_000_060.5), 90_500, Some(Expired))]
#[case::td_07_too_early(|t: TokenBuilder| t.not_before_in(60), 29_999, Some(NotYetValid))]
#[case::td_07_on_leeway(|t: TokenBuilder| t.not_before_in(60), 30_000, None)]
#[case::td_08_too_early(|t: TokenBuilder| t.issued_in(0), -30_001, Some(IssuedInFuture))]
#[case::td_08_on_leeway(|t: TokenBuilder| t.issued_in(0), -30_000, None)]
#[case::td_11_the_clock_falls_back_a_year(|t: TokenBuilder| t, -31_536_000_000, Some(IssuedInFuture))]
#[case::td_11_the_clock_leaps_a_year(|t: TokenBuilder| t, 31_536_000_000, Some(Expired))]
#[tokio::test]
async fn times_are_judged_to_the_millisecond(
    #[case] spoil: Spoil,
    #[case] millis: i64,
    #[case] fault: Option<TokenFault>,
) {
    assert_eq!(at(millis, spoil(token())).await, fault);
}

#[tokio::test]
async fn td_10_a_leeway_of_more_than_five_minutes_cannot_be_built() {
    let leeway = |secs| {
        let policy = policy().leeway(std::time::Duration::from_secs(secs));
        auth_with(policy).build()
    };
    assert!(leeway(300).is_ok());
    let error = leeway(301).unwrap_err();
    assert_eq!(error.faults()[0].setting(), "leeway");
}

#[tokio::test]
async fn td_15_an_audience_alone_is_an_option() {
    let alone = auth_with(policy().single_audience()).build().unwrap();
    let shared = token()
        .audience(json!([AUDIENCE, "https://other.example.com"]))
        .mint();
    accepts_token(&auth(), &shared).await;
    refuses_token(&alone, &shared, AudienceMismatch).await;
    accepts_token(&alone, &token().audience(json!([AUDIENCE])).mint()).await;
}

#[tokio::test]
async fn td_22_tj_15_a_client_is_not_a_user_of_the_same_name() {
    let user = accepts_token(&auth(), &token().subject("7").client_id("web").mint()).await;
    assert_eq!(user.kind(), PrincipalKind::User);
    let client = accepts_token(&auth(), &token().subject("7").client_id("7").mint()).await;
    assert_eq!(client.kind(), PrincipalKind::Client);
    let nameless = token().without("sub").client_id("7").mint();
    let nameless = accepts_token(&auth_with(lax()).build().unwrap(), &nameless).await;
    assert_eq!(nameless.kind(), PrincipalKind::Client);
}

#[tokio::test]
async fn td_26_tj_09_scopes_stand_in_one_claim_in_one_form() {
    let granted = async |policy, token: TokenBuilder| {
        let auth = auth_with(policy).build().unwrap();
        let principal = accepts_token(&auth, &token.mint()).await;
        principal
            .scopes()
            .iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let everywhere = token()
        .scope("from:scope")
        .claim("scp", json!(["from:scp"]))
        .claim("roles", json!(["from:roles"]))
        .claim("permissions", json!(["from:permissions"]))
        .claim("authorities", "from:authorities");
    assert_eq!(granted(policy(), everywhere.clone()).await, ["from:scope"]);
    let list = |name| policy().scope_claim(ScopeClaim::list(name));
    assert_eq!(granted(list("scp"), everywhere.clone()).await, ["from:scp"]);
    assert_eq!(
        granted(list("permissions"), everywhere).await,
        ["from:permissions"]
    );

    // No claim is no scope, and commas do not separate.
    assert!(
        granted(policy(), token().claim("scp", "from:scp"))
            .await
            .is_empty()
    );
    assert_eq!(granted(policy(), token().scope("a,b")).await, ["a,b"]);
    let text_for_a_list = token().claim("scp", "a b").mint();
    refuses_token(
        &auth_with(list("scp")).build().unwrap(),
        &text_for_a_list,
        ClaimsInvalid,
    )
    .await;
}

#[tokio::test]
async fn td_31_a_subject_is_its_bytes() {
    for subject in [
        "caf\u{e9}",
        "cafe\u{301}",
        "\u{430}dmin",
        "Admin",
        " admin ",
    ] {
        let principal = accepts_token(&auth(), &token().subject(subject).mint()).await;
        assert_eq!(principal.subject(), Some(subject));
    }
}

#[tokio::test]
async fn td_33_delegation_is_exposed_and_can_be_forbidden() {
    let delegated = token()
        .claim("act", json!({"sub": "support", "act": {"sub": "batch"}}))
        .mint();
    let principal = accepts_token(&auth(), &delegated).await;
    let actors: Vec<_> = principal
        .actors()
        .iter()
        .map(|actor| &*actor.subject)
        .collect();
    assert_eq!(actors, ["support", "batch"]);
    let strict = auth_with(policy().forbid_delegation()).build().unwrap();
    refuses_token(&strict, &delegated, TokenFault::DelegationNotAllowed).await;
    accepts_token(&strict, &token().mint()).await;
}

#[tokio::test]
async fn td_35_authorization_details_never_widen_what_is_granted() {
    let stack = ServiceBuilder::new()
        .layer(auth())
        .layer(ScopeGuard::all(scopes!["payments:write"]))
        .into_inner();
    let token = token()
        .scope("payments:read")
        .claim(
            "authorization_details",
            json!([{"type": "payments:write", "actions": ["write"]}]),
        )
        .mint();
    let refusal = Refusal::scope(&["payments:write"], &["payments:write"]);
    refuses(&stack, &refusal, &token, |request| {
        request.header("authorization", bearer(&token))
    })
    .await;
}

#[tokio::test]
async fn the_allowed_clients_are_a_closed_list() {
    let auth = auth_with(policy().allowed_clients(["web", "batch"]))
        .build()
        .unwrap();
    accepts_token(&auth, &token().client_id("batch").mint()).await;
    for client in ["Web", "web ", "webx", "canary-client-93c4"] {
        let token = token().client_id(client).mint();
        refuses_token(&auth, &token, TokenFault::ClientNotAllowed).await;
    }
}

#[tokio::test]
async fn a_good_token_says_all_of_this() {
    let token = token()
        .scope("orders:read orders:write")
        .claim("acr", "urn:mfa")
        .claim("auth_time", FakeClock::START.as_secs() - 60)
        .claim("tenant", "acme");
    let principal = accepts_token(&auth(), &token.mint()).await;
    assert_eq!(principal.issuer(), ISSUER);
    assert_eq!(principal.client_id(), Some("canary-client-93c4"));
    assert_eq!(principal.session_id(), Some("canary-session-8d1e"));
    assert_eq!(principal.audience().collect::<Vec<_>>(), [AUDIENCE]);
    assert_eq!(principal.authentication_context(), Some("urn:mfa"));
    assert_eq!(principal.issued_at(), Some(FakeClock::START));
    assert_eq!(principal.key_id(), jwk(issuer(), "RS256")["kid"].as_str());
    assert!(
        principal
            .scopes()
            .contains(&Scope::parse("orders:write").unwrap())
    );
    let claims: Value = principal.claims().unwrap();
    assert_eq!(claims["tenant"], "acme");
}
