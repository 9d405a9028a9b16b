use base64::engine::general_purpose::STANDARD;
use pkcs1::UintRef;
use pkcs8::der::Encode as _;
use rstest::rstest;

use super::*;
#[cfg(any(feature = "aws_lc_rs", feature = "rust_crypto"))]
use crate::testing::{NOW, authenticate, claims, encode, policy, signer};

fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        text.push_str(std::str::from_utf8(line).unwrap());
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

fn error(pem: &str, algorithm: Algorithm) -> KeyError {
    SigningKey::from_pem(pem.as_bytes(), algorithm).unwrap_err()
}

/// An RSA key of as many bytes, the first of which is given. The numbers mean nothing.
fn rsa(first: u8, length: usize) -> Vec<u8> {
    let mut modulus = vec![0x55; length];
    modulus[0] = first;
    let number = UintRef::new(&modulus).unwrap();
    let key = RsaPrivateKey {
        modulus: number,
        public_exponent: UintRef::new(&[1, 0, 1]).unwrap(),
        private_exponent: number,
        prime1: number,
        prime2: number,
        exponent1: number,
        exponent2: number,
        coefficient: number,
        other_prime_infos: None,
    };
    key.to_der().unwrap()
}

#[cfg(any(feature = "aws_lc_rs", feature = "rust_crypto"))]
mod with_a_backend {
    use sec1::EcParameters;
    use serde_json::{Value, json};

    use super::*;

    fn key(algorithm: Algorithm) -> SigningKey {
        let text = pem("PRIVATE KEY", &signer(algorithm).pkcs8());
        SigningKey::from_pem(text.as_bytes(), algorithm).unwrap()
    }

    fn inner(algorithm: Algorithm) -> Vec<u8> {
        let pkcs8 = signer(algorithm).pkcs8();
        let info = PrivateKeyInfo::try_from(&pkcs8[..]).unwrap();
        info.private_key.into()
    }

    fn header(jws: &str) -> Value {
        let header = jws.split('.').next().unwrap();
        serde_json::from_slice(&crate::base64url::decode(header.as_bytes()).unwrap()).unwrap()
    }

