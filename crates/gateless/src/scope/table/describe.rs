//! A table for people, and for programs.

use std::fmt;

use gateless_core::{Declaration, Route};
use serde::Serialize;

/// What a table says. `Display` prints one line a route; `Serialize` gives the same as data:
/// `{"routes": [{"method": "GET", "path": "/orders", "requires": "orders:read"}, …], "otherwise": "denied"}`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Description<'a> {
    routes: &'a [Declaration],
    otherwise: &'static str,
}

impl<'a> Description<'a> {
    pub(super) const fn of(routes: &'a [Declaration]) -> Self {
        Self {
            routes,
            otherwise: "denied",
        }
    }
}

const REST: &str = "everything else";

impl fmt::Display for Description<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.routes.iter().map(|row| match &row.route {
            Route::Http { method, path } => (method.as_str(), &**path),
            Route::Grpc { method } => ("gRPC", &**method),
            _ => ("", ""),
        });
        let verb = names.clone().map(|(verb, _)| verb.len()).max();
        let verb = verb.unwrap_or_default();
        let widths = names
            .clone()
            .map(|(_, path)| verb + 1 + path.chars().count());
        let width = widths.max().unwrap_or_default().max(REST.len());
        for (row, (method, path)) in self.routes.iter().zip(names) {
            let route = format!("{method:verb$} {path}");
            writeln!(f, "{route:width$}  {}", row.access)?;
        }
        writeln!(f, "{REST:width$}  {}", self.otherwise)
    }
}
