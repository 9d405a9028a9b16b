//! An issuer's signing key. Signs whatever it is given, however wrong.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self as sig, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaEncoding, RsaKeyPair,
};
use aws_lc_rs::{hmac, rsa::KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::merged;
use crate::{Algorithm, HmacSecret, Key, KeySet};

const SECRET: &[u8; 64] = b"0123456789abcdefghijklmnopqrstuvwxyz_-ABCDEFGHIJKLMNOPQRSTUVWXYZ";

pub(crate) struct Signer {
    algorithm: Algorithm,
    key: Private,
}

enum Private {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Secret([u8; 64]),
}

/// The signing key of the test issuer for `algorithm`, made once per run.
pub(crate) fn signer(algorithm: Algorithm) -> &'static Signer {
    static SIGNERS: [OnceLock<Signer>; Algorithm::ALL.len()] =
        [const { OnceLock::new() }; Algorithm::ALL.len()];
    let index = Algorithm::ALL.iter().position(|other| *other == algorithm);
    SIGNERS[index.unwrap()].get_or_init(|| Signer::generate(algorithm))
}

impl Signer {
    pub(crate) fn generate(algorithm: Algorithm) -> Self {
        let key = match algorithm {
            Algorithm::ES256 => {
                Private::Ec(EcdsaKeyPair::generate(&sig::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
            }
            Algorithm::ES384 => {
                Private::Ec(EcdsaKeyPair::generate(&sig::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap())
            }
            Algorithm::EdDSA => Private::Ed25519(Ed25519KeyPair::generate().unwrap()),
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => Private::Secret(*SECRET),
            _ => Private::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
        };
        Self { algorithm, key }
    }

    /// A token with an honest header.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_with(json!({}), claims)
    }

    /// A token whose header says some things otherwise.
    pub(crate) fn token_with(&self, changes: Value, claims: &Value) -> String {
        let header = merged(
            json!({ "alg": self.algorithm.name(), "typ": "at+jwt", "kid": self.id() }),
            changes,
        );
        self.sign(header.to_string(), claims.to_string())
    }

    /// A token of any header and payload, JSON or not.
    pub(crate) fn sign(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        let signed = format!("{}.{}", encode(header), encode(payload));
        let signature = self.signature(self.algorithm, signed.as_bytes());
        format!("{signed}.{}", encode(signature))
    }

    /// A signature with this key, which RSA keys make for whatever RSA algorithm is asked for.
    pub(crate) fn signature(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.key {
            Private::Rsa(key) => {
                let encoding: &'static dyn RsaEncoding = match algorithm {
                    Algorithm::RS256 => &sig::RSA_PKCS1_SHA256,
                    Algorithm::RS384 => &sig::RSA_PKCS1_SHA384,
                    Algorithm::RS512 => &sig::RSA_PKCS1_SHA512,
                    Algorithm::PS256 => &sig::RSA_PSS_SHA256,
                    Algorithm::PS384 => &sig::RSA_PSS_SHA384,
                    Algorithm::PS512 => &sig::RSA_PSS_SHA512,
                    other => panic!("{other} is not of RSA"),
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(encoding, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Private::Ec(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Private::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            Private::Secret(secret) => mac(algorithm, secret, message),
        }
    }

    /// The private key in PKCS#8.
    pub(crate) fn pkcs8(&self) -> Vec<u8> {
        match &self.key {
            Private::Rsa(key) => AsDer::<Pkcs8V1Der<'_>>::as_der(key)
                .unwrap()
                .as_ref()
                .into(),
            Private::Ec(key) => key.to_pkcs8v1().unwrap().as_ref().into(),
            Private::Ed25519(key) => key.to_pkcs8v1().unwrap().as_ref().into(),
            Private::Secret(_) => panic!("a secret has no PKCS#8"),
        }
    }

    /// The public key: the modulus, the uncompressed point, or the compressed one.
    pub(crate) fn public(&self) -> Vec<u8> {
        match &self.key {
            Private::Rsa(_) => self.modulus(),
            Private::Ec(key) => key.public_key().as_ref().into(),
            Private::Ed25519(key) => key.public_key().as_ref().into(),
            Private::Secret(_) => panic!("a secret has no public part"),
        }
    }

    pub(crate) fn id(&self) -> String {
        format!("key-{}", self.algorithm.name())
    }

    /// The public key, as a JWK set lists it.
    pub(crate) fn jwk(&self) -> Value {
        let common = json!({ "kid": self.id(), "alg": self.algorithm.name(), "use": "sig" });
        let public = match &self.key {
            Private::Rsa(_) => {
                json!({ "kty": "RSA", "n": encode(self.modulus()), "e": "AQAB" })
            }
            Private::Ec(key) => {
                let (curve, length) = match self.algorithm {
                    Algorithm::ES256 => ("P-256", 32),
                    _ => ("P-384", 48),
                };
                let (x, y) = key.public_key().as_ref()[1..].split_at(length);
                json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) })
            }
            Private::Ed25519(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key()) })
            }
            Private::Secret(secret) => json!({ "kty": "oct", "k": encode(secret) }),
        };
        merged(common, public)
    }

    /// The modulus of an RSA key, out of its PKCS#1 DER: a sequence of n and 65537.
    pub(crate) fn modulus(&self) -> Vec<u8> {
        let Private::Rsa(key) = &self.key else {
            panic!("{} is not of RSA", self.algorithm);
        };
        let der = key.public_key().as_ref();
        assert_eq!(
            der[..9],
            [0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00]
        );
        assert_eq!(der[265..], [0x02, 0x03, 0x01, 0x00, 0x01]);
        der[9..265].to_vec()
    }

    /// A set with just this key: read from JSON, or made from the secret.
    pub(crate) fn keys(&self) -> KeySet {
        match &self.key {
            Private::Secret(secret) => {
                let secret = HmacSecret::new(secret).unwrap();
                KeySet::new([Key::hmac(self.algorithm, &secret)
                    .unwrap()
                    .with_id(self.id())])
            }
            _ => key_set(&[self.jwk()]),
        }
    }
}

/// A set of these JWKs.
pub(crate) fn key_set(jwks: &[Value]) -> KeySet {
    let document = json!({ "keys": jwks }).to_string();
    KeySet::from_json(document.as_bytes(), &Algorithm::ALL).unwrap()
}

pub(crate) fn mac(algorithm: Algorithm, secret: &[u8], message: &[u8]) -> Vec<u8> {
    let digest = match algorithm {
        Algorithm::HS256 => hmac::HMAC_SHA256,
        Algorithm::HS384 => hmac::HMAC_SHA384,
        Algorithm::HS512 => hmac::HMAC_SHA512,
        other => panic!("{other} is not of HMAC"),
    };
    hmac::sign(&hmac::Key::new(digest, secret), message)
        .as_ref()
        .to_vec()
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
