//! From octets to an answer.

use super::*;

fn read(body: impl AsRef<[u8]>) -> Result<bool, AnswerFault> {
    Answer::read(body.as_ref()).map(|answer| matches!(answer, Answer::Active(_)))
}

#[rstest]
#[case::tf_01(r#"{"active":true}"#, Ok(true))]
#[case::tf_01(r#"{"active":false}"#, Ok(false))]
#[case::tf_01(r#" {"active" : false} "#, Ok(false))]
#[case::tf_01(r#"{"\u0061ctive":true}"#, Ok(true))]
#[case::tf_01(r#"{"active":"true"}"#, Err(AnswerFault::ActiveInvalid))]
#[case::tf_01(r#"{"active":"false"}"#, Err(AnswerFault::ActiveInvalid))]
#[case::tf_01(r#"{"active":1}"#, Err(AnswerFault::ActiveInvalid))]
#[case::tf_01(r#"{"active":-1}"#, Err(AnswerFault::ActiveInvalid))]
#[case::tf_01(r#"{"active":1.0}"#, Err(AnswerFault::ActiveInvalid))]
#[case::tf_01(r#"{"active":null}"#, Err(AnswerFault::ActiveInvalid))]
#[case::tf_01(r#"{"active":[true]}"#, Err(AnswerFault::ActiveInvalid))]
#[case::tf_01(r#"{"active":{"active":true}}"#, Err(AnswerFault::ActiveInvalid))]
#[case::tf_01(r#"{"Active":true}"#, Err(AnswerFault::ActiveInvalid))]
#[case::tf_01(r#"{"a":{"active":true}}"#, Err(AnswerFault::ActiveInvalid))]
#[case::tf_01("{}", Err(AnswerFault::ActiveInvalid))]
#[case::tf_01(r#"{"error":"invalid_client"}"#, Err(AnswerFault::ActiveInvalid))]
fn only_the_boolean_true_is_active(
    #[case] body: &str,
    #[case] expected: Result<bool, AnswerFault>,
) {
    assert_eq!(read(body), expected);
}

#[rstest]
#[case("")]
#[case("true")]
#[case("null")]
#[case(r#"[{"active":true}]"#)]
#[case(r#""{\"active\":true}""#)]
#[case("<html><body>active</body></html>")]
#[case("active=true")]
#[case(r#"{"active":true"#)]
#[case(r#"{"active":true,}"#)]
#[case(r#"{"active":true}{}"#)]
#[case(r#"{"active":True}"#)]
#[case("{'active':true}")]
#[case("\u{feff}{\"active\":true}")]
#[case(r#"{"active":true,"active":true}"#)]
#[case(r#"{"active":false,"active":true}"#)]
#[case(r#"{"active":true,"\u0061ctive":true}"#)]
#[case(r#"{"active":false,"sub":"a","sub":"b"}"#)]
#[case(r#"{"active":true,"sub":"a","sub":"b"}"#)]
#[case(r#"{"active":true,"x":{"y":[{"z":1,"z":1}]}}"#)]
#[case(r#"{"active":{"a":1,"a":1}}"#)]
#[case(r#"{"active":[{"a":1,"a":1}]}"#)]
#[case(r#"{"active":true,"sub":"\ud800"}"#)]
fn what_is_not_one_strict_object_is_unreadable(#[case] body: &str) {
    assert_eq!(read(body), Err(AnswerFault::Unreadable));
}

#[rstest]
#[case(b"{\"active\":true,\"sub\":\"\xff\"}")]
#[case(b"\xff\xfe{\0\"\0")]
fn what_is_not_utf_8_is_unreadable(#[case] body: &[u8]) {
    assert_eq!(read(body), Err(AnswerFault::Unreadable));
}

#[rstest]
#[case(15, true)]
#[case(16, false)]
#[case(10_000, false)]
fn tf_11_depth_is_bounded(#[case] arrays: usize, #[case] fits: bool) {
    let (open, close) = ("[".repeat(arrays), "]".repeat(arrays));
    for active in ["true", "false"] {
        let body = format!(r#"{{"active":{active},"x":{open}{close}}}"#);
        assert_eq!(read(body).is_ok(), fits);
    }
    // The same limit where `active` itself is nested.
    let expected = if fits {
        AnswerFault::ActiveInvalid
    } else {
        AnswerFault::Unreadable
    };
    let body = format!(r#"{{"active":{open}{close}}}"#);
    assert_eq!(read(body), Err(expected));
    if arrays > 1 {
        let inner = |depth: usize| {
            let (open, close) = (r#"{"a":"#.repeat(depth), "}".repeat(depth));
            format!(r#"{{"active":{open}1{close}}}"#)
        };
        assert_eq!(read(inner(arrays)), Err(expected));
    }
}

#[rstest]
#[case(json!({ "sub": 1 }))]
#[case(json!({ "sub": "" }))]
#[case(json!({ "exp": "1800000000" }))]
#[case(json!({ "exp": true }))]
#[case(json!({ "nbf": "soon" }))]
#[case(json!({ "iat": [] }))]
#[case(json!({ "iss": [ISSUER] }))]
#[case(json!({ "aud": 1 }))]
#[case(json!({ "aud": [1] }))]
#[case(json!({ "aud": {} }))]
#[case(json!({ "act": "somebody" }))]
#[case(json!({ "token_type": 1 }))]
#[case(json!({ "token_type": ["Bearer"] }))]
#[case(json!({ "token_use": true }))]
#[case(json!({ "token_usage": 1 }))]
#[case(json!({ "client_id": 7 }))]
fn a_claim_of_the_wrong_type_spoils_the_answer_only_of_an_active_token(#[case] changes: Value) {
    let body = merged(answer(), changes);
    assert_eq!(read(body.to_string()), Err(AnswerFault::ClaimsInvalid));
    let body = merged(body, json!({ "active": false }));
    assert_eq!(read(body.to_string()), Ok(false));
}

#[rstest]
#[case(r#"{"active":true,"sub":null,"sub":"a"}"#)]
#[case(r#"{"active":true,"sub":"a","sub":null}"#)]
#[case(r#"{"active":true,"cnf":null,"cnf":null}"#)]
fn null_hides_no_name_that_is_there_twice(#[case] body: &str) {
    assert_eq!(read(body), Err(AnswerFault::Unreadable));
}

#[test]
fn debug_prints_no_claim() {
    let answer = answer_with(json!({ "sub": "canary", "jti": "canary", "x": "canary" }));
    let read = Answer::read(answer.to_string().as_bytes()).unwrap();
    assert_eq!(format!("{read:?}"), "Active(ActiveToken { .. })");
    let facts = active(&answer).into_facts(TOKEN, &policy(), now()).unwrap();
    assert!(!format!("{facts:?}").contains("canary"));
}

#[test]
fn every_fault_of_an_answer_has_a_code_of_its_own() {
    let faults = [
        AnswerFault::Unreadable,
        AnswerFault::ActiveInvalid,
        AnswerFault::ClaimsInvalid,
        AnswerFault::NotSigned,
        AnswerFault::SignatureInvalid(TokenFault::KeyUnknown),
        AnswerFault::Issuer,
        AnswerFault::Recipient,
        AnswerFault::Replayed,
    ];
    let codes: std::collections::HashSet<_> = faults.iter().map(|fault| fault.code()).collect();
    assert_eq!(codes.len(), faults.len());
    assert!(
        codes
            .iter()
            .all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
    );
}
