//! The gRPC methods of a table, found by their exact path.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;
use gateless_core::Access;

/// Whatever a client asks for is only looked up here, never put in.
#[derive(Default)]
pub(super) struct Methods {
    /// By path: `/orders.v1.Orders/List`.
    paths: HashMap<Box<str>, Arc<Access>, RandomState>,
    /// `orders.v1.Orders`.
    services: HashSet<Box<str>, RandomState>,
}

impl Methods {
    /// `method` is `orders.v1.Orders/List`.
    pub(super) fn insert(&mut self, method: &str, access: Arc<Access>) {
        let path = format!("/{method}");
        if let Some(service) = service_of(&path) {
            self.services.insert(service.into());
        }
        self.paths.insert(path.into(), access);
    }

    pub(super) fn get(&self, path: &str) -> Option<&Arc<Access>> {
        self.paths.get(path)
    }

    /// The row of a method, when `route` is one of a gRPC service: the route of the method itself, or that of its
    /// service with a wildcard, which is how tonic mounts services.
    ///
    /// `Some(None)` is a service that is declared, and a method that is not.
    pub(super) fn behind(&self, route: &str, path: &str) -> Option<Option<&Arc<Access>>> {
        let service = service_of(path)?;
        let is_of_service = |route: &str| {
            let rest = route.strip_prefix('/')?.strip_prefix(service)?;
            Some(rest.starts_with("/{*"))
        };
        if route != path && is_of_service(route) != Some(true) {
            return None;
        }
        match self.paths.get(path) {
            Some(access) => Some(Some(access)),
            None => self.services.contains(service).then_some(None),
        }
    }
}

/// `orders.v1.Orders` of `/orders.v1.Orders/List`.
fn service_of(path: &str) -> Option<&str> {
    let (service, _) = path.strip_prefix('/')?.split_once('/')?;
    Some(service)
}