    #[rstest]
    fn what_is_signed_verifies_with_the_public_key(
        #[values(
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
            Algorithm::ES256,
            Algorithm::ES384,
            Algorithm::EdDSA
        )]
        algorithm: Algorithm,
    ) {
        let keys = signer(algorithm).keys();
        let key = key(algorithm).with_id(signer(algorithm).id());
        assert_eq!(key.algorithm(), algorithm);
        let token = key.sign("at+jwt", &claims()).unwrap();
        authenticate(&token, &keys, &policy()).unwrap();

        let (signed, _) = token.rsplit_once('.').unwrap();
        let forged = format!("{signed}.{}", encode([0x55; 64]));
        authenticate(&forged, &keys, &policy()).unwrap_err();
    }

    #[test]
    fn the_header_tells_algorithm_type_and_key() {
        let key = key(Algorithm::ES256);
        let claims = json!({ "exp": NOW });
        let without = header(&key.sign("client-authentication+jwt", &claims).unwrap());
        assert_eq!(
            without,
            json!({ "alg": "ES256", "typ": "client-authentication+jwt" })
        );
        let with = header(&key.with_id("a \"quoted\" id").sign("JWT", &claims).unwrap());
        assert_eq!(
            with,
            json!({ "alg": "ES256", "typ": "JWT", "kid": "a \"quoted\" id" })
        );
    }

    #[test]
    fn pkcs1_and_sec1_are_read_too() {
        let rsa = pem("RSA PRIVATE KEY", &inner(Algorithm::PS256));
        let named = SigningKey::from_pem(rsa.as_bytes(), Algorithm::PS256)
            .unwrap()
            .with_id(signer(Algorithm::PS256).id());
        let keys = signer(Algorithm::PS256).keys();
        authenticate(&named.sign("at+jwt", &claims()).unwrap(), &keys, &policy()).unwrap();
        assert_eq!(error(&rsa, Algorithm::ES256), KeyError::AlgorithmMismatch);

        for (algorithm, curve) in [(Algorithm::ES256, P256), (Algorithm::ES384, P384)] {
            let der = inner(algorithm);
            let mut key = EcPrivateKey::try_from(&der[..]).unwrap();
            key.parameters = None;
            let bare = pem("EC PRIVATE KEY", &key.to_der().unwrap());
            assert_eq!(error(&bare, algorithm), KeyError::PrivateKeyInvalid);
            key.parameters = Some(EcParameters::NamedCurve(curve));
            // As `openssl ecparam -genkey` writes it: the curve stands in front a second time.
            let text = pem("EC PARAMETERS", &curve.to_der().unwrap())
                + &pem("EC PRIVATE KEY", &key.to_der().unwrap());
            let named = SigningKey::from_pem(text.as_bytes(), algorithm)
                .unwrap()
                .with_id(signer(algorithm).id());
            let token = named.sign("at+jwt", &claims()).unwrap();
            authenticate(&token, &signer(algorithm).keys(), &policy()).unwrap();
            for other in [Algorithm::ES256, Algorithm::ES384, Algorithm::RS256] {
                if other != algorithm {
                    assert_eq!(error(&text, other), KeyError::AlgorithmMismatch);
                }
            }
        }
    }

    #[test]
    fn tb_06_a_key_signs_with_algorithms_of_its_kind_and_curve_only() {
        for made_for in [
            Algorithm::RS256,
            Algorithm::ES256,
            Algorithm::ES384,
            Algorithm::EdDSA,
        ] {
            let text = pem("PRIVATE KEY", &signer(made_for).pkcs8());
            for algorithm in Algorithm::ALL {
                let key = SigningKey::from_pem(text.as_bytes(), algorithm);
                if algorithm.family() == made_for.family() {
                    assert!(key.is_ok(), "{made_for}, {algorithm}");
                } else {
                    assert_eq!(key.unwrap_err(), KeyError::AlgorithmMismatch);
                }
            }
        }
    }

    #[test]
    fn exactly_one_private_key_is_expected() {
        let key = pem("PRIVATE KEY", &signer(Algorithm::ES256).pkcs8());
        let rsa = pem("RSA PRIVATE KEY", &inner(Algorithm::RS256));
        let certificate = pem("CERTIFICATE", b"certificate");
        let read = |text: &str| SigningKey::from_pem(text.as_bytes(), Algorithm::ES256);
        for twice in [key.repeat(2), format!("{key}{rsa}"), format!("{rsa}{key}")] {
            assert_eq!(read(&twice).unwrap_err(), KeyError::SeveralKeys);
        }
        read(&format!("{certificate}{key}{certificate}")).unwrap();
        read(&format!(
            "made on a Sunday\r\n{}",
            key.replace('\n', "\r\n")
        ))
        .unwrap();
        for damaged in [
            key.replace("-----END", "-----AND"),
            key.replacen('\n', "\n*", 1),
            key[..key.len() / 2].to_owned(),
        ] {
            assert_eq!(read(&damaged).unwrap_err(), KeyError::PemInvalid);
        }
    }

    #[test]
    fn tl_02_a_private_key_does_not_print() {
        for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
            let key = key(algorithm).with_id("2027-01");
            assert_eq!(
                format!("{key:?}"),
                format!("SigningKey {{ id: Some(\"2027-01\"), algorithm: {algorithm}, .. }}")
            );
        }
    }

    #[test]
    fn claims_are_a_json_object() {
        let key = key(Algorithm::EdDSA);
        for claims in [json!([1]), json!("text"), json!(null)] {
            let refused = key.sign("JWT", &claims).unwrap_err();
            assert!(matches!(refused, SigningError::ClaimsNotObject));
        }
        let unwritable = std::collections::HashMap::from([((1, 2), 3)]);
        let refused = key.sign("JWT", &unwritable).unwrap_err();
        assert!(matches!(refused, SigningError::ClaimsUnwritable(_)));
    }

    #[test]
    fn numbers_that_are_no_key_are_refused_by_the_backend() {
        let text = pem("RSA PRIVATE KEY", &rsa(0x80, 256));
        assert_eq!(error(&text, Algorithm::RS256), KeyError::PrivateKeyInvalid);
    }
}

#[rstest]
#[case::nothing("", KeyError::PemInvalid)]
#[case::der("MCowBQYDK2VwAyEAfU0Of2FTpptiQrUiq77mhf2kQg", KeyError::PemInvalid)]
#[case::openssh(&pem("OPENSSH PRIVATE KEY", b"openssh-key-v1"), KeyError::PemInvalid)]
#[case::tb_04_public(&pem("PUBLIC KEY", b"public"), KeyError::NotPrivate)]
#[case::certificate(&pem("CERTIFICATE", b"certificate"), KeyError::NotPrivate)]
#[case::encrypted(&pem("ENCRYPTED PRIVATE KEY", b"encrypted"), KeyError::Encrypted)]
#[case::encrypted_by_openssl(
    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n\
     -----END RSA PRIVATE KEY-----\n",
    KeyError::Encrypted
)]
#[case::no_pkcs8(&pem("PRIVATE KEY", b"0"), KeyError::PrivateKeyInvalid)]
#[case::pkcs1_in_the_wrong_envelope(&pem("PRIVATE KEY", &rsa(0xff, 256)), KeyError::PrivateKeyInvalid)]
#[case::tc_07_rsa_1024(&pem("RSA PRIVATE KEY", &rsa(0xff, 128)), KeyError::RsaTooShort)]
#[case::tc_07_rsa_2047(&pem("RSA PRIVATE KEY", &rsa(0x7f, 256)), KeyError::RsaTooShort)]
fn what_is_no_usable_private_key_is_named(#[case] text: &str, #[case] refused: KeyError) {
    assert_eq!(error(text, Algorithm::RS256), refused);
}

#[cfg(not(any(feature = "aws_lc_rs", feature = "rust_crypto")))]
#[test]
fn without_a_backend_every_private_key_is_refused() {
    let text = pem("RSA PRIVATE KEY", &rsa(0x80, 256));
    assert_eq!(error(&text, Algorithm::RS256), KeyError::NoBackend);
}
