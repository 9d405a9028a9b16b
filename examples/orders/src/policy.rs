//! Who may do what: the one table behind both protocols.
//!
//! | action | scope | HTTP | gRPC |
//! |---|---|---|---|
//! | [`List`](Action::List) | `orders:read` | `GET /orders` | `orders.v1.Orders/List` |
//! | [`Get`](Action::Get) | `orders:read` | `GET /orders/{id}` | `orders.v1.Orders/Get` |
//! | [`Watch`](Action::Watch) | `orders:read` | – | `orders.v1.Orders/Watch` |
//! | [`Create`](Action::Create) | `orders:write` | `POST /orders` | `orders.v1.Orders/Create` |
//! | [`Administer`](Action::Administer) | `orders:admin` | `GET /admin` | – |
//!
//! Routes name an action, never a scope, so that the two protocols cannot drift apart. `GET /whoami` needs a valid
//! token and no scope; `GET /healthz` and `GET /readyz` are the only open routes. Everything else that is asked for is
//! refused: without a token by `401`, with one by `404`, `405` or `UNIMPLEMENTED`.

use gateless::scope::ScopeGuard;
use gateless::{Scope, scope};

/// What a caller can do with orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// See all orders.
    List,
    /// See one order.
    Get,
    /// See orders as they are placed.
    Watch,
    /// Place an order.
    Create,
    /// See how full the store is.
    Administer,
}

impl Action {
    /// The scope that a token has to grant for this.
    #[must_use]
    pub const fn scope(self) -> Scope {
        match self {
            Self::List | Self::Get | Self::Watch => scope!("orders:read"),
            Self::Create => scope!("orders:write"),
            Self::Administer => scope!("orders:admin"),
        }
    }

    /// The layer that asks for it. Mount it on one route or one method.
    #[must_use]
    pub fn guard(self) -> ScopeGuard {
        ScopeGuard::all([self.scope()])
    }
}
