//! # Coming from somewhere else
//!
//! Names and behaviour of others were read in their published sources, in the versions that are named here, or in
//! their documentation. Look them up in the version that you have.
//!
//! ## In what order
//!
//! 1. **Listen.** Put the shadow below in front of what you have. It judges each request as
//!    [`BearerAuth`](crate::bearer::BearerAuth) would, tells what it would refuse, and refuses nothing. Run it until
//!    nothing surprises you, for a token's life at least.
//! 2. **Fit the policy** to what your issuer really sends; see [what is refused
//!    now](#what-is-refused-that-was-accepted). Have the issuer changed where you can, and a setting where you
//!    cannot.
//! 3. **Both in a row.** Mount `BearerAuth` outside of the old check. Both have to accept: nothing gets in that did
//!    not get in before.
//! 4. **Move the handlers** from old claims to [`Principal`](crate::Principal), a route at a time.
//! 5. **Take the old check away** where no handler needs it any more.
//! 6. **Guards, limits, denylist, audit**, one after the other. `RateLimit` and `ConcurrencyLimit` have a `shadow` of
//!    their own; `AuditLog` with `DropAndCount` changes no answer.
//!
//! Each step is a deployment that can be rolled back, and none of them needs new tokens: the same ones are good for
//! both.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use axum::Router;
//! use axum::body::Body;
//! use axum::extract::{Request, State};
//! use axum::middleware::{Next, from_fn_with_state};
//! use axum::response::Response;
//! use gateless::Rejection;
//! use gateless::bearer::BearerAuth;
//! use tower::{Layer as _, ServiceExt as _, service_fn};
//!
//! /// Tells what would be refused, and refuses nothing.
//! async fn shadow(State(auth): State<BearerAuth>, request: Request, next: Next) -> Response {
//!     let mut head = Request::new(Body::empty());
//!     *head.method_mut() = request.method().clone();
//!     *head.uri_mut() = request.uri().clone();
//!     *head.headers_mut() = request.headers().clone();
//!     let passes = service_fn(async |_: Request| Ok::<_, Infallible>(Response::new(Body::empty())));
//!     let Ok(judged) = auth.layer(passes).oneshot(head).await;
//!     if let Some(rejection) = judged.extensions().get::<Rejection>() {
//!         tracing::info!(code = rejection.code(), reason = rejection.reason(), "would be refused");
//!     }
//!     next.run(request).await
//! }
//!
//! fn listening(old: Router, auth: BearerAuth) -> Router {
//!     old.layer(from_fn_with_state(auth, shadow))
//! }
//! # use gateless::bearer::{Keys, TokenPolicy};
//! # use gateless_testkit::TestIssuer;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let issuer = TestIssuer::new();
//! # let policy = TokenPolicy::new(issuer.issuer(), "https://api.example.com");
//! # let keys = Keys::fixed(policy.read_keys(issuer.jwks().to_string().as_bytes())?);
//! # let app = listening(Router::new(), BearerAuth::builder(policy, keys).build()?);
//! # assert_eq!(app.oneshot(Request::new(Body::empty())).await?.status(), 404);
//! # Ok(())
//! # }
//! ```
//!
//! The shadow counts in `gateless_refusals_total` like the layer itself. A request whose key is not known yet waits
//! for it, for as long as `Keys::timeout`.
//!
//! ## What is refused that was accepted
//!
//! | token or request | reason | if it has to be |
//! |---|---|---|
//! | `typ` is missing or `JWT` | `type_not_allowed` | [`Profile::Lax`](crate::bearer::Profile::Lax) |
//! | no `sub`, `client_id`, `iat` or `jti` | `claim_missing` | the same |
//! | no `exp` | `claim_missing` | – |
//! | no `aud`, or none of yours | `claim_missing`, `audience_mismatch` | [`TokenPolicy::audience`](crate::bearer::TokenPolicy::audience) adds one; there is no "any" |
//! | `iss` differs by a slash | `issuer_unknown` | configure it as the issuer writes it |
//! | `exp − iat` above 24 hours | `lifetime_too_long` | `max_lifetime` |
//! | `exp`, `nbf`, `iat` as text; `aud` with a number in it; `sub` as a number | `claims_invalid` | – |
//! | the same member twice | `claims_invalid`, `header_invalid` | – |
//! | `iat` in the future, by more than the leeway (30 s; jsonwebtoken has 60) | `issued_in_future` | `leeway`, 300 s at most |
//! | an ID token | `type_not_allowed`, `use_not_allowed` | – |
//! | `cnf`: bound to a key or certificate | `binding_unsupported` | – |
//! | HS256, RS384, PS256, ES384, … | `algorithm_not_allowed` | `algorithms`; for HMAC [`Key::hmac`](crate::bearer::Key::hmac) too |
//! | RSA keys below 2048 bits | `key_unknown`: they are skipped | – |
//! | `crit`, `jwk`, `jku`, `x5u`, `x5c` in the header | `header_unsupported`, `header_carries_key` | `ignore_key_headers` for the last four |
//! | padding or other alphabets of base64 | `malformed` and others | – |
//! | `Authorization` twice; a list in it, or a tab; a token beyond 8 KiB | `repeated_header`, `bad_characters`, `too_long` | `max_token_len` for the last |
//! | a token in a cookie, a field, the query | `credentials_missing` | [`Credentials`](crate::bearer::Credentials) |
//! | a route that nobody declared, with a table | `route_undeclared` | declare it |
//!
//! And answers change: 401 for no token has a challenge without `error`; 403 names the missing scopes; 503 stands
//! where an outage of the issuer was 401 or 500; gRPC callers get a status of gRPC. Tell the people whose clients
//! look at texts: the [`Renderer`](crate::Renderer) shapes the body, and the status stays.
//!
//! ## jsonwebtoken, by hand
//!
//! Read in 11.1.
//!
//! | there | here |
//! |---|---|
//! | `decode_header`, a map of `kid` to `DecodingKey`, a task that fetches | [`Keys::discovery`](crate::bearer::Keys::discovery), [`jwks_url`](crate::bearer::Keys::jwks_url), [`file`](crate::bearer::Keys::file) |
//! | `DecodingKey::from_rsa_pem` and the like | a JWK set, with [`Keys::file`](crate::bearer::Keys::file) or [`fixed`](crate::bearer::Keys::fixed) |
//! | `Validation::new(Algorithm::RS256)`, `algorithms` | [`TokenPolicy::algorithms`](crate::bearer::TokenPolicy::algorithms); the algorithm comes from the key |
//! | `set_issuer`, `set_audience`; unset by default, and skipped where the claim is missing unless `set_required_spec_claims` names it | arguments of [`TokenPolicy::new`](crate::bearer::TokenPolicy::new), required |
//! | `leeway`, 60 s | `leeway`, 30 s |
//! | `validate_nbf`, off by default | always |
//! | `validate_exp`, `required_spec_claims` | always |
//! | `sub` | a requirement of the route, or the handler's |
//! | `decode::<Claims>` | [`Principal`](crate::Principal); [`Principal::claims`](crate::Principal::claims) reads the rest into your type |
//! | `errors::ErrorKind` | [`TokenFault`](crate::TokenFault), for logs; callers get one text |
//!
//! ## Extractors made by hand
//!
//! A `FromRequestParts` that reads the field and decodes becomes an argument `Principal`, or `Option<Principal>`
//! behind [`OptionalBearerAuth`](crate::bearer::OptionalBearerAuth). What it checked beyond the signature becomes a
//! requirement of the route:
//!
//! ```
//! use axum::{Router, routing::get};
//! use gateless::bearer::BearerAuth;
//! use gateless::scope::ScopeGuard;
//! use gateless::{Principal, scopes};
//! # #[cfg(feature = "axum")]
//! use gateless::Claims;
//!
//! #[derive(serde::Deserialize)]
//! struct Tenant {
//!     tenant: String,
//! }
//!
//! # #[cfg(feature = "axum")]
//! async fn list(caller: Principal, Claims(Tenant { tenant }): Claims<Tenant>) -> String {
//!     format!("orders of {tenant} for {}", caller.subject().unwrap_or("a client"))
//! }
//!
//! # #[cfg(feature = "axum")]
//! fn app(auth: BearerAuth) -> Router {
//!     let read = ScopeGuard::all(scopes!["orders:read"]);
//!     Router::new().route("/orders", get(list).route_layer(read)).layer(auth)
//! }
//! ```
//!
//! An extractor protects the handlers that name it; a layer protects all that are inside. Where a handler forgot it,
//! that shows now.
//!
//! ## axum-jwt-auth 0.7
//!
//! | there | here |
//! |---|---|
//! | `RemoteJwksDecoder::builder().jwks_url(…)`, `initialize()` | [`Keys::jwks_url`](crate::bearer::Keys::jwks_url); the layer fetches by itself, [`ready`](crate::bearer::BearerHandle::ready) waits for it |
//! | `RemoteJwksDecoderConfig`: `cache_duration` (1 h), `retry_count`, `backoff` | `lifetime` (10 min), `cooldown`, `OnOutage` |
//! | an unknown `kid` is an error until the next refresh (500) | one fetch, and the request waits for it |
//! | `LocalDecoder` with several keys, each tried | [`Keys::fixed`](crate::bearer::Keys::fixed), [`Keys::file`](crate::bearer::Keys::file); a key is found by its id |
//! | `Decoder<T>` in the state, `Claims<T>` in handlers | the layer; [`Principal`](crate::Principal) and `Claims<T>` in handlers |
//! | `define_header_extractor!`, `define_cookie_extractor!` | [`Credentials::header`](crate::bearer::Credentials::header), [`cookie`](crate::bearer::Credentials::cookie) with a defence against other sites |
//! | a text for each reason in the 401 | one text; the reason is in the log |
//!
//! ## tower-oauth2-resource-server 0.12
//!
//! | there | here |
//! |---|---|
//! | `OAuth2ResourceServer::builder().add_tenant(…)` | [`BearerAuth::builder`](crate::bearer::BearerAuth::builder), [`issuer`](crate::bearer::BearerAuthBuilder::issuer) for each further one |
//! | `TenantConfiguration::builder(issuer)`, discovery when it is built | [`Keys::discovery`](crate::bearer::Keys::discovery), discovery while serving |
//! | `jwks_url(…)`; `iss` is not asked for then, unless `claims_validation` says so | [`Keys::jwks_url`](crate::bearer::Keys::jwks_url); `iss` is required in any case |
//! | `audiences(…)`; without it `aud` is not asked for | an argument |
//! | `static_builder(jwks)` | [`Keys::fixed`](crate::bearer::Keys::fixed), [`Keys::file`](crate::bearer::Keys::file) |
//! | `jwks_refresh_interval` (60 s) | `lifetime` (10 min) and a fetch for unknown keys |
//! | `IssuerAuthorizerResolver`, `KidAuthorizerResolver`, a resolver of your own | by `iss`, and nothing else |
//! | `OAuth2ResourceServer<MyClaims>`, `Extension<MyClaims>` | [`Principal::of`](crate::Principal::of), [`Principal::claims`](crate::Principal::claims) |
//! | `into_layer_with_error_handler` | [`Renderer`](crate::Renderer): the body, and not the status |
//! | `BearerTokenResolver` | [`Credentials`](crate::bearer::Credentials) |
//!
//! ## oauth-resource-server 0.4
//!
//! | there | here |
//! |---|---|
//! | `OAuthConfig { issuer, audience, audiences, … }.resolve(…)` | [`TokenPolicy`](crate::bearer::TokenPolicy), checked by `build` |
//! | `jwks_uri`, or discovery | [`Keys::jwks_url`](crate::bearer::Keys::jwks_url), [`Keys::discovery`](crate::bearer::Keys::discovery) |
//! | `spawn_background_refresh`, hourly; keys are held for as long as refreshes fail | by itself, after 7 to 8 minutes; for as long as [`OnOutage`](crate::OnOutage) says |
//! | no keys can be had: 401 | 503 with `Retry-After` |
//! | `require_at_jwt(true)` | the default; else [`Profile::Lax`](crate::bearer::Profile::Lax) |
//! | `scope_claims`, several, united | [`scope_claim`](crate::bearer::TokenPolicy::scope_claim), one |
//! | `allowed_client_ids`, `max_token_age_secs`, `required_claims` | `allowed_clients`; `max_lifetime` is about the whole life; [`Requirement::claim`](crate::Requirement::claim) |
//! | `RequireScopes::new([…])`, `Scoped<S>` | [`ScopeGuard::all`](crate::scope::ScopeGuard::all), `Granted<N>` |
//! | `AuthorizedToken`, `Credential` | [`Principal`](crate::Principal) |
//! | `.optional()` | [`OptionalBearerAuth`](crate::bearer::OptionalBearerAuth), another type |
//! | `metadata_router` | `ResourceMetadata` (feature `resource_metadata`) |
//! | `on_reject` | [`Renderer`](crate::Renderer) |
//! | `is_ready`, `key_set_status` | [`is_ready`](crate::bearer::BearerHandle::is_ready), [`key_status`](crate::bearer::BearerHandle::key_status) |
//! | static API keys (`StaticTokens`) | none: keep a layer of your own for them, and issue tokens |
//! | `McpToolScopes`, scopes by tool from the body | none: bodies are not read. `examples/mcp` asks for scopes in the tool |
//!
//! ## axum-login 0.18
//!
//! It is about sessions of people in browsers: `AuthSession`, `AuthnBackend`, cookies. Keep it for those, and put
//! `BearerAuth` in front of the routes that programs call. Both on one route would be two ways in.
//!
//! | there | here |
//! |---|---|
//! | `login_required!` | [`BearerAuth`](crate::bearer::BearerAuth) |
//! | `permission_required!`, `AuthzBackend` | [`ScopeGuard`](crate::scope::ScopeGuard), by what the token says |
//! | `predicate_required!` | a [`Gate`](crate::gate::Gate) of your own, or the handler |
//! | `AuthSession::user` | [`Principal`](crate::Principal): who, and not a row of your database |
//! | a session that is logged out | `Denylist`, `Revocation::session` |
//!
//! ## tower_governor 0.8
//!
//! | there | here |
//! |---|---|
//! | `GovernorConfigBuilder::per_second(4)`: one unit in four seconds | `Quota::per(1, Duration::from_secs(4))` |
//! | `burst_size(8)` | `Quota::burst(8)` |
//! | `PeerIpKeyExtractor`; a single address of IPv6 | `LimitKey::peer`; 64 bits of IPv6 |
//! | `SmartIpKeyExtractor`: the *first* address of `X-Forwarded-For` | `Peer::behind_proxies(TrustedProxies::hops(…))`: what your proxies wrote |
//! | `GlobalKeyExtractor` | none: `tower::limit` |
//! | a `KeyExtractor` of your own | `LimitKey::claim`, `subject`, `client`, `token`, `route`, and `and` |
//! | `methods(…)` | mount it on the routes, or `route_cost` with 0 |
//! | a task that calls `retain_recent` | none needed: the table has a bound |
//! | `use_headers`: `x-ratelimit-…` | `rate_limit_fields`: `RateLimit`, a draft of the IETF (feature `limit_fields`) |
//! | `error_handler` | [`Renderer`](crate::Renderer) |
//!
//! Mount the new limit with `shadow` next to the old one, compare, and swap them. Behind the authentication it counts
//! callers and not addresses.
//!
//! ## A gateway: Envoy, Kong, KrakenD
//!
//! Keep the gateway for what it is good at, and move the decision who may do what into the service. Step by step:
//! first the service checks the token as well, so let the gateway *forward* it; then take the gateway's check away.
//!
//! | Envoy, `jwt_authn` | here |
//! |---|---|
//! | `issuer` | an argument |
//! | `audiences`; if not set, not checked | an argument |
//! | `remote_jwks`, `cache_duration` (10 min) | `Keys::jwks_url`, `lifetime` (10 min) |
//! | no keys can be had: 401 | 503 |
//! | `forward` | has to be on |
//! | `from_headers`, `from_params`; the query parameter `access_token` by default | `Credentials`; the query is off |
//! | `forward_payload_header`, `claim_to_headers` | [`Principal`](crate::Principal); `StripIdentityHeaders::also` for these fields |
//! | `allow_missing` | `OptionalBearerAuth` |
//! | `rules` by path | `ScopeTable`, by matched route |
//!
//! | Kong, `jwt` | here |
//! |---|---|
//! | consumers with a `key` and a secret or public key of their own, found by `key_claim_name` (`iss`) | issuers; a consumer is a client of an issuer, not an issuer |
//! | `claims_to_verify`: `exp`, `nbf`, if listed | always |
//! | `maximum_expiration` | `max_lifetime` |
//! | `uri_param_names` (`jwt`), `cookie_names`, `header_names` | `Credentials` |
//! | `anonymous` | `OptionalBearerAuth` |
//! | `run_on_preflight` | the CORS layer outside |
//!
//! | KrakenD, `auth/validator` | here |
//! |---|---|
//! | `jwk_url`, `cache` | `Keys::jwks_url` |
//! | `issuer`, `audience`, if set | arguments |
//! | `roles_key`, `roles` | [`Requirement::claim`](crate::Requirement::claim) |
//! | `scopes_key`, `scopes`, `scopes_matcher` | `scope_claim`, [`ScopeGuard`](crate::scope::ScopeGuard) |
//! | `propagate_claims` | [`Principal`](crate::Principal) |
//! | the revoker (bloom filters) | `Denylist`, which has no false positives |
//!
//! Take the identity fields of the gateway off at the service from the first day on (`StripIdentityHeaders`): once
//! the gateway does not overwrite them any more, they are whatever a client writes.
