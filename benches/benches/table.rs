//! What the look-up of a route costs: a guard with a table of 10 and of 1,000 routes, beside one that always asks for
//! the same.
//!
//! As in `hot`: all take turns in each round, and of many rounds the median and the quartiles are printed. Requests are
//! made outside of what is timed; the guard answers in front of a service that does nothing. That a look-up allocates
//! nothing is a test of its own.

use std::hint::black_box;
use std::time::Instant;

use gateless::scope::{MatchedRoute, ScopeGuard, ScopeTable};
use gateless::{Principal, PrincipalParts, Scope, ScopeSet, Timestamp, scopes};
use gateless_bench::{answer, noop, quartiles};
use http::Request;
use tower::Layer as _;

/// How many requests one of them answers before it is another's turn: few, as a request that was just read is in the caches.
const TURN: usize = 32;

fn main() {
    // `cargo test --all-targets` runs this as well, to see that it works.
    let is_measuring = std::env::args().any(|argument| argument == "--bench");
    let rounds = if is_measuring { 20_000 } else { 2 };
    println!("The look-up of a route, ns a request: medians of {rounds} rounds, and quartiles.\n");
    println!(
        "{:>8}{:>8}{:>10}{:>10}{:>12}{:>18}",
        "routes", "kind", "one scope", "table", "difference", "quartiles"
    );
    for routes in [10, 1_000] {
        for kind in [Kind::Http, Kind::Grpc] {
            report(routes, kind, rounds);
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Http,
    Grpc,
}

impl Kind {
    /// What the router calls a route, and what a client asks for.
    fn route(self, index: usize) -> (String, String) {
        match self {
            Self::Http => (
                format!("/tenants/{{tenant}}/collection-{index}/{{id}}"),
                format!("/tenants/1/collection-{index}/4711"),
            ),
            Self::Grpc => (
                format!("/shop.v1.Service{}/{{*rest}}", index / 10),
                format!("/shop.v1.Service{}/Method{}", index / 10, index % 10),
            ),
        }
    }

    fn table(self, routes: usize) -> ScopeTable {
        let read = || scopes!["orders:read"];
        let table = (0..routes).fold(ScopeTable::builder(), |table, index| {
            let (route, path) = self.route(index);
            match self {
                Self::Http => table
                    .get(&route, read())
                    .post(&route, scopes!["orders:write"]),
                Self::Grpc => table.grpc(path.trim_start_matches('/'), read()),
            }
        });
        table.build().expect("the rows are sound")
    }

    fn request(self, index: usize, principal: &Principal) -> Request<()> {
        let (route, path) = self.route(index);
        let request = match self {
            Self::Http => Request::get(path),
            Self::Grpc => Request::post(path),
        };
        let mut request = request.body(()).expect("all of its parts are sound");
        principal.clone().attach(request.extensions_mut());
        request.extensions_mut().insert(MatchedRoute::new(route));
        request
    }
}

fn report(routes: usize, kind: Kind, rounds: usize) {
    let granted = ScopeSet::parse("openid orders:read orders:write").expect("they are scopes");
    let caller = Principal::assert_authenticated(PrincipalParts {
        scopes: granted,
        ..PrincipalParts::new("https://idp.example.com", Timestamp::EPOCH)
    });
    let always: [Scope; 1] = scopes!["orders:read"];
    let guards = [
        ScopeGuard::all(always),
        ScopeGuard::table(kind.table(routes)),
    ];
    let mut results: Vec<[f64; 2]> = Vec::new();
    for round in 0..rounds {
        let request = |turn: usize| kind.request((round * 7 + turn * 13) % routes, &caller);
        // Both orders, so that neither always finds what the other left in the caches.
        let [one, table] = if round % 2 == 0 {
            [0, 1].map(|which| time(&guards, which, request))
        } else {
            let [table, one] = [1, 0].map(|which| time(&guards, which, request));
            [one, table]
        };
        results.push([one, table]);
    }
    let median = |value: fn(&[f64; 2]) -> f64| quartiles(results.iter().map(value).collect());
    let [_, one, _] = median(|[one, _]| *one);
    let [_, table, _] = median(|[_, table]| *table);
    let [lower, difference, upper] = median(|[one, table]| table - one);
    println!(
        "{routes:8}{:>8}{one:10.0}{table:10.0}{difference:12.0}{:>18}",
        format!("{kind:?}"),
        format!("{lower:.0} to {upper:.0}")
    );
}

fn time(guards: &[ScopeGuard; 2], which: usize, request: impl Fn(usize) -> Request<()>) -> f64 {
    let requests: Vec<_> = (0..TURN).map(request).collect();
    let guard = guards.get(which).expect("one of two");
    let mut service = guard.layer(noop());
    let start = Instant::now();
    for request in requests {
        assert!(black_box(answer(&mut service, request)).is_success());
    }
    start.elapsed().as_nanos() as f64 / TURN as f64
}
