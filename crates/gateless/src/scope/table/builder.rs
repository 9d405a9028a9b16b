//! From declarations to a table: what cannot be right is refused.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Once};

use gateless_core::{Access, ConfigError, Declaration, Route, ScopeHierarchy};
use http::Method;

use super::methods::Methods;
use super::paths::Paths;
use super::{Path, Rows, ScopeTable};
use crate::pattern::Pattern;

/// Declarations on their way to a [`ScopeTable`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ScopeTableBuilder {
    declarations: Vec<Declaration>,
    hierarchy: ScopeHierarchy,
}

impl ScopeTableBuilder {
    /// Declares `GET` of `path`, and with it `HEAD`.
    pub fn get(self, path: &str, access: impl Into<Access>) -> Self {
        self.http(Method::GET, path, access)
    }

    /// Declares `POST` of `path`.
    pub fn post(self, path: &str, access: impl Into<Access>) -> Self {
        self.http(Method::POST, path, access)
    }

    /// Declares `PUT` of `path`.
    pub fn put(self, path: &str, access: impl Into<Access>) -> Self {
        self.http(Method::PUT, path, access)
    }

    /// Declares `PATCH` of `path`.
    pub fn patch(self, path: &str, access: impl Into<Access>) -> Self {
        self.http(Method::PATCH, path, access)
    }

    /// Declares `DELETE` of `path`.
    pub fn delete(self, path: &str, access: impl Into<Access>) -> Self {
        self.http(Method::DELETE, path, access)
    }

    /// Declares any method of `path`, which is written as the router has it: `/orders/{id}`, `/files/{*rest}`, with the
    /// prefixes of the routers that it is nested in. Names of parameters make no difference.
    pub fn http(self, method: Method, path: &str, access: impl Into<Access>) -> Self {
        let path = path.into();
        self.declare(Route::Http { method, path }, access)
    }

    /// Declares a gRPC method by its full name: `orders.v1.Orders/List`.
    pub fn grpc(self, method: &str, access: impl Into<Access>) -> Self {
        let method = method.into();
        self.declare(Route::Grpc { method }, access)
    }

    /// Declares a route.
    pub fn declare(mut self, route: Route, access: impl Into<Access>) -> Self {
        self.declarations.push(Declaration::new(route, access));
        self
    }

    /// Takes declarations over from elsewhere: an OpenAPI document, a `.proto` file, another table.
    pub fn extend(mut self, declarations: impl IntoIterator<Item = Declaration>) -> Self {
        self.declarations.extend(declarations);
        self
    }

    /// Which scopes imply which others, in every row. By default none does.
    pub fn hierarchy(mut self, hierarchy: ScopeHierarchy) -> Self {
        self.hierarchy = hierarchy;
        self
    }

    /// Checks the rows.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming under `routes` each row that is there twice, that no request can ever reach, or that is
    /// open without a reason, and a table without rows; under `hierarchy` each scope that implies itself.
    pub fn build(self) -> Result<ScopeTable, ConfigError> {
        let Self {
            declarations,
            hierarchy,
        } = self;
        let mut faults = ConfigError::collect();
        let hierarchy = hierarchy.build().unwrap_or_else(|error| {
            faults.merge(error);
            ScopeHierarchy::new()
        });
        if declarations.is_empty() {
            faults.add("routes", "are none: everything would be denied");
        }
        let mut rows = Sorting::default();
        for Declaration { route, access, .. } in declarations {
            let access = match access {
                Access::Requires(requirement) => Access::Requires(requirement.under(&hierarchy)),
                other => other,
            };
            let name = route.to_string();
            let declaration = Declaration::new(route, access);
            if let Err(problem) = rows.add(declaration) {
                faults.add("routes", format!("{name} {problem}"));
            }
        }
        rows.find_hidden(&mut faults);
        faults.into_result()?;
        Ok(ScopeTable(Arc::new(rows.into_rows())))
    }
}

/// Rows by what they are about.
#[derive(Default)]
struct Sorting {
    paths: Vec<Declared>,
    methods: BTreeMap<Box<str>, Arc<Access>>,
}

