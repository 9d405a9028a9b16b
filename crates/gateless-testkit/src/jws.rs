//! Reading and checking signed tokens: what a client proves itself with, and what the issuer signed itself.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::algorithm::SigningAlgorithm;

/// A token in its compact form, decoded. Nothing is checked.
pub(crate) struct Jws<'t> {
    header: Map<String, Value>,
    claims: Vec<u8>,
    message: &'t str,
    signature: Vec<u8>,
}

impl<'t> Jws<'t> {
    pub(crate) fn parse(token: &'t str) -> Option<Self> {
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        Some(Self {
            header: serde_json::from_slice(&decode(header)?).ok()?,
            claims: decode(claims)?,
            message,
            signature: decode(signature)?,
        })
    }

    /// The claims, whoever made them up.
    pub(crate) fn unverified_claims(&self) -> Option<Map<String, Value>> {
        serde_json::from_slice(&self.claims).ok()
    }

    /// The claims if one of `keys` signed them. A key that says of itself what it is for signs nothing else.
    pub(crate) fn verify(&self, keys: &[Value]) -> Option<Map<String, Value>> {
        let name = self.header.get("alg")?.as_str()?;
        let algorithm = SigningAlgorithm::ALL.iter().find(|it| it.name() == name)?;
        let signer = keys.iter().find(|key| {
            let agrees = |parameter| {
                let (said, known) = (self.header.get(parameter), key.get(parameter));
                said.is_none() || known.is_none() || said == known
            };
            agrees("kid") && agrees("alg") && self.is_signed_by(key, *algorithm)
        });
        signer.and_then(|_| self.unverified_claims())
    }

    fn is_signed_by(&self, key: &Value, algorithm: SigningAlgorithm) -> bool {
        let rsa = |parameters| self.rsa(key, parameters);
        let ec = |curve, verification| self.ec(key, curve, verification);
        match algorithm {
            SigningAlgorithm::Rs256 => rsa(&RSA_PKCS1_2048_8192_SHA256),
            SigningAlgorithm::Rs384 => rsa(&RSA_PKCS1_2048_8192_SHA384),
            SigningAlgorithm::Rs512 => rsa(&RSA_PKCS1_2048_8192_SHA512),
            SigningAlgorithm::Ps256 => rsa(&RSA_PSS_2048_8192_SHA256),
            SigningAlgorithm::Ps384 => rsa(&RSA_PSS_2048_8192_SHA384),
            SigningAlgorithm::Ps512 => rsa(&RSA_PSS_2048_8192_SHA512),
            SigningAlgorithm::Es256 => ec("P-256", &ECDSA_P256_SHA256_FIXED),
            SigningAlgorithm::Es384 => ec("P-384", &ECDSA_P384_SHA384_FIXED),
            SigningAlgorithm::EdDsa => self.ed25519(key),
        }
        .unwrap_or(false)
    }

    fn rsa(&self, key: &Value, parameters: &RsaParameters) -> Option<bool> {
        let key = RsaPublicKeyComponents {
            n: member(key, "n")?,
            e: member(key, "e")?,
        };
        let verdict = key.verify(parameters, self.message.as_bytes(), &self.signature);
        Some(verdict.is_ok())
    }

    fn ec(
        &self,
        key: &Value,
        curve: &str,
        verification: &'static dyn VerificationAlgorithm,
    ) -> Option<bool> {
        // An uncompressed point, SEC 1 §2.3.3: 0x04 || X || Y.
        let point = [vec![4], member(key, "x")?, member(key, "y")?].concat();
        Some(key.get("crv")? == curve && self.verifies(verification, &point))
    }

    fn ed25519(&self, key: &Value) -> Option<bool> {
        let point = member(key, "x")?;
        Some(key.get("crv")? == "Ed25519" && self.verifies(&ED25519, &point))
    }

    fn verifies(&self, verification: &'static dyn VerificationAlgorithm, point: &[u8]) -> bool {
        UnparsedPublicKey::new(verification, point)
            .verify(self.message.as_bytes(), &self.signature)
            .is_ok()
    }
}

/// Whether a token has three or five parts, of which the first is a JSON object: a signed or an encrypted JWT.
pub(crate) fn looks_like_jwt(token: &str) -> bool {
    let mut parts = token.split('.');
    let header = parts.next().and_then(decode).unwrap_or_default();
    matches!(parts.count(), 2 | 4) && serde_json::from_slice::<Map<String, Value>>(&header).is_ok()
}

fn member(key: &Value, name: &str) -> Option<Vec<u8>> {
    decode(key.get(name)?.as_str()?)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::issuer::TestIssuer;

    fn keys(issuer: &TestIssuer) -> Vec<Value> {
        issuer.jwks()["keys"].as_array().unwrap().clone()
    }

    #[test]
    fn every_algorithm_verifies_and_no_other_key_does() {
        let (issuer, other) = (TestIssuer::new(), TestIssuer::new());
        for algorithm in SigningAlgorithm::ALL {
            let token = issuer.token().algorithm(*algorithm).mint();
            let _ = other.token().algorithm(*algorithm).mint();
            let jws = Jws::parse(&token).unwrap();
            let claims = jws.verify(&keys(&issuer)).unwrap();
            assert_eq!(claims["sub"], "user-1", "{algorithm}");

            let mut strangers = keys(&other);
            for key in &mut strangers {
                key.as_object_mut().unwrap().remove("kid");
            }
            assert_eq!(jws.verify(&strangers), None, "{algorithm}");
        }
    }

    #[test]
    fn a_key_signs_only_what_it_says_it_is_for() {
        let issuer = TestIssuer::new();
        let token = issuer.token().mint();
        let jws = Jws::parse(&token).unwrap();
        for (member, value) in [("alg", "PS256"), ("kid", "another")] {
            let mut keys = keys(&issuer);
            keys[0][member] = value.into();
            assert_eq!(jws.verify(&keys), None, "{member}");
            keys[0].as_object_mut().unwrap().remove(member);
            assert!(jws.verify(&keys).is_some(), "{member}");
        }
    }

    #[rstest]
    #[case::signed("e30.e30.", true)]
    #[case::encrypted("e30....", true)]
    #[case::four_parts("e30...", false)]
    #[case::one_part("e30", false)]
    #[case::no_object("W10.e30.", false)]
    #[case::no_json("abc.e30.", false)]
    #[case::opaque("6sXmHD1K-8Zl_0", false)]
    fn a_jwt_is_known_by_its_header(#[case] token: &str, #[case] verdict: bool) {
        assert_eq!(looks_like_jwt(token), verdict);
    }
}
