//! Extractors for axum. They read what an authentication layer left behind, and say so when there was none.

use std::sync::Once;

use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::fault::TokenFault;
use crate::principal::Principal;
use crate::rejection::Rejection;
use crate::render::Renderer;
use crate::wire::Wire;

/// The claims of the caller's token as a type of your own.
///
/// ```
/// use gateless_core::Claims;
///
/// #[derive(serde::Deserialize)]
/// struct Tenant {
///     tenant: String,
/// }
///
/// async fn show(Claims(Tenant { tenant }): Claims<Tenant>) -> String {
///     tenant
/// }
/// ```
///
/// A token whose claims do not have that form is refused as invalid; no authentication layer is a `500`.
#[derive(Clone, Copy, Debug)]
pub struct Claims<T>(pub T);

/// Why an extractor refused; renders like the refusal of a layer.
#[derive(Clone, Debug)]
pub struct ExtractorRejection {
    rejection: Rejection,
    wire: Wire,
}

impl ExtractorRejection {
    /// For an extractor of your own that refuses like those of gateless.
    #[must_use]
    pub fn new(rejection: Rejection, parts: &Parts) -> Self {
        if rejection == Rejection::PipelineMisordered {
            static LOG: Once = Once::new();
            LOG.call_once(|| {
                // Without the path: a caller chose it.
                tracing::error!(
                    name: "gateless.misordered",
                    stage = "extractor",
                    "a handler asks for the principal, but no authentication layer covers its route"
                );
            });
        }
        Self {
            rejection,
            wire: Wire::of(&parts.headers),
        }
    }

    /// The rejection behind it.
    #[must_use]
    pub const fn rejection(&self) -> &Rejection {
        &self.rejection
    }
}

impl IntoResponse for ExtractorRejection {
    fn into_response(self) -> Response {
        Renderer::default()
            .render(&self.rejection, self.wire)
            .map(Body::from)
    }
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = ExtractorRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Self::of(&parts.extensions)
            .cloned()
            .map_err(|rejection| ExtractorRejection::new(rejection, parts))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Principal {
    type Rejection = ExtractorRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        Self::optional(&parts.extensions)
            .map(Option::<&Self>::cloned)
            .map_err(|rejection| ExtractorRejection::new(rejection, parts))
    }
}

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Claims<T> {
    type Rejection = ExtractorRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Principal::of(&parts.extensions)
            .and_then(|principal| {
                principal
                    .claims()
                    .map_err(|_| Rejection::from(TokenFault::ClaimsInvalid))
            })
            .map(Self)
            .map_err(|rejection| ExtractorRejection::new(rejection, parts))
    }
}