/// What is declared for one path.
struct Declared {
    pattern: Pattern,
    path: Box<str>,
    methods: Vec<(Method, Arc<Access>)>,
}

impl Sorting {
    fn add(&mut self, Declaration { route, access, .. }: Declaration) -> Result<(), String> {
        if let Access::Open { reason } = &access
            && reason.trim().is_empty()
        {
            return Err("is open without a reason".into());
        }
        match route {
            Route::Http { method, path } => self.add_http(method, path, access),
            Route::Grpc { method } => {
                check_grpc(&method)?;
                match self.methods.insert(method, Arc::new(access)) {
                    None => Ok(()),
                    Some(_) => Err("is declared twice".into()),
                }
            }
            other => Err(format!("is not known to this version: {other:?}")),
        }
    }

    fn add_http(&mut self, method: Method, path: Box<str>, access: Access) -> Result<(), String> {
        let access = Arc::new(access);
        let pattern = Pattern::parse(&path)
            .map_err(|problem| format!("can never be reached: its path {problem}"))?;
        if method == Method::CONNECT {
            return Err("can never be reached: CONNECT has no path".into());
        }
        let mut known = self.paths.iter_mut();
        match known.find(|declared| declared.pattern.is(&path)) {
            Some(Declared { methods, .. }) => {
                if methods.iter().any(|(known, _)| *known == method) {
                    return Err("is declared twice".into());
                }
                methods.push((method, access));
            }
            None => self.paths.push(Declared {
                pattern,
                path,
                methods: vec![(method, access)],
            }),
        }
        Ok(())
    }

    /// A gRPC method, or its service, and an HTTP route of the same path: only the first is ever asked for.
    fn find_hidden(&self, faults: &mut ConfigError) {
        for method in self.methods.keys() {
            let service = method.split('/').next().unwrap_or_default();
            let mounted = [format!("/{method}"), format!("/{service}/{{*method}}")];
            let hides = |declared: &&Declared| mounted.iter().any(|path| declared.pattern.is(path));
            if let Some(Declared { path, .. }) = self.paths.iter().find(hides) {
                let problem =
                    format!("{path} can never be reached: it is the route of gRPC {method}");
                faults.add("routes", problem);
            }
        }
    }

    fn into_rows(self) -> Rows {
        let Self { mut paths, methods } = self;
        paths.sort_by(|left, right| left.path.cmp(&right.path));
        let (mut declarations, mut http) = (Vec::new(), Paths::default());
        for declared in paths {
            let Declared {
                pattern,
                path,
                mut methods,
            } = declared;
            methods.sort_by(|(left, _), (right, _)| left.as_str().cmp(right.as_str()));
            for (method, access) in methods.iter().cloned() {
                let path = path.clone();
                let route = Route::Http { method, path };
                declarations.push(Declaration::new(route, Access::clone(&access)));
            }
            let allow = allow(&methods).into();
            http.insert(path, pattern, Path { methods, allow });
        }
        let mut grpc = Methods::default();
        for (method, access) in methods {
            grpc.insert(&method, access.clone());
            let route = Route::Grpc { method };
            declarations.push(Declaration::new(route, Access::clone(&access)));
        }
        Rows {
            declarations,
            http,
            grpc,
            logged: Mutex::default(),
            unrouted: Once::new(),
        }
    }
}

/// `package.Service/Method`: names of letters, digits and underscores, joined by dots, and one slash.
fn check_grpc(method: &str) -> Result<(), String> {
    let is_name = |name: &str| {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        !name.is_empty()
            && name.chars().all(is_word)
            && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    let is_method = method
        .split_once('/')
        .is_some_and(|(service, method)| service.split('.').all(is_name) && is_name(method));
    if is_method {
        Ok(())
    } else {
        Err("can never be reached: a gRPC method is written package.Service/Method".into())
    }
}

/// `HEAD` goes with `GET`.
fn allow(methods: &[(Method, Arc<Access>)]) -> String {
    let mut names: Vec<&str> = methods.iter().map(|(method, _)| method.as_str()).collect();
    if names.contains(&"GET") && !names.contains(&"HEAD") {
        names.push("HEAD");
    }
    names.sort_unstable();
    names.join(", ")
}
