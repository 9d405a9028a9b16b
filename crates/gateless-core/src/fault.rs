//! What exactly was wrong with a credential: closed reason codes for audit and metrics, never for the caller.

use std::fmt;

/// Makes a fieldless enum whose variants carry a stable code.
macro_rules! reasons {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $code:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// Every reason, in the order of the checks.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The stable code: public API, safe as a metric label.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.code())
            }
        }

        impl std::error::Error for $name {}
    };
}

reasons! {
    /// How credentials were presented wrongly, before any of them was decoded (RFC 6750 §3.1 `invalid_request`).
    PresentationFault {
        /// More than one `Authorization` field.
        RepeatedHeader = "repeated_header",
        /// Credentials in more than one place.
        SeveralSources = "several_sources",
        /// The `Bearer` scheme without a token behind it.
        EmptyToken = "empty_token",
        /// A byte outside the `b64token` characters, or a broken scheme.
        BadCharacters = "bad_characters",
        /// Longer than the configured `max_token_len`.
        TooLong = "too_long",
        /// A cookie credential on a request that does not satisfy the cross-site policy.
        CrossSite = "cross_site",
        /// A token that travelled over plain HTTP although TLS is required: treat it as leaked.
        Exposed = "exposed",
    }
}

reasons! {
    /// Why a token is not accepted. The caller only ever sees `invalid_token`; this goes to audit and metrics.
    TokenFault {
        /// Not three non-empty base64url segments.
        Malformed = "malformed",
        /// Five segments: a JWE, where a JWS is expected.
        Encrypted = "encrypted",
        /// The JOSE header is not a strict JSON object, or a member has the wrong type.
        HeaderInvalid = "header_invalid",
        /// The header names an extension that must be understood and is not (`crit`, `b64`, `zip`, nesting).
        HeaderUnsupported = "header_unsupported",
        /// The header carries key material or a place to fetch it from (`jwk`, `jku`, `x5u`, `x5c`).
        HeaderCarriesKey = "header_carries_key",
        /// `alg` is unknown, not allowed, or not the algorithm of the key.
        AlgorithmNotAllowed = "algorithm_not_allowed",
        /// `typ` says that this is another kind of token.
        TypeNotAllowed = "type_not_allowed",
        /// `iss` is not one of the configured issuers.
        IssuerUnknown = "issuer_unknown",
        /// No key of that issuer fits.
        KeyUnknown = "key_unknown",
        /// The key was refused by whoever operates this service, whatever the issuer publishes.
        KeyRefused = "key_refused",
        /// The signature does not verify.
        SignatureInvalid = "signature_invalid",
        /// The authorization server does not introspect tokens of this kind: it answers `unsupported_token_type`
        /// (RFC 7009 §2.2.1).
        NotIntrospectable = "not_introspectable",
        /// What the authorization server says about the token breaks RFC 7662: `active` is not a boolean.
        AnswerInvalid = "answer_invalid",
        /// The authorization server says that the token is not active (RFC 7662 §2.2).
        Inactive = "inactive",
        /// The claims are not a strict JSON object, or a claim has the wrong type.
        ClaimsInvalid = "claims_invalid",
        /// A claim that the profile requires is missing.
        ClaimMissing = "claim_missing",
        /// The token is for another use: an ID token, a refresh token, a logout token.
        UseNotAllowed = "use_not_allowed",
        /// `exp` has passed.
        Expired = "expired",
        /// `nbf` is still ahead.
        NotYetValid = "not_yet_valid",
        /// `iat` is in the future, or after `exp`.
        IssuedInFuture = "issued_in_future",
        /// The token lives longer than `max_lifetime`.
        LifetimeTooLong = "lifetime_too_long",
        /// `aud` does not name this service.
        AudienceMismatch = "audience_mismatch",
        /// The client is not one of the allowed ones.
        ClientNotAllowed = "client_not_allowed",
        /// The token is bound to a key (`cnf`), and this pipeline cannot check the binding.
        BindingUnsupported = "binding_unsupported",
        /// The token was delegated (`act`) where delegation is forbidden.
        DelegationNotAllowed = "delegation_not_allowed",
        /// The token was revoked, or its session, subject, client, issuer or key: somebody uses what is not to be used any more.
        Revoked = "revoked",
    }
}

impl TokenFault {
    /// Whether only a token that its issuer made is refused for this: it was not guessed, and says nothing against whoever
    /// sent it but that they should have another.
    #[must_use]
    pub const fn proves_origin(self) -> bool {
        matches!(
            self,
            Self::UseNotAllowed
                | Self::Expired
                | Self::NotYetValid
                | Self::IssuedInFuture
                | Self::LifetimeTooLong
                | Self::AudienceMismatch
                | Self::ClientNotAllowed
                | Self::BindingUnsupported
                | Self::DelegationNotAllowed
                | Self::Revoked
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_distinct_and_fit_for_a_metric_label() {
        let codes: Vec<_> = TokenFault::ALL
            .iter()
            .map(|fault| fault.code())
            .chain(PresentationFault::ALL.iter().map(|fault| fault.code()))
            .collect();
        assert_eq!(codes.iter().collect::<HashSet<_>>().len(), codes.len());
        assert!(
            codes
                .iter()
                .all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        );
    }
}
