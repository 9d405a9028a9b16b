//! What counts as a signature, and over what.

use super::*;

#[test]
fn tc_04_a_signature_of_any_other_length_is_refused() {
    for algorithm in Algorithm::ALL {
        let issuer = signer(algorithm);
        let keys = issuer.keys();
        let token = issuer.token(&claims());
        let good = signature_of(&token);
        let doubled = [&good[..], &good].concat();
        for signature in [
            &good[..1],
            &good[..good.len() / 2],
            &good[..good.len() - 1],
            &good[1..],
            &[&good[..], &[0]].concat(),
            &[&[0], &good[..]].concat(),
            &doubled,
            &vec![0; good.len()],
            &vec![0xff; good.len()],
            &vec![0; 10_000],
        ] {
            let result = authenticate(&with_signature(&token, signature), &keys, &policy());
            let expected = Some(TokenFault::SignatureInvalid);
            assert_eq!(
                fault_of(result),
                expected,
                "{algorithm} {}",
                signature.len()
            );
        }
    }
}

/// The order of the curve, from its rounded half.
fn order(half: &[u8]) -> Vec<u8> {
    let mut carry = 1;
    let mut order: Vec<u8> = half
        .iter()
        .rev()
        .map(|byte| {
            let doubled = u16::from(*byte) * 2 + carry;
            carry = doubled >> 8;
            u8::try_from(doubled & 0xff).unwrap()
        })
        .collect();
    assert_eq!(carry, 0);
    order.reverse();
    order
}

/// `order − s`
fn negated(order: &[u8], s: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let mut out: Vec<u8> = order
        .iter()
        .zip(s)
        .rev()
        .map(|(n, s)| {
            let digit = i16::from(*n) - i16::from(*s) - borrow;
            borrow = i16::from(digit < 0);
            u8::try_from(digit.rem_euclid(256)).unwrap()
        })
        .collect();
    out.reverse();
    out
}

const CURVES: [(Algorithm, &[u8]); 2] = [
    (Algorithm::ES256, &crate::jws::P256_HALF_ORDER),
    (Algorithm::ES384, &crate::jws::P384_HALF_ORDER),
];

#[test]
fn tc_01_tc_02_tc_03_ecdsa_numbers_are_in_range_and_in_one_form() {
    for (algorithm, half) in CURVES {
        let issuer = signer(algorithm);
        let token = issuer.token(&claims());
        let good = signature_of(&token);
        let (r, s) = good.split_at(half.len());
        let (zero, n) = (vec![0; half.len()], order(half));
        let mut one = zero.clone();
        *one.last_mut().unwrap() = 1;
        let max = vec![0xff; half.len()];
        let mut signatures = Vec::new();
        for value in [&zero, &one, &n, &max] {
            signatures.push([&value[..], s].concat());
            signatures.push([r, &value[..]].concat());
            for other in [&zero, &one, &n, &max] {
                signatures.push([&value[..], &other[..]].concat());
            }
        }
        signatures.push([&negated(&n, r)[..], s].concat());
        // DER: a sequence of two integers.
        let integer = |number: &[u8]| {
            let pad: &[u8] = if number[0] < 0x80 { &[] } else { &[0] };
            let length = u8::try_from(number.len() + pad.len()).unwrap();
            [&[2, length], pad, number].concat()
        };
        let body = [integer(r), integer(s)].concat();
        signatures.push([&[0x30, u8::try_from(body.len()).unwrap()], &body[..]].concat());
        signatures.push(vec![0x30, 0x06, 0x02, 0x01, 0x00, 0x02, 0x01, 0x00]);
        for signature in signatures {
            let token = with_signature(&token, &signature);
            let result = authenticate(&token, &issuer.keys(), &policy());
            assert_eq!(fault_of(result), Some(TokenFault::SignatureInvalid));
        }
    }
}

#[test]
fn tc_05_the_other_s_is_accepted_unless_it_is_the_larger_and_the_policy_says_so() {
    for (algorithm, half) in CURVES {
        let issuer = signer(algorithm);
        let token = issuer.token(&claims());
        let good = signature_of(&token);
        let (r, s) = good.split_at(half.len());
        let mirrored = negated(&order(half), s);
        let twin = with_signature(&token, &[r, &mirrored].concat());
        assert_ne!(token, twin);
        let low = policy().require_low_s();
        for (token, s) in [(&token, s), (&twin, &mirrored)] {
            assert!(authenticate(token, &issuer.keys(), &policy()).is_ok());
            let expected = (s > half).then_some(TokenFault::SignatureInvalid);
            assert_eq!(
                fault_of(authenticate(token, &issuer.keys(), &low)),
                expected
            );
        }
        assert_ne!(s > half, mirrored.as_slice() > half);
    }
    // Other algorithms have one signature only, and nothing is asked of it.
    for algorithm in [Algorithm::EdDSA, Algorithm::RS256, Algorithm::HS256] {
        let issuer = signer(algorithm);
        let low = policy().require_low_s();
        assert!(authenticate(&issuer.token(&claims()), &issuer.keys(), &low).is_ok());
    }
}

/// S + L, with the order L of the group: RFC 8032 §5.1.7 wants S below L.
#[test]
fn tc_06_an_ed25519_signature_has_one_spelling() {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let token = issuer().token(&claims());
    let mut signature = signature_of(&token);
    let mut carry = 0;
    for (digit, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*digit) + u16::from(order) + carry;
        *digit = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    let result = strict(&with_signature(&token, &signature));
    assert_eq!(fault_of(result), Some(TokenFault::SignatureInvalid));
}

#[test]
fn tc_13_the_signature_is_over_the_octets_that_were_received() {
    let header = format!(
        "{{ \"kid\" : \"{}\",\n\t\"alg\":\"EdDSA\",\"typ\":\"at+jwt\" }}",
        issuer().id()
    );
    let payload = claims().to_string().replace("user-1", "\\u0075ser-1");
    let token = issuer().sign(header, payload.replace(',', " ,\n"));
    assert_eq!(strict(&token).unwrap().subject(), Some("user-1"));

    let [header, _, signature] = segments(&token);
    let again = format!("{header}.{}.{signature}", encode(claims().to_string()));
    assert_eq!(fault_of(strict(&again)), Some(TokenFault::SignatureInvalid));
}

#[test]
fn tc_14_tl_02_an_unverified_token_prints_no_claim() {
    let token = issuer().token(&claims());
    let unverified = Unverified::parse(&token).unwrap();
    assert_eq!(unverified.issuer(), ISSUER);
    assert_eq!(unverified.header().key_id(), Some(&*issuer().id()));
    let printed = format!("{unverified:?}");
    let facts = unverified.verify(&issuer().keys(), &policy()).unwrap();
    let printed = format!("{printed} {facts:?}");
    for secret in ["user-1", "token-1", "orders", segments(&token)[2]] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

#[test]
fn claims_are_not_judged_before_the_signature() {
    // Everything is wrong with this one; the signature is what is told.
    let token = Signer::generate(Algorithm::EdDSA).token(&claims_with(
        json!({ "exp": 1, "aud": "other", "scope": 7, "typ": "Refresh", "cnf": {} }),
    ));
    assert_eq!(fault_of(strict(&token)), Some(TokenFault::SignatureInvalid));
}
