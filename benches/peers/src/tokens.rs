//! Who takes part with a token: gateless, what it is held against, and the other crates.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use axum_jwt_auth::{Claims, Decoder, RemoteJwksDecoder};
use gateless::bearer::{BearerAuth, Keys, TokenCache, TokenPolicy};
use gateless::scope::ScopeGuard;
use gateless::{OnOutage, scopes};
use gateless_bench::{AUDIENCE, Case, Digests, Sample, noop, raw_key, sha256};
use gateless_testkit::TestIssuer;
use http::{Request, Response, StatusCode};
use oauth_resource_server::http_layer::HttpAuthLayer;
use oauth_resource_server::{KeyNaming, OAuthConfig, OAuthValidator};
use serde::Deserialize;
use tokio::runtime::Runtime;
use tower::{Layer as _, Service};
use tower_oauth2_resource_server::server::OAuth2ResourceServer;
use tower_oauth2_resource_server::tenant::TenantConfiguration;
use tower_oauth2_resource_server::validation::ClaimsValidationSpec;

use crate::contest::{Contestant, Floor, Rounds, Turn, status};

const NOOP: &str = "service alone";
const ROUTER: &str = "axum router alone";
const HOT: &str = "gateless, hot";
const PEERS: [&str; 3] = [
    "tower-oauth2-resource-server",
    "oauth-resource-server",
    "axum-jwt-auth",
];

const KINDS: [Case; 3] = [Case::Rs256, Case::Es256, Case::EdDsa];

/// Prints one table with all kinds, and one with how much cheaper gateless is than the cheapest peer.
pub(crate) fn run(runtime: &Runtime, tokens: usize, rounds: usize) {
    // Both backends of that generation are there, so it has no default.
    let provider = &jsonwebtoken_10::crypto::aws_lc::DEFAULT_PROVIDER;
    let _ = provider.install_default();

    println!("A token in a request, ns: medians of {rounds} rounds, {tokens} tokens.");
    println!("net: less the service alone. ratio: net / net of gateless with a hot token.\n");
    println!("| token | | ns | net, ns | ratio | quartiles |");
    println!("|---|---|---|---|---|---|");
    let done = KINDS.map(|case| {
        let issuer = runtime.block_on(TestIssuer::serve());
        let issuer = issuer.expect("a port is free");
        let tokens: Vec<_> = (0..tokens)
            .map(|_| Sample::new(case.mint(&issuer)))
            .collect();
        let mut contestants = contestants(runtime, &issuer, case, &tokens);
        let rounds = Rounds::run(runtime, &mut contestants, &tokens, rounds);
        rounds.print(&case.to_string(), HOT);
        runtime.block_on(issuer.shutdown());
        (case, rounds)
    });

    println!("\n| token | cheapest peer / gateless, hot | quartiles |");
    println!("|---|---|---|");
    for (case, rounds) in done {
        let peers = PEERS.map(|peer| rounds.net(peer));
        let cheapest = |round| {
            let of_round = peers.iter().filter_map(|times| times.get(round));
            of_round.copied().fold(f64::INFINITY, f64::min)
        };
        let hot = rounds.net(HOT);
        let ratios = hot
            .iter()
            .enumerate()
            .map(|(round, hot)| cheapest(round) / hot);
        let [lower, ratio, upper] = gateless_bench::quartiles(ratios.collect());
        println!("| {case} | {ratio:.1} | {lower:.1} to {upper:.1} |");
    }
    println!();
}

