//! Which key may say yes.

use super::*;

/// The public key of the test issuer in all the forms that were ever taken for a secret.
fn public_key_forms(issuer: &Signer) -> Vec<Vec<u8>> {
    let modulus = issuer.modulus();
    let pkcs1 = [
        &[0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00][..],
        &modulus,
        &[0x02, 0x03, 0x01, 0x00, 0x01],
    ]
    .concat();
    let base64 = encode(&pkcs1);
    let pem = format!("-----BEGIN RSA PUBLIC KEY-----\n{base64}\n-----END RSA PUBLIC KEY-----\n");
    vec![
        issuer.jwk().to_string().into_bytes(),
        issuer.jwk()["n"].as_str().unwrap().into(),
        format!(" \n\t{pem}").into_bytes(),
        pem.trim_end().into(),
        pem.into_bytes(),
        base64.into_bytes(),
        pkcs1,
        modulus,
        Vec::new(),
    ]
}

#[test]
fn tb_03_tb_04_tb_05_a_public_key_is_never_a_secret() {
    let issuer = signer(Algorithm::RS256);
    for secret in public_key_forms(issuer) {
        for kid in [Some(issuer.id()), None] {
            let mut header = json!({ "alg": "HS256", "typ": "at+jwt" });
            if let Some(kid) = &kid {
                header["kid"] = json!(kid);
            }
            let signed = format!(
                "{}.{}",
                encode(header.to_string()),
                encode(claims().to_string())
            );
            let tag = mac(Algorithm::HS256, &secret, signed.as_bytes());
            let token = format!("{signed}.{}", encode(tag));

            let expected = match kid {
                Some(_) => TokenFault::AlgorithmNotAllowed,
                None => TokenFault::KeyUnknown,
            };
            let result = authenticate(&token, &issuer.keys(), &policy());
            assert_eq!(fault_of(result), Some(expected));

            // An issuer that uses both kinds, under one id as well.
            let own = HmacSecret::new(&[&[0; 64][..], b"ABCDEFGHIJK"].concat()).unwrap();
            let own = Key::hmac(Algorithm::HS256, &own).unwrap();
            let both = issuer.keys().keys().to_vec();
            let both = KeySet::new(both.into_iter().chain([own.with_id(issuer.id())]));
            let result = authenticate(&token, &both, &policy());
            assert_eq!(fault_of(result), Some(TokenFault::SignatureInvalid));
        }
    }
}

#[test]
fn tb_06_the_header_has_to_agree_with_the_key() {
    // (the algorithm of the key, the algorithm of the token), under one and the same id.
    for (key, token) in [
        (Algorithm::PS256, Algorithm::RS256),
        (Algorithm::RS256, Algorithm::PS256),
        (Algorithm::RS256, Algorithm::RS384),
        (Algorithm::ES384, Algorithm::ES256),
        (Algorithm::ES256, Algorithm::ES384),
        (Algorithm::EdDSA, Algorithm::ES256),
        (Algorithm::RS256, Algorithm::HS256),
    ] {
        let keys = signer(key).keys();
        let token = signer(token).token_with(json!({ "kid": signer(key).id() }), &claims());
        let result = authenticate(&token, &keys, &policy());
        assert_eq!(fault_of(result), Some(TokenFault::AlgorithmNotAllowed));
    }
    // The same RSA key pair, so that only the algorithm is wrong.
    let issuer = signer(Algorithm::RS256);
    let keys = key_set(&[merged(issuer.jwk(), json!({ "alg": "PS256" }))]);
    let result = authenticate(&issuer.token(&claims()), &keys, &policy());
    assert_eq!(fault_of(result), Some(TokenFault::AlgorithmNotAllowed));
    // A header that names the key's algorithm over a signature of the other.
    let token = issuer.token_with(json!({ "alg": "PS256" }), &claims());
    let result = authenticate(&token, &keys, &policy());
    assert_eq!(fault_of(result), Some(TokenFault::SignatureInvalid));
}

#[test]
fn tb_29_an_embedded_key_is_never_used() {
    let attacker = Signer::generate(Algorithm::EdDSA);
    let header = json!({ "jwk": attacker.jwk() });
    let forged = attacker.token_with(header.clone(), &claims());
    assert_eq!(
        fault_of(strict(&forged)),
        Some(TokenFault::HeaderCarriesKey)
    );
    let lenient = policy().ignore_key_headers();
    assert_eq!(
        fault_of(authenticate(&forged, &issuer().keys(), &lenient)),
        Some(TokenFault::SignatureInvalid)
    );
    let honest = issuer().token_with(header, &claims());
    assert!(authenticate(&honest, &issuer().keys(), &lenient).is_ok());
}

