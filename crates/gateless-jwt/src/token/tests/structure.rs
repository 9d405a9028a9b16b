//! Segments, JSON and the header.

use super::*;

#[test]
fn a_good_token_of_every_algorithm_is_accepted() {
    for algorithm in Algorithm::ALL {
        let issuer = signer(algorithm);
        let principal = authenticate(&issuer.token(&claims()), &issuer.keys(), &policy()).unwrap();
        assert_eq!(principal.issuer(), ISSUER);
        assert_eq!(principal.subject(), Some("user-1"));
        assert_eq!(principal.client_id(), Some("web"));
        assert_eq!(principal.token_id(), Some("token-1"));
        assert_eq!(principal.key_id(), Some(&*issuer.id()));
        assert_eq!(principal.audience().collect::<Vec<_>>(), [AUDIENCE]);
        assert_eq!(principal.expires_at().as_secs(), NOW + 540);
        assert!(principal.scopes().contains(&scope!("orders:read")));
        assert_eq!(principal.claims::<Value>().unwrap(), claims());
    }
}

#[test]
fn an_algorithm_that_the_policy_does_not_allow_is_refused() {
    for algorithm in Algorithm::ALL {
        let issuer = signer(algorithm);
        let others = Algorithm::ALL
            .into_iter()
            .filter(|other| *other != algorithm);
        let result = authenticate(
            &issuer.token(&claims()),
            &issuer.keys(),
            &policy().algorithms(others),
        );
        assert_eq!(
            fault_of(result),
            Some(TokenFault::AlgorithmNotAllowed),
            "{algorithm}"
        );
    }
}

#[test]
fn the_default_policy_allows_no_hmac() {
    let issuer = signer(Algorithm::HS256);
    let policy = TokenPolicy::new(ISSUER, AUDIENCE);
    let result = authenticate(&issuer.token(&claims()), &issuer.keys(), &policy);
    assert_eq!(fault_of(result), Some(TokenFault::AlgorithmNotAllowed));
}

#[test]
fn tb_07_both_names_of_ed25519_are_the_same() {
    for header in ["EdDSA", "Ed25519"] {
        for key in ["EdDSA", "Ed25519"] {
            let keys = key_set(&[merged(issuer().jwk(), json!({ "alg": key }))]);
            let token = issuer().token_with(json!({ "alg": header }), &claims());
            assert!(authenticate(&token, &keys, &policy()).is_ok());
        }
    }
}

#[rstest]
#[case::tb_01("none")]
#[case::tb_02("None")]
#[case::tb_02("NONE")]
#[case::tb_02("nOnE")]
#[case::tb_02("none ")]
#[case::tb_07("Ed448")]
#[case::tb_27("PBES2-HS256+A128KW")]
#[case::tb_28("RSA1_5")]
#[case::tc_10("RS1")]
#[case::tc_18("ML-DSA-65")]
#[case::tc_18("eddsa")]
fn no_other_algorithm_is_believed(#[case] name: &str) {
    // With a signature that would verify, with a made-up one, and without any.
    let token = issuer().token_with(json!({ "alg": name }), &claims());
    assert_eq!(fault_of(lax(&token)), Some(TokenFault::AlgorithmNotAllowed));
    assert_eq!(
        fault_of(lax(&with_signature(&token, b"x"))),
        Some(TokenFault::AlgorithmNotAllowed)
    );
    assert_eq!(
        fault_of(lax(&with_signature(&token, b""))),
        Some(TokenFault::Malformed)
    );
}

#[test]
fn tb_09_tb_11_only_three_segments_that_are_not_empty_are_a_token() {
    let token = issuer().token(&claims());
    let [header, payload, signature] = segments(&token);
    for (text, fault) in [
        (String::new(), TokenFault::Malformed),
        (".".into(), TokenFault::Malformed),
        ("..".into(), TokenFault::Malformed),
        ("...".into(), TokenFault::Malformed),
        ("....".into(), TokenFault::Encrypted),
        (header.into(), TokenFault::Malformed),
        (format!("{header}.{payload}"), TokenFault::Malformed),
        (format!("{header}.{payload}."), TokenFault::Malformed),
        (format!(".{payload}.{signature}"), TokenFault::Malformed),
        (format!("{header}..{signature}"), TokenFault::Malformed),
        (format!(".{token}"), TokenFault::Malformed),
        (format!("{token}."), TokenFault::Malformed),
        (format!("{token}.{signature}"), TokenFault::Malformed),
        (format!("{token}.a.b"), TokenFault::Encrypted),
        (format!("{token}.a.b.c"), TokenFault::Malformed),
    ] {
        assert_eq!(fault_of(strict(&text)), Some(fault), "{text}");
    }
    assert!(strict(&token).is_ok());
}

