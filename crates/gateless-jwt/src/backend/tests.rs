//! The raw signature vectors, on every backend that is compiled in: also on the one that the other wins over.

use super::{Material, Private};
use crate::algorithm::Algorithm;
use crate::key::KeyError;
use crate::testing::{Outcome, Vectors, hex, signer};

trait Backend: Sized {
    fn new(algorithm: Algorithm, material: &Material<'_>) -> Result<Self, KeyError>;
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool;
    fn signature(
        algorithm: Algorithm,
        private: &Private<'_>,
        message: &[u8],
    ) -> Result<Vec<u8>, KeyError>;
}

macro_rules! backends {
    ($($feature:literal $name:ident)+) => {$(
        #[cfg(feature = $feature)]
        impl Backend for super::$name::Verifier {
            fn new(algorithm: Algorithm, material: &Material<'_>) -> Result<Self, KeyError> {
                Self::new(algorithm, material)
            }

            fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
                self.verify(message, signature)
            }

            fn signature(
                algorithm: Algorithm,
                private: &Private<'_>,
                message: &[u8],
            ) -> Result<Vec<u8>, KeyError> {
                let signer = super::$name::Signer::new(algorithm, private)?;
                Ok(signer.sign(message).unwrap())
            }
        }

        #[cfg(feature = $feature)]
        mod $name {
            type Tested = crate::backend::$name::Verifier;

            #[test]
            fn tc_01_to_tc_04_ecdsa_vectors() {
                super::ecdsa_vectors::<Tested>();
            }

            #[test]
            fn tc_04_tc_06_ed25519_vectors() {
                super::ed25519_vectors::<Tested>();
            }

            #[test]
            fn tc_04_tc_09_rsa_pkcs1_vectors() {
                super::rsa_pkcs1_vectors::<Tested>();
            }

            #[test]
            fn tc_04_rsa_pss_vectors() {
                super::rsa_pss_vectors::<Tested>();
            }

            #[test]
            fn tc_04_an_rsa_signature_is_below_the_modulus() {
                super::an_rsa_signature_is_below_the_modulus::<Tested>();
            }

            #[test]
            fn tb_06_an_rsa_key_verifies_its_one_algorithm() {
                super::an_rsa_key_verifies_its_one_algorithm::<Tested>();
            }

            #[test]
            fn tb_06_material_of_another_kind_is_refused() {
                super::material_of_another_kind_is_refused::<Tested>();
            }

            #[test]
            fn tc_11_a_mac_is_compared_at_full_length() {
                super::a_mac_is_compared_at_full_length::<Tested>();
            }

            #[test]
            fn what_is_signed_here_verifies_on_every_backend() {
                #[cfg(feature = "aws_lc_rs")]
                super::what_one_signs_the_other_verifies::<
                    Tested,
                    crate::backend::aws_lc::Verifier,
                >();
                #[cfg(feature = "rust_crypto")]
                super::what_one_signs_the_other_verifies::<
                    Tested,
                    crate::backend::rust_crypto::Verifier,
                >();
            }

            #[test]
            fn a_private_key_whose_parts_do_not_fit_is_refused() {
                super::a_private_key_whose_parts_do_not_fit_is_refused::<Tested>();
            }
        }
    )+};
}

backends! {
    "aws_lc_rs" aws_lc
    "rust_crypto" rust_crypto
}

/// Runs one file, with the keys that `make` reads from its groups.
fn run<B: Backend>(
    file: &str,
    algorithm: Algorithm,
    expected: usize,
    make: impl Fn(&serde_json::Value) -> B,
) {
    let mut wrong = Vec::new();
    let count = Vectors::read(file).each(|group, test, id, outcome| {
        let verified = make(group).verify(&hex(&test["msg"]), &hex(&test["sig"]));
        // Acceptable is only a PKCS #1 encoding without the NULL of the digest's parameters. RFC 8017 §8.2.2 compares
        // encodings, and appendix A.2.4 wants the NULL: refused.
        if verified != (outcome == Outcome::Valid) {
            wrong.push(format!("{id} {outcome:?}: {}", test["comment"]));
        }
    });
    assert_eq!(count, expected, "{file}");
    assert!(wrong.is_empty(), "{file} {algorithm}: {wrong:#?}");
}