/// All who take part. To add a service: build it, `prove` it, and give it a name and a floor.
fn contestants(
    runtime: &Runtime,
    issuer: &TestIssuer,
    case: Case,
    tokens: &[Sample],
) -> Vec<Contestant<Sample>> {
    let bad = Bad::new(issuer, case);
    let router = || Router::new().route("/orders", get(async || ()));

    let hot = bearer(runtime, issuer);
    let mut hot = hot.layer(ScopeGuard::all(scopes!["orders:read"]).layer(noop()));
    prove(runtime, HOT, &mut hot, Sample::request, &bad, tokens);

    let cold = bearer(runtime, issuer);
    let handle = cold.handle().clone();
    let mut cold = cold.layer(ScopeGuard::all(scopes!["orders:read"]).layer(noop()));
    prove(runtime, "cold", &mut cold, Sample::request, &bad, tokens);

    let [tower, resource, decoder] = PEERS;
    let mut by_tower = runtime.block_on(tower_peer(issuer)).layer(noop());
    prove(runtime, tower, &mut by_tower, Sample::request, &bad, tokens);
    let mut by_resource = runtime.block_on(resource_peer(issuer)).layer(text());
    prove(
        runtime,
        resource,
        &mut by_resource,
        Sample::request,
        &bad,
        tokens,
    );
    let mut by_decoder = runtime.block_on(decoder_peer(issuer, case));
    prove(runtime, decoder, &mut by_decoder, with_body, &bad, tokens);

    let digests: Digests = moka::sync::Cache::builder()
        .max_capacity(200_000)
        .build_with_hasher(BuildHasherDefault::default());
    for token in tokens {
        digests.insert(sha256(token), token.token().into());
    }
    digests.run_pending_tasks();
    let key = raw_key(issuer, case);

    let (floor, in_axum) = (Floor::Of(NOOP), Floor::Of(ROUTER));
    let (many, few) = (Turn::Many, Turn::Few);
    vec![
        Contestant::service(NOOP, Floor::None, many, noop(), Sample::request),
        Contestant::service(HOT, floor, many, hot, Sample::request),
        Contestant::service("gateless, cold", floor, few, cold, Sample::request)
            .preceded(move || handle.forget_tokens()),
        Contestant::work("SHA-256 + one moka hit", many, move |token: &Sample| {
            digests.get(&sha256(token)).is_some()
        }),
        Contestant::work("signature alone", few, move |token: &Sample| token.verify(&key)),
        Contestant::service(tower, floor, few, by_tower, Sample::request),
        Contestant::service(resource, floor, few, by_resource, Sample::request),
        Contestant::service(ROUTER, Floor::None, many, router(), with_body),
        Contestant::service(decoder, in_axum, few, by_decoder, with_body),
    ]
}

/// Keys are fetched by all of them, and for longer than this runs.
fn bearer(runtime: &Runtime, issuer: &TestIssuer) -> BearerAuth {
    let policy = TokenPolicy::new(issuer.issuer(), AUDIENCE).danger_allow_http_loopback();
    let keys = Keys::jwks_url(issuer.jwks_url(), OnOutage::FailClosed)
        .lifetime(Duration::from_secs(24 * 3600));
    let cache = TokenCache::new().max_tokens(200_000).max_bytes(1 << 30);
    runtime.block_on(async {
        let auth = BearerAuth::builder(policy, keys).token_cache(cache).build();
        let auth = auth.expect("the settings are sound");
        auth.ready().await.expect("the issuer is there");
        auth
    })
}

/// It knows no scopes.
async fn tower_peer(
    issuer: &TestIssuer,
) -> tower_oauth2_resource_server::layer::OAuth2ResourceServerLayer<
    (),
    tower_oauth2_resource_server::claims::DefaultClaims,
> {
    let audiences = vec![AUDIENCE.to_owned()];
    let claims = ClaimsValidationSpec::recommended(issuer.issuer(), &audiences);
    // `nbf` would be required then, which RFC 9068 does not ask for.
    let claims = claims.nbf(false);
    // Fetched by a task it would be there some time later.
    let tenant = TenantConfiguration::static_builder(issuer.jwks().to_string())
        .claims_validation(claims)
        .build()
        .expect("the settings are sound");
    let server = <OAuth2ResourceServer>::builder().add_tenant(tenant);
    let server = server.build().await.expect("the settings are sound");
    server.into_layer()
}