#[test]
fn tb_12_thousands_of_dots_and_huge_segments_are_refused() {
    let megabyte = 1 << 20;
    for text in [
        ".".repeat(megabyte),
        "a.".repeat(megabyte),
        "a".repeat(megabyte),
        format!("{}.a.a", "A".repeat(megabyte)),
        format!("a.{}.a", "[".repeat(megabyte)),
        format!("{}.{}.", encode("[".repeat(megabyte)), encode("{}")),
    ] {
        assert!(strict(&text).is_err());
    }
}

#[test]
fn tb_13_tb_14_tb_15_every_other_spelling_of_a_token_is_refused() {
    // Lengths that leave loose bits and room for padding in each segment.
    let token = issuer().sign(
        format!(
            r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{}" }}"#,
            issuer().id()
        ),
        claims_with(json!({ "pad": "" })).to_string() + "  ",
    );
    assert!(strict(&token).is_ok());
    let mut spelled = 0;
    for at in 0..3 {
        let mut respell = |segment: String| {
            let mut segments = segments(&token).map(str::to_owned);
            assert_ne!(segments[at], segment);
            segments[at] = segment;
            let result = strict(&segments.join("."));
            assert_eq!(fault_of(result), Some(TokenFault::Malformed));
            spelled += 1;
        };
        let segment = segments(&token)[at];
        let (head, last) = segment.split_at(segment.len() - 1);
        respell(format!("{segment}="));
        respell(format!("{segment}=="));
        respell(format!("{segment} "));
        respell(format!(" {segment}"));
        respell(format!("{head}\n{last}"));
        respell(format!("{head}\r\n{last}"));
        respell(format!("{segment}\0"));
        respell(format!("{segment}\u{200b}"));
        for (ours, theirs) in [('-', '+'), ('_', '/')] {
            if segment.contains(ours) {
                respell(segment.replace(ours, &theirs.to_string()));
            }
        }
        if !segment.len().is_multiple_of(4) {
            // The next letter of the alphabet differs in the last, loose bit.
            let next = char::from(last.as_bytes()[0] + 1);
            respell(format!("{head}{next}"));
        }
    }
    assert!(spelled > 24);
}

#[rstest]
#[case::tb_16("[]")]
#[case::tb_16("null")]
#[case::tb_16("\"a\"")]
#[case::tb_16("7")]
#[case::tb_17(r#"{"alg":"none","alg":"EdDSA","typ":"at+jwt"}"#)]
#[case::tb_17(r#"{"alg":"EdDSA","alg":"EdDSA","typ":"at+jwt"}"#)]
#[case::tb_17(r#"{"alg":"EdDSA","typ":"at+jwt","kid":"key-EdDSA","kid":"other"}"#)]
#[case::tb_17(r#"{"alg":"EdDSA","typ":"at+jwt","\u0061lg":"none"}"#)]
#[case::tb_19(r#"{"typ":"at+jwt"}"#)]
#[case::tb_19(r#"{"alg":{"name":"EdDSA"},"typ":"at+jwt"}"#)]
#[case::tb_22("\u{feff}{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\"}")]
#[case::tb_34(r#"{"alg":"EdDSA","typ":"at+jwt","kid":""}"#)]
fn a_header_that_is_not_strict_is_refused(#[case] header: &str) {
    let token = issuer().sign(header, claims().to_string());
    assert_eq!(fault_of(strict(&token)), Some(TokenFault::HeaderInvalid));
}

