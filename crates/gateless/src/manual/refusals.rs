//! # What a refusal looks like
//!
//! Every refusal is a [`Rejection`](crate::Rejection), rendered in the protocol of its request. The `content-type` of
//! the request tells which: `application/grpc` gets a status in the headers, `application/grpc-web` a trailer frame,
//! everything else problem details. Clients of the Connect protocol get the HTTP form.
//!
//! ```text
//! HTTP/1.1 403 Forbidden
//! content-type: application/problem+json
//! www-authenticate: Bearer error="insufficient_scope", error_description="…", scope="orders:read orders:write"
//! cache-control: no-store
//!
//! {"type":"about:blank","title":"Forbidden","status":403,"detail":"…","code":"scope_insufficient",
//!  "missing_scopes":["orders:write"],"required_scopes":["orders:read","orders:write"]}
//! ```
//!
//! The challenge names every scope that the request needs, granted or not: a client that asked for the missing ones
//! alone would lose those it has. The missing ones stand apart in the body.
//!
//! A person who has to sign in again, or better, is told how (RFC 9470): `error="insufficient_user_authentication"` with
//! `acr_values`, `max_age`, and the missing scopes, so that one sign-in brings them all. Where nothing that a client can
//! ask for would help, such as a claim of another value, the `403` has no challenge.
//!
//! A gRPC caller gets `grpc-status`, `grpc-message`, and a `google.rpc.ErrorInfo` with the code in capitals as its
//! reason, so that a limit of this service can be told from one of the gRPC library.
//!
//! Whoever had too much gets `429` and `rate_exceeded`, or `RESOURCE_EXHAUSTED`, with a time to come back in `Retry-After` or
//! `RetryInfo`: rounded up, and spread over some time. See the chapter `limits`.
//!
//! ## What the caller does not learn
//!
//! Every bad token gets the same text. Whether it had expired, was signed by an unknown key or meant for somebody else
//! is in [`Rejection::reason`](crate::Rejection::reason) and in a `tracing` event at debug level with the fields
//! `stage`, `code` and `reason`; all three have few, fixed values.
//!
//! ## Your own form
//!
//! A [`Renderer`](crate::Renderer) shapes the body. Status, challenge and caching stay what they have to be:
//!
//! ```
//! use gateless::{ProblemBody, Renderer};
//!
//! let renderer = Renderer::builder()
//!     .resource_metadata("https://orders.example.com/.well-known/oauth-protected-resource")
//!     .body(|problem| {
//!         ProblemBody::new("application/json", format!("{{\"error\":\"{}\"}}", problem.code()))
//!     })
//!     .build()?;
//! # let _ = renderer;
//! # Ok::<(), gateless::ConfigError>(())
//! ```
//!
//! A refused response carries its [`Rejection`](crate::Rejection) in its extensions, where an outer layer finds it.