/// With the scope that it looks for in each token.
async fn resource_peer(issuer: &TestIssuer) -> HttpAuthLayer {
    let config = OAuthConfig {
        enabled: true,
        issuer: issuer.issuer().to_owned(),
        jwks_uri: Some(issuer.jwks_url()),
        audience: AUDIENCE.to_owned(),
        resource: AUDIENCE.to_owned(),
        required_scope: Some("orders:read".to_owned()),
        ..OAuthConfig::default()
    };
    let config = config.resolve(KeyNaming::Dotted("oauth"));
    let config = config.expect("the settings are sound").expect("it is on");
    let validator = OAuthValidator::new(&config).expect("the settings are sound");
    validator.refresh_now().await.expect("the issuer is there");
    let layer = HttpAuthLayer::builder().oauth(Arc::new(validator)).build();
    layer.expect("the settings are sound")
}

/// What a handler has to name to have them checked, or else they are not.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "they are made, which is what costs")]
struct Named {
    sub: String,
    scope: String,
}

/// It knows no scopes, and is an extractor of axum.
async fn decoder_peer(issuer: &TestIssuer, case: Case) -> Router {
    let algorithm = case.algorithm().name().parse().expect("it is known there");
    let mut validation = jsonwebtoken_10::Validation::new(algorithm);
    validation.set_issuer(&[issuer.issuer()]);
    validation.set_audience(&[AUDIENCE]);
    let decoder = RemoteJwksDecoder::builder()
        .jwks_url(issuer.jwks_url())
        .validation(validation)
        .build()
        .expect("the settings are sound");
    // It fetches again after an hour, if it is not stopped.
    decoder.initialize().await.expect("the issuer is there");
    let state: Decoder<Named> = Arc::new(decoder);
    Router::new()
        .route("/orders", get(async |_: Claims<Named>| ()))
        .with_state(state)
}

fn with_body(token: &Sample) -> Request<Body> {
    token.request().map(|()| Body::empty())
}

/// The service that answers at once, with a body that some layers have to be able to make.
fn text() -> tower::util::ServiceFn<fn(Request<()>) -> Ready<Result<Response<String>, Infallible>>>
{
    tower::service_fn(|_| ready(Ok(Response::new(String::new()))))
}

/// Tokens that nobody may let through.
struct Bad {
    forged: Sample,
    foreign: Sample,
    expired: Sample,
}

impl Bad {
    fn new(issuer: &TestIssuer, case: Case) -> Self {
        let token = || {
            let token = issuer
                .token()
                .algorithm(case.algorithm())
                .subject("248289761001");
            token.scope("orders:read").audience(AUDIENCE)
        };
        Self {
            forged: Sample::new(token().signature(vec![1; 64]).mint()),
            foreign: Sample::new(token().audience("https://elsewhere.example.com").mint()),
            expired: Sample::new(token().expires_in(-3600).mint()),
        }
    }
}

/// All tokens are good, the bad ones are not. Whoever refuses is quick, and whoever lets anything through as well.
fn prove<S, Q, B>(
    runtime: &Runtime,
    name: &str,
    service: &mut S,
    request: fn(&Sample) -> Request<Q>,
    bad: &Bad,
    good: &[Sample],
) where
    S: Service<Request<Q>, Response = Response<B>, Error = Infallible>,
{
    runtime.block_on(async {
        for token in good {
            let answer = status(service, request(token)).await;
            assert_eq!(answer, StatusCode::OK, "{name}");
        }
        for (what, token) in [
            ("forged", &bad.forged),
            ("for somebody else", &bad.foreign),
            ("expired", &bad.expired),
        ] {
            let answer = status(service, request(token)).await;
            assert_eq!(answer, StatusCode::UNAUTHORIZED, "{name}: {what}");
        }
    });
}