#[rstest]
#[case::tb_16("[]")]
#[case::tb_16("null")]
#[case::tb_16("true")]
#[case::tb_16("")]
#[case::tb_18(r#"{"exp":1800000540,"exp":9999999999}"#)]
#[case::tb_18(r#"{"sub":"a","sub":"b"}"#)]
#[case::tb_18(r#"{"cnf":{"jkt":"a","jkt":"b"}}"#)]
#[case::tb_18(r#"{"a":[{"b":{"c":1,"c":1}}]}"#)]
#[case::tb_21(r#"{"big":1e400}"#)]
#[case::tb_21(r#"{"nan":NaN}"#)]
#[case::tb_22("\u{feff}{}")]
#[case::tb_22(r#"{"a":"\ud800"}"#)]
#[case::tb_22(r#"{"a":"\udc00\ud800"}"#)]
fn claims_that_are_not_strict_are_refused(#[case] payload: &str) {
    // What is well-formed in the payload gets all the claims that a good token has.
    let payload = match payload
        .strip_prefix('{')
        .map(|rest| rest.trim_end_matches('}'))
    {
        Some("") | None => payload.to_owned(),
        Some(_) => {
            let good = claims_without("sub").to_string();
            let good = good.replace("\"exp\":1800000540,", "");
            format!("{},{}", payload.strip_suffix('}').unwrap(), &good[1..])
        }
    };
    let header = json!({ "alg": "EdDSA", "typ": "at+jwt" }).to_string();
    let fault = fault_of(strict(&issuer().sign(header, payload.clone())));
    let expected = if payload.is_empty() {
        TokenFault::Malformed
    } else {
        TokenFault::ClaimsInvalid
    };
    assert_eq!(fault, Some(expected), "{payload}");
}

#[test]
fn tb_20_tb_21_odd_but_strict_json_in_unused_claims_is_accepted() {
    let deep = format!("{}{}", "[".repeat(15), "]".repeat(15));
    for (value, accepted) in [
        (deep.clone(), true),
        (format!("[{deep}]"), false),
        (
            format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)),
            false,
        ),
        (r#"{"a":"#.repeat(10_000), false),
        ("9".repeat(300), true),
        ("-0".into(), true),
        ("1e308".into(), true),
        ("123456789012345678901234567890".into(), true),
    ] {
        let payload = claims()
            .to_string()
            .replacen('{', &format!("{{\"x\":{value},"), 1);
        let header = json!({ "alg": "EdDSA", "typ": "at+jwt" }).to_string();
        let result = strict(&issuer().sign(header, payload));
        assert_eq!(result.is_ok(), accepted, "{value:.40}");
    }
}

#[test]
fn tb_22_other_encodings_are_refused() {
    let text = claims().to_string();
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf32: Vec<u8> = text
        .chars()
        .flat_map(|c| (c as u32).to_be_bytes())
        .collect();
    let latin: Vec<u8> = text
        .replace("user-1", "us\u{0}r")
        .replace('\0', "e")
        .into_bytes();
    let mut broken = latin.clone();
    let at = text.find("user-1").unwrap();
    broken[at] = 0xff;
    let header = json!({ "alg": "EdDSA", "typ": "at+jwt" }).to_string();
    for (payload, accepted) in [
        (utf16, false),
        (utf32, false),
        (broken, false),
        (latin, true),
    ] {
        let result = strict(&issuer().sign(&header, payload));
        assert_eq!(result.is_ok(), accepted);
    }
}

#[rstest]
#[case::tb_23(json!({ "crit": ["exp"], "exp": 1 }))]
#[case::tb_23(json!({ "crit": ["http://example.com/x"], "http://example.com/x": true }))]
#[case::tb_24(json!({ "crit": [] }))]
#[case::tb_24(json!({ "crit": ["alg"] }))]
#[case::tb_24(json!({ "crit": ["absent"] }))]
#[case::tb_24(json!({ "crit": "exp" }))]
#[case::tb_24(json!({ "crit": null }))]
#[case::tb_25(json!({ "b64": false }))]
#[case::tb_25(json!({ "b64": true }))]
#[case::tb_25(json!({ "b64": false, "crit": ["b64"] }))]
#[case::tb_26(json!({ "zip": "DEF" }))]
#[case::tb_40(json!({ "cty": "JWT" }))]
#[case::tb_40(json!({ "cty": "application/JWT" }))]
fn an_extension_is_refused_by_every_policy(#[case] header: Value) {
    let token = issuer().token_with(header, &claims());
    let expected = Some(TokenFault::HeaderUnsupported);
    assert_eq!(fault_of(strict(&token)), expected);
    assert_eq!(fault_of(lax(&token)), expected);
    let policy = policy().ignore_key_headers();
    assert_eq!(
        fault_of(authenticate(&token, &issuer().keys(), &policy)),
        expected
    );
}