#[rstest]
#[case::tb_29("jwk", json!({ "kty": "OKP" }))]
#[case::tb_29("jwk", json!(null))]
#[case::tb_30("jku", json!("https://attacker.example/keys"))]
#[case::tb_31("x5u", json!("https://attacker.example/cert"))]
#[case::tb_31("x5c", json!(["MIIB"]))]
fn a_header_that_carries_a_key_is_refused(#[case] name: &str, #[case] value: Value) {
    let token = issuer().token_with(json!({ name: value }), &claims());
    let expected = Some(TokenFault::HeaderCarriesKey);
    assert_eq!(fault_of(strict(&token)), expected);
    assert_eq!(fault_of(lax(&token)), expected);
    let policy = policy().ignore_key_headers();
    assert!(authenticate(&token, &issuer().keys(), &policy).is_ok());
}

#[test]
fn tb_31_thumbprints_carry_no_key() {
    let token = issuer().token_with(json!({ "x5t": "abc", "x5t#S256": "abc" }), &claims());
    assert!(strict(&token).is_ok());
}

#[test]
fn tb_35_td_13_a_key_is_good_for_its_issuer_only() {
    let other = Signer::generate(Algorithm::EdDSA);
    assert_eq!(other.id(), issuer().id());
    // The other issuer's key, with that id, for our issuer's name.
    assert_eq!(
        fault_of(strict(&other.token(&claims()))),
        Some(TokenFault::SignatureInvalid)
    );
    // Our issuer's key for another issuer's name: told before a key is looked for.
    let foreign = claims_with(json!({ "iss": "https://other.example.com" }));
    for keys in [issuer().keys(), KeySet::default()] {
        let result = authenticate(&issuer().token(&foreign), &keys, &policy());
        assert_eq!(fault_of(result), Some(TokenFault::IssuerUnknown));
    }
}

#[test]
fn tb_36_without_a_key_id_the_first_four_of_the_algorithm_are_tried() {
    let signers: Vec<_> = (0..5).map(|_| Signer::generate(Algorithm::EdDSA)).collect();
    let noise = [
        signer(Algorithm::ES256).jwk(),
        signer(Algorithm::ES384).jwk(),
    ];
    let jwks: Vec<_> =
        noise
            .into_iter()
            .chain(signers.iter().enumerate().map(|(index, signer)| {
                merged(signer.jwk(), json!({ "kid": format!("key-{index}") }))
            }))
            .collect();
    let keys = key_set(&jwks);
    let header = json!({ "alg": "EdDSA", "typ": "at+jwt" }).to_string();
    for (index, signer) in signers.iter().enumerate() {
        let token = signer.sign(&header, claims().to_string());
        let expected = (index >= 4).then_some(TokenFault::SignatureInvalid);
        assert_eq!(fault_of(authenticate(&token, &keys, &policy())), expected);
        // With an id each of them is found.
        let token = signer.token_with(json!({ "kid": format!("key-{index}") }), &claims());
        assert!(authenticate(&token, &keys, &policy()).is_ok());
    }
    let unlisted = signer(Algorithm::RS256).sign(
        json!({ "alg": "RS256", "typ": "at+jwt" }).to_string(),
        claims().to_string(),
    );
    assert_eq!(
        fault_of(authenticate(&unlisted, &keys, &policy())),
        Some(TokenFault::KeyUnknown)
    );
}

#[test]
fn a_key_without_an_id_does_not_answer_to_one() {
    let mut jwk = issuer().jwk();
    jwk.as_object_mut().unwrap().remove("kid");
    let keys = key_set(&[jwk]);
    let result = authenticate(&issuer().token(&claims()), &keys, &policy());
    assert_eq!(fault_of(result), Some(TokenFault::KeyUnknown));
    let header = json!({ "alg": "EdDSA", "typ": "at+jwt" }).to_string();
    let token = issuer().sign(header, claims().to_string());
    let principal = authenticate(&token, &keys, &policy()).unwrap();
    assert_eq!(principal.key_id(), None);
}

#[test]
fn an_empty_set_of_keys_verifies_nothing() {
    let result = authenticate(&issuer().token(&claims()), &KeySet::default(), &policy());
    assert_eq!(fault_of(result), Some(TokenFault::KeyUnknown));
}
