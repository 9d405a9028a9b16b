//! How much a caller may have: `RateLimit` next to tower_governor.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use gateless::limit::{LimitKey, RateLimit};
use gateless::{Peer, PeerAddress, Principal, PrincipalParts, Quota, Timestamp};
use governor::middleware::NoOpMiddleware;
use http::{Request, Response, StatusCode};
use tokio::runtime::Runtime;
use tower::util::ServiceFn;
use tower::{Layer as _, Service, service_fn};
use tower_governor::governor::GovernorConfigBuilder;
use tower_governor::key_extractor::{KeyExtractor, PeerIpKeyExtractor};
use tower_governor::{GovernorError, GovernorLayer};

use crate::contest::{Contestant, Floor, Rounds, Turn, status};

const NOOP: &str = "service alone";
const OURS: &str = "gateless `RateLimit`";
const PEER: &str = "tower_governor";

const ISSUER: &str = "https://idp.example.com/realms/main";

/// A unit comes back so slowly that everybody owes something all the time, and there are more than are ever taken.
const PERIOD: Duration = Duration::from_secs(100);
const BURST: u32 = 3_000_000;

/// One table, with so many callers each.
pub(crate) fn run(runtime: &Runtime, counts: [u32; 2], rounds: usize) {
    println!("A check of how much a caller had, ns: medians of {rounds} rounds.");
    println!("net: less the service alone. ratio: net / net of {PEER}.\n");
    println!("| callers | | ns | net, ns | ratio | quartiles |");
    println!("|---|---|---|---|---|---|");
    for count in counts {
        let ours = || LimitKey::peer(Peer::connection());
        let what = format!("{count}, by address");
        contest(runtime, &what, count, rounds, ours, PeerIpKeyExtractor);
        let what = format!("{count}, by issuer and subject");
        contest(runtime, &what, count, rounds, LimitKey::caller, PerCaller);
    }
    println!();
}

fn contest<K: KeyExtractor + 'static>(
    runtime: &Runtime,
    what: &str,
    count: u32,
    rounds: usize,
    ours: impl Fn() -> LimitKey,
    theirs: K,
) where
    K::Key: Send + Sync,
{
    let few = |burst| limit(ours(), burst).layer(noop());
    prove(runtime, OURS, few);
    let few = |burst| governed(theirs.clone(), burst).layer(noop());
    prove(runtime, PEER, few);

    let callers: Vec<_> = (0..count.max(Turn::Many as u32))
        .map(|it| it % count)
        .collect();
    let floor = Floor::Of(NOOP);
    let ours = limit(ours(), BURST).layer(noop());
    let theirs = governed(theirs, BURST).layer(noop());
    let mut contestants = [
        Contestant::service(NOOP, Floor::None, Turn::Many, noop(), request),
        Contestant::service(OURS, floor, Turn::Many, ours, request),
        Contestant::service(PEER, floor, Turn::Many, theirs, request),
    ];
    let rounds = Rounds::run(runtime, &mut contestants, &callers, rounds);
    rounds.print(what, PEER);
}

fn limit(key: LimitKey, burst: u32) -> RateLimit {
    let quota = Quota::per(1, PERIOD).burst(burst);
    let limit = RateLimit::builder(key, [quota]).build();
    limit.expect("the settings are sound")
}

fn governed<K: KeyExtractor>(key: K, burst: u32) -> GovernorLayer<K, NoOpMiddleware, Body> {
    let mut builder = GovernorConfigBuilder::default().key_extractor(key);
    let config = builder.period(PERIOD).burst_size(burst).finish();
    GovernorLayer::new(config.expect("nothing is zero"))
}

/// What it would be next to a middleware that knows callers by their tokens.
#[derive(Clone, Copy, Debug)]
struct PerCaller;

impl KeyExtractor for PerCaller {
    type Key = String;

    fn extract<T>(&self, request: &Request<T>) -> Result<String, GovernorError> {
        let principal = Principal::of(request.extensions());
        let principal = principal.map_err(|_| GovernorError::UnableToExtractKey)?;
        let (issuer, subject) = (principal.issuer(), principal.subject().unwrap_or_default());
        let mut key = String::with_capacity(issuer.len() + 1 + subject.len());
        key.push_str(issuer);
        key.push(' ');
        key.push_str(subject);
        Ok(key)
    }
}

type Noop = ServiceFn<fn(Request<()>) -> Ready<Result<Response<Body>, Infallible>>>;

/// The service that answers at once, with the body that tower_governor can make.
fn noop() -> Noop {
    service_fn(|_| ready(Ok(Response::new(Body::empty()))))
}

/// With all that one of the keys is made of.
fn request(caller: &u32) -> Request<()> {
    // As long as a UUID, which is what most subjects are.
    let high = caller.wrapping_mul(0x9e37_79b9);
    let subject = format!("{high:08x}-0000-4000-8000-{caller:012x}");
    let principal = Principal::assert_authenticated(PrincipalParts {
        subject: Some(subject.into()),
        client_id: Some("orders-web".into()),
        ..PrincipalParts::new(ISSUER, Timestamp::from_secs(4_000_000_000))
    });
    let address = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 | caller));
    let request = Request::get("https://api.example.com/orders?page=2");
    let mut request = request.body(()).expect("all of its parts are sound");
    principal.attach(request.extensions_mut());
    request.extensions_mut().insert(PeerAddress(address));
    let connection = ConnectInfo(SocketAddr::from((address, 50_123)));
    request.extensions_mut().insert(connection);
    request
}

/// Each caller has what it may have, and no more.
fn prove<S, B>(runtime: &Runtime, name: &str, service: impl Fn(u32) -> S)
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
{
    let mut service = service(2);
    runtime.block_on(async {
        for caller in [1, 2] {
            for expected in [
                StatusCode::OK,
                StatusCode::OK,
                StatusCode::TOO_MANY_REQUESTS,
            ] {
                let answer = status(&mut service, request(&caller)).await;
                assert_eq!(answer, expected, "{name}");
            }
        }
    });
}