#[test]
fn tb_40_a_token_in_a_token_is_refused() {
    let mut token = issuer().token(&claims());
    // Each level is a third longer: more of them do not fit into a request.
    for _ in 0..12 {
        let header = json!({ "alg": "EdDSA", "typ": "at+jwt" }).to_string();
        token = issuer().sign(header, &token);
        assert!(strict(&token).is_err());
    }
}

#[rstest]
#[case::tb_38(json!("at+jwt"), true, true)]
#[case::tb_38(json!("AT+JWT"), true, true)]
#[case::tb_38(json!("application/at+jwt"), true, true)]
#[case::tb_38(json!("Application/At+Jwt"), true, true)]
#[case::tb_37(json!("JWT"), false, true)]
#[case::tb_37(json!("jwt"), false, true)]
#[case::tb_37(json!("application/jwt"), false, true)]
#[case::tb_39(json!("logout+jwt"), false, false)]
#[case::tb_39(json!("secevent+jwt"), false, false)]
#[case::tb_39(json!("dpop+jwt"), false, false)]
#[case::tb_39(json!("JOSE"), false, false)]
#[case::tb_39(json!("JOSE+JSON"), false, false)]
#[case::tb_39(json!("token-introspection+jwt"), false, false)]
#[case::tb_39(json!("txntoken+jwt"), false, false)]
#[case::tb_39(json!("oauth-authz-req+jwt"), false, false)]
#[case::tb_39(json!("client-authentication+jwt"), false, false)]
#[case::tb_39(json!("id_token+jwt"), false, false)]
#[case::tb_39(json!(""), false, false)]
#[case::tb_39(json!("at+jwt "), false, false)]
#[case::tb_39(json!("at+jwt; charset=utf-8"), false, false)]
#[case::tb_39(json!("text/at+jwt"), false, false)]
#[case::tb_39(json!("application/application/at+jwt"), false, false)]
fn the_type_of_a_token_decides(#[case] typ: Value, #[case] in_strict: bool, #[case] in_lax: bool) {
    let token = issuer().token_with(json!({ "typ": typ }), &claims());
    let fault = |accepted: bool| (!accepted).then_some(TokenFault::TypeNotAllowed);
    assert_eq!(fault_of(strict(&token)), fault(in_strict));
    assert_eq!(fault_of(lax(&token)), fault(in_lax));
}

#[test]
fn tb_37_a_missing_type_is_for_the_lax_profile() {
    let token = issuer().sign(json!({ "alg": "EdDSA" }).to_string(), claims().to_string());
    assert_eq!(fault_of(strict(&token)), Some(TokenFault::TypeNotAllowed));
    assert!(lax(&token).is_ok());
}

#[rstest]
#[case::tb_32(json!({ "kid": "../../dev/null" }))]
#[case::tb_33(json!({ "kid": "x' UNION SELECT 'k' --" }))]
#[case::tb_33(json!({ "kid": "key-EdDSA)(|(a=*" }))]
#[case::tb_33(json!({ "kid": "*" }))]
#[case::tb_33(json!({ "kid": "key-EdDSA " }))]
#[case::tb_33(json!({ "kid": "key-EDDSA" }))]
#[case::tb_33(json!({ "kid": "key-EdDSA\u{0}" }))]
fn a_key_id_is_only_looked_up(#[case] header: Value) {
    let token = issuer().token_with(header, &claims());
    assert_eq!(fault_of(strict(&token)), Some(TokenFault::KeyUnknown));
}

#[rstest]
#[case::tb_34(json!({ "kid": "k".repeat(100_000) }))]
#[case::tb_34(json!({ "kid": 7 }))]
#[case::tb_34(json!({ "kid": ["key-EdDSA"] }))]
#[case::tb_34(json!({ "kid": null }))]
fn a_key_id_that_is_none_causes_no_fetch(#[case] header: Value) {
    // `KeyUnknown` is the one fault that fetching newer keys may help against.
    let token = issuer().token_with(header, &claims());
    assert_eq!(fault_of(strict(&token)), Some(TokenFault::HeaderInvalid));
}