fn ecdsa_vectors<B: Backend>() {
    for (file, algorithm, expected) in [
        ("ecdsa_secp256r1_sha256_p1363_test", Algorithm::ES256, 262),
        ("ecdsa_secp384r1_sha384_p1363_test", Algorithm::ES384, 280),
    ] {
        run(file, algorithm, expected, |group| {
            let point = hex(&group["publicKey"]["uncompressed"]);
            B::new(algorithm, &Material::Ec { point: &point }).unwrap()
        });
    }
}

fn ed25519_vectors<B: Backend>() {
    run("ed25519_test", Algorithm::EdDSA, 151, |group| {
        let key: [u8; 32] = hex(&group["publicKey"]["pk"]).try_into().unwrap();
        assert!(crate::ed25519::is_sound(&key));
        B::new(Algorithm::EdDSA, &Material::Ed25519(&key)).unwrap()
    });
}

fn rsa_key<B: Backend>(algorithm: Algorithm, group: &serde_json::Value) -> B {
    let modulus = hex(&group["publicKey"]["modulus"]);
    let modulus = modulus.strip_prefix(&[0]).unwrap();
    let exponent = hex(&group["publicKey"]["publicExponent"]);
    let exponent = exponent.strip_prefix(&[0]).unwrap_or(&exponent);
    B::new(algorithm, &Material::Rsa { modulus, exponent }).unwrap()
}

fn rsa_pkcs1_vectors<B: Backend>() {
    let file = "rsa_signature_2048_sha256_test";
    run(file, Algorithm::RS256, 259, |group| {
        rsa_key::<B>(Algorithm::RS256, group)
    });
}

fn rsa_pss_vectors<B: Backend>() {
    let file = "rsa_pss_2048_sha256_mgf1_32_test";
    run(file, Algorithm::PS256, 108, |group| {
        rsa_key::<B>(Algorithm::PS256, group)
    });
}

const RSA: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

fn rsa<B: Backend>(algorithm: Algorithm, modulus: &[u8]) -> B {
    let exponent = &[1, 0, 1];
    B::new(algorithm, &Material::Rsa { modulus, exponent }).unwrap()
}

/// RFC 8017 §5.2.2 step 1. With s, s + n would verify as well, and one token would have two spellings.
fn an_rsa_signature_is_below_the_modulus<B: Backend>() {
    for algorithm in RSA {
        let issuer = signer(algorithm);
        let modulus = issuer.modulus();
        let key: B = rsa(algorithm, &modulus);
        // s + n has to fit in as many bytes as n: with RSA that is a matter of luck, and of the message.
        let (message, signature, larger) = (0_u32..10_000)
            .find_map(|attempt| {
                let message = attempt.to_be_bytes();
                let signature = issuer.signature(algorithm, &message);
                let larger = sum(&signature, &modulus)?;
                Some((message, signature, larger))
            })
            .unwrap();
        assert!(key.verify(&message, &signature), "{algorithm}");
        assert!(!key.verify(&message, &larger), "{algorithm}");
    }
}

/// The sum of two numbers of the same length, if it has that length too.
fn sum(a: &[u8], b: &[u8]) -> Option<Vec<u8>> {
    let mut carry = 0;
    let mut sum: Vec<_> = a
        .iter()
        .zip(b)
        .rev()
        .map(|(a, b)| {
            let digit = u16::from(*a) + u16::from(*b) + carry;
            carry = digit >> 8;
            u8::try_from(digit & 0xff).unwrap()
        })
        .collect();
    sum.reverse();
    (carry == 0).then_some(sum)
}

fn an_rsa_key_verifies_its_one_algorithm<B: Backend>() {
    let issuer = signer(Algorithm::RS256);
    let modulus = issuer.modulus();
    for made_for in RSA {
        let key: B = rsa(made_for, &modulus);
        for signed_with in RSA {
            let signature = issuer.signature(signed_with, b"message");
            assert_eq!(
                key.verify(b"message", &signature),
                made_for == signed_with,
                "a key for {made_for}, a signature with {signed_with}"
            );
        }
    }
}

