//! What a request costs.

use std::collections::HashMap;
use std::fmt;
use std::hash::RandomState;
use std::sync::Arc;

use gateless_core::{ConfigError, Route};
use http::Method;

use crate::gate::Head;
use crate::matched::Matched;
use crate::pattern::{Hashed, Pattern};

type ByRequest = dyn Fn(Head<'_>) -> u32 + Send + Sync;

/// What requests cost: one unit, unless something else was said.
#[derive(Clone)]
pub(super) struct Costs {
    usual: u32,
    /// By structure: the router may call parameters otherwise.
    http: hashbrown::HashMap<Pattern, Vec<(Method, u32)>, RandomState>,
    /// By path: `/orders.v1.Orders/Create`.
    grpc: HashMap<Box<str>, u32>,
    by_request: Option<Arc<ByRequest>>,
    /// Routes that were given twice.
    repeated: Vec<String>,
}

impl Costs {
    pub(super) fn new() -> Self {
        Self {
            usual: 1,
            http: hashbrown::HashMap::default(),
            grpc: HashMap::new(),
            by_request: None,
            repeated: Vec::new(),
        }
    }

    pub(super) const fn usual(&mut self, units: u32) {
        self.usual = units;
    }

    pub(super) fn route(&mut self, route: Route, units: u32) {
        let name = route.to_string();
        let is_repeated = match route {
            Route::Http { method, path } => {
                let methods = self.http.entry(Pattern::of(path)).or_default();
                let is_repeated = methods.iter().any(|(other, _)| *other == method);
                methods.push((method, units));
                is_repeated
            }
            Route::Grpc { method } => {
                let path = format!("/{method}").into();
                self.grpc.insert(path, units).is_some()
            }
            _ => false,
        };
        if is_repeated {
            self.repeated.push(name);
        }
    }

    pub(super) fn by_request(&mut self, cost: Arc<ByRequest>) {
        self.by_request = Some(cost);
    }

    /// What is wrong whatever the quotas are.
    pub(super) fn check_routes(&self, faults: &mut ConfigError) {
        for route in &self.repeated {
            faults.add("route_cost", format!("of {route} is there twice"));
        }
        let has_routes = !self.http.is_empty() || !self.grpc.is_empty();
        if self.by_request.is_some() && has_routes {
            faults.add("route_cost", "has no effect beside cost_by");
        }
    }

    /// `burst` is the smallest of all quotas: what costs more could never be had for its price.
    pub(super) fn check(&self, burst: u32, faults: &mut ConfigError) {
        if self.usual > burst {
            let problem = format!("of {} is above a burst of {burst}", self.usual);
            faults.add("cost", problem);
        }
        let http = self.http.iter().flat_map(|(path, methods)| {
            let methods = methods.iter();
            let path = path.as_str();
            methods.map(move |(method, units)| (format!("{method} {path}"), *units))
        });
        let grpc = self.grpc.iter();
        let grpc = grpc.map(|(path, units)| (format!("gRPC {path}"), *units));
        let mut above: Vec<_> = http
            .chain(grpc)
            .filter(|(_, units)| *units > burst)
            .collect();
        above.sort_unstable();
        for (route, units) in above {
            let problem = format!("of {route}, {units}, is above a burst of {burst}");
            faults.add("route_cost", problem);
        }
    }

    pub(super) fn of(&self, head: Head<'_>) -> u32 {
        if let Some(cost) = &self.by_request {
            return cost(head);
        }
        self.of_route(head).unwrap_or(self.usual)
    }

    fn of_route(&self, head: Head<'_>) -> Option<u32> {
        if !self.grpc.is_empty()
            && let Some(units) = self.grpc.get(head.uri.path())
        {
            return Some(*units);
        }
        if self.http.is_empty() {
            return None;
        }
        let Matched::Route(route) = Matched::of(head) else {
            return None;
        };
        let methods = self.http.get(&Hashed(route))?;
        let of = |wanted: &Method| {
            let mut methods = methods.iter();
            methods.find_map(|(method, units)| (method == wanted).then_some(*units))
        };
        let stands_for = (*head.method == Method::HEAD).then_some(&Method::GET);
        of(head.method).or_else(|| stands_for.and_then(of))
    }
}

impl fmt::Debug for Costs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Costs")
            .field("usual", &self.usual)
            .field("http", &self.http)
            .field("grpc", &self.grpc)
            .field("by_request", &self.by_request.is_some())
            .finish()
    }
}
