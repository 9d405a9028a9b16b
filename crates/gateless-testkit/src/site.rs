//! What an issuer publishes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use http::HeaderMap;
use serde_json::{Value, json};

use crate::algorithm::SigningAlgorithm;
use crate::caching::Caching;
use crate::fault::Endpoint;
use crate::introspection::Introspection;
use crate::keyring::KeyRing;

/// The published documents and the state of their endpoints, shared by an issuer and its server.
pub(crate) struct Site {
    pub(crate) keys: KeyRing,
    pub(crate) discovery: Endpoint,
    pub(crate) jwks: Endpoint,
    pub(crate) introspection: Introspection,
    /// Of the key set: the discovery documents say nothing to caches.
    pub(crate) caching: Caching,
    metadata: Value,
    jwks_override: Mutex<Option<Value>>,
}

/// A document that is served under at least one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Document {
    Discovery,
    Jwks,
}

impl Document {
    pub(crate) const JWKS_PATH: &str = "/jwks";

    pub(crate) fn at(path: &str) -> Option<Self> {
        match path {
            "/.well-known/openid-configuration" | "/.well-known/oauth-authorization-server" => {
                Some(Self::Discovery)
            }
            Self::JWKS_PATH => Some(Self::Jwks),
            _ => None,
        }
    }

    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Discovery => "application/json",
            Self::Jwks => "application/jwk-set+json",
        }
    }

    pub(crate) const fn empty(self) -> &'static str {
        match self {
            Self::Discovery => "{}",
            Self::Jwks => r#"{"keys":[]}"#,
        }
    }
}

impl Site {
    /// A site whose metadata announce `issuer`, and point to the key set at `jwks_url`.
    pub(crate) fn new(
        keys: KeyRing,
        introspection: Introspection,
        issuer: &str,
        jwks_url: &str,
    ) -> Self {
        let base = issuer.trim_end_matches('/');
        let algorithms: Vec<_> = SigningAlgorithm::ALL.iter().map(|it| it.name()).collect();
        Self {
            keys,
            discovery: Endpoint::default(),
            jwks: Endpoint::default(),
            caching: Caching::default(),
            metadata: json!({
                "issuer": issuer,
                // Nobody answers at these two. A client that reads the document strictly cannot do without them.
                "authorization_endpoint": format!("{base}/authorize"),
                "token_endpoint": format!("{base}/token"),
                "jwks_uri": jwks_url,
                "introspection_endpoint": introspection.url(),
                "introspection_endpoint_auth_methods_supported":
                    ["client_secret_basic", "client_secret_post", "private_key_jwt"],
                "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }),
            introspection,
            jwks_override: Mutex::new(None),
        }
    }

    pub(crate) const fn endpoint(&self, document: Document) -> &Endpoint {
        match document {
            Document::Discovery => &self.discovery,
            Document::Jwks => &self.jwks,
        }
    }

    /// The document as it is published at this moment.
    pub(crate) fn content(&self, document: Document) -> Vec<u8> {
        match document {
            Document::Discovery => self.metadata.to_string(),
            Document::Jwks => {
                let instead = self.jwks_override().clone();
                instead.unwrap_or_else(|| self.keys.jwks()).to_string()
            }
        }
        .into_bytes()
    }

    /// What an answer that is about `content` tells caches.
    pub(crate) fn caching_fields(&self, document: Document, content: &[u8]) -> HeaderMap {
        match document {
            Document::Discovery => HeaderMap::new(),
            Document::Jwks => self.caching.fields(content),
        }
    }

    pub(crate) fn jwks_override(&self) -> MutexGuard<'_, Option<Value>> {
        self.jwks_override
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