fn material_of_another_kind_is_refused<B: Backend>() {
    let modulus = signer(Algorithm::RS256).modulus();
    let rsa = Material::Rsa {
        modulus: &modulus,
        exponent: &[1, 0, 1],
    };
    let ed25519 = Material::Ed25519(&[0x42; 32]);
    let secret = Material::Secret(&modulus);
    let point = Material::Ec { point: &[4; 65] };
    for algorithm in Algorithm::ALL {
        use crate::algorithm::Family;
        let family = algorithm.family();
        for (material, fits) in [
            (&rsa, family == Family::Rsa),
            (&ed25519, family == Family::Ed25519),
            (&secret, family == Family::Hmac),
            (&point, matches!(family, Family::P256 | Family::P384)),
        ] {
            let mismatch = B::new(algorithm, material).err() == Some(KeyError::AlgorithmMismatch);
            assert_eq!(mismatch, !fits, "{algorithm}");
        }
    }
}

/// How long a comparison takes cannot be tested here; that no shorter or longer tag passes can.
fn a_mac_is_compared_at_full_length<B: Backend>() {
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let secret = &[7; 64];
        let key = B::new(algorithm, &Material::Secret(secret)).unwrap();
        let tag = crate::testing::mac(algorithm, secret, b"message");
        assert!(key.verify(b"message", &tag));
        assert!(!key.verify(b"massage", &tag));
        for length in 0..tag.len() {
            assert!(!key.verify(b"message", &tag[..length]), "{length} bytes");
        }
        assert!(!key.verify(b"message", &[&tag[..], &[0]].concat()));
        for at in 0..tag.len() {
            let mut other = tag.clone();
            other[at] ^= 1;
            assert!(!key.verify(b"message", &other), "byte {at}");
        }
    }
}

const ASYMMETRIC: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Hands over the private key in the form that backends take.
fn with_private<T>(algorithm: Algorithm, pkcs8: &[u8], then: impl FnOnce(&Private<'_>) -> T) -> T {
    match algorithm {
        Algorithm::ES256 | Algorithm::ES384 => then(&Private::Ec(pkcs8)),
        Algorithm::EdDSA => then(&Private::Ed25519(pkcs8)),
        _ => {
            let info = pkcs8::PrivateKeyInfo::try_from(pkcs8).unwrap();
            then(&Private::Rsa(info.private_key))
        }
    }
}

fn what_one_signs_the_other_verifies<S: Backend, V: Backend>() {
    for algorithm in ASYMMETRIC {
        let issuer = signer(algorithm);
        let public = issuer.public();
        let exponent = &[1, 0, 1];
        let material = match algorithm {
            Algorithm::ES256 | Algorithm::ES384 => Material::Ec { point: &public },
            Algorithm::EdDSA => Material::Ed25519(public.first_chunk().unwrap()),
            _ => Material::Rsa {
                modulus: &public,
                exponent,
            },
        };
        let key = V::new(algorithm, &material).unwrap();
        let signature = with_private(algorithm, &issuer.pkcs8(), |private| {
            S::signature(algorithm, private, b"message").unwrap()
        });
        assert!(key.verify(b"message", &signature), "{algorithm}");
        assert!(!key.verify(b"massage", &signature), "{algorithm}");
    }
}

/// One bit is changed in the middle: in a private number of RSA or in a scalar, which no longer fits the public key.
fn a_private_key_whose_parts_do_not_fit_is_refused<B: Backend>() {
    for algorithm in [
        Algorithm::RS256,
        Algorithm::PS256,
        Algorithm::ES256,
        Algorithm::ES384,
    ] {
        let mut pkcs8 = signer(algorithm).pkcs8();
        let middle = match algorithm {
            Algorithm::ES256 => 40,
            Algorithm::ES384 => 50,
            _ => pkcs8.len() / 2,
        };
        pkcs8[middle] ^= 1;
        let error = with_private(algorithm, &pkcs8, |private| {
            B::signature(algorithm, private, b"message").unwrap_err()
        });
        assert_eq!(error, KeyError::PrivateKeyInvalid, "{algorithm}");
    }
}
