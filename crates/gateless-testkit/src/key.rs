//! One signing key and its public half.

use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaEncoding, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::algorithm::{Family, SigningAlgorithm};

/// One key for one algorithm. The key pair is made when it is first needed: an RSA key takes a while.
pub(crate) struct SigningKey {
    id: String,
    algorithm: SigningAlgorithm,
    pair: OnceLock<Pair>,
}

enum Pair {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ecdsa(EcdsaKeyPair, &'static str),
    Ed25519(Ed25519KeyPair),
}

impl Pair {
    fn generate(algorithm: SigningAlgorithm) -> Self {
        const MADE: &str = "aws-lc makes keys of every supported kind";
        match algorithm.family() {
            Family::Rsa(encoding) => Self::Rsa(
                RsaKeyPair::generate(KeySize::Rsa2048).expect(MADE),
                encoding,
            ),
            Family::Ecdsa(signing, curve) => {
                Self::Ecdsa(EcdsaKeyPair::generate(signing).expect(MADE), curve)
            }
            Family::Ed25519 => Self::Ed25519(Ed25519KeyPair::generate().expect(MADE)),
        }
    }
}

impl SigningKey {
    pub(crate) const fn new(id: String, algorithm: SigningAlgorithm) -> Self {
        Self {
            id,
            algorithm,
            pair: OnceLock::new(),
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) const fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// Makes the key pair now, so that nothing has to wait for it later.
    pub(crate) fn generate(&self) {
        self.pair();
    }

    /// The signature over `message` in its JOSE form: fixed-width `R || S` for ECDSA.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self.pair() {
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &SystemRandom::new(), message, &mut signature)
                    .expect("the buffer is as long as the modulus");
                signature
            }
            Pair::Ecdsa(pair, _) => pair
                .sign(&SystemRandom::new(), message)
                .expect("a P-256 or P-384 key signs every message")
                .as_ref()
                .to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// The public half as a JWK (RFC 7517 §4).
    pub(crate) fn jwk(&self) -> Value {
        let material = match self.pair() {
            Pair::Rsa(pair, _) => {
                let PublicKeyComponents { n, e } = pair.public_key().into();
                vec![("kty", "RSA".into()), ("n", encode(&n)), ("e", encode(&e))]
            }
            Pair::Ecdsa(pair, curve) => {
                // An uncompressed point, SEC 1 §2.3.3: 0x04 || X || Y.
                let coordinates = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = coordinates.split_at(coordinates.len() / 2);
                vec![
                    ("kty", "EC".into()),
                    ("crv", (*curve).to_owned()),
                    ("x", encode(x)),
                    ("y", encode(y)),
                ]
            }
            Pair::Ed25519(pair) => vec![
                ("kty", "OKP".into()),
                ("crv", "Ed25519".into()),
                ("x", encode(pair.public_key().as_ref())),
            ],
        };
        let description = [
            ("use", "sig".into()),
            ("alg", self.algorithm.to_string()),
            ("kid", self.id.clone()),
        ];
        material.into_iter().chain(description).collect()
    }

    fn pair(&self) -> &Pair {
        self.pair.get_or_init(|| Pair::generate(self.algorithm))
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
