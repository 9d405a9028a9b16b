//! The signature algorithms that a test issuer speaks.

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaSigningAlgorithm,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding,
};

/// How a token is signed (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SigningAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, the one that every issuer has.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519, under the name `EdDSA`.
    EdDsa,
}

/// The kind of key behind an algorithm, and what aws-lc needs to know to sign with it.
#[derive(Clone, Copy)]
pub(crate) enum Family {
    Rsa(&'static dyn RsaEncoding),
    Ecdsa(&'static EcdsaSigningAlgorithm, &'static str),
    Ed25519,
}

impl SigningAlgorithm {
    /// Every algorithm, for tests that go through all of them.
    pub const ALL: &[Self] = &[
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// The value of `alg`, in a token's header and in a key.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().0
    }

    pub(crate) fn family(self) -> Family {
        self.row().1
    }

    fn row(self) -> (&'static str, Family) {
        match self {
            Self::Rs256 => ("RS256", Family::Rsa(&RSA_PKCS1_SHA256)),
            Self::Rs384 => ("RS384", Family::Rsa(&RSA_PKCS1_SHA384)),
            Self::Rs512 => ("RS512", Family::Rsa(&RSA_PKCS1_SHA512)),
            Self::Ps256 => ("PS256", Family::Rsa(&RSA_PSS_SHA256)),
            Self::Ps384 => ("PS384", Family::Rsa(&RSA_PSS_SHA384)),
            Self::Ps512 => ("PS512", Family::Rsa(&RSA_PSS_SHA512)),
            Self::Es256 => (
                "ES256",
                Family::Ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            ),
            Self::Es384 => (
                "ES384",
                Family::Ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
            ),
            Self::EdDsa => ("EdDSA", Family::Ed25519),
        }
    }
}

impl fmt::Display for SigningAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
