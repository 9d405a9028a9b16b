//! Proof that a service asks, on each of its routes, for exactly what is declared.

mod grant;
mod judge;

use std::fmt;

use bytes::Bytes;
use gateless_core::{Access, Declaration, Rejection, Requirement, Route, Timestamp};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, Response};
use http_body::Body;
use tower_service::Service;

use self::grant::Grant;
use self::judge::Answer;
use crate::token::TokenBuilder;

/// A path that no declaration has.
const NOWHERE: &str = "/no-route-is-declared/for-this-path";

/// Goes through a list of declared routes, and asks a service for each of them: without a token, with one that lacks
/// something, and with one that has all that is needed.
///
/// ```
/// use gateless_core::{Access, Declaration, Route, scope};
/// use gateless_testkit::{RouteCheck, TestIssuer};
/// # use std::convert::Infallible;
/// # use bytes::Bytes;
/// # use http::{Request, Response};
///
/// # async fn check(
/// #     app: impl tower::Service<Request<http_body_util::Full<Bytes>>, Response = Response<http_body_util::Full<Bytes>>, Error = Infallible> + Clone
/// # ) -> Result<(), gateless_testkit::RouteFaults> {
/// let issuer = TestIssuer::new();
/// // `table.declarations()` in a service that has a `ScopeTable`.
/// let route = Route::Http { method: http::Method::GET, path: "/orders/{id}".into() };
/// let declarations = [Declaration::new(route, scope!("orders:read"))];
/// let token = issuer.token().audience("https://orders.example.com");
/// let requests = RouteCheck::new(token).at("/orders/{id}", "/orders/7").run(&declarations, app).await?;
/// assert!(requests > 3);
/// # Ok(())
/// # }
/// ```
///
/// What it proves of each declaration:
///
/// - without a token: `401`, or through to the handler where the route is open;
/// - with a token that lacks one thing, each in turn: refused with the very rejection that
///   [`Requirement::check`] gives, its status, its challenge, and the missing scopes in it, no more and no less;
/// - with everything that is required: not refused by a layer. What the handler makes of it is its own affair, so bodies
///   are empty and `400` or `404` from a handler will do; but not a `404` without a `content-type`, a `405` or
///   `UNIMPLEMENTED`: there is no such route then;
/// - `HEAD` is like `GET`; methods that are not declared, and a path that is not, reach no handler, with a token for every
///   scope that is declared anywhere.
///
/// The service is called in this process, so that the [`Rejection`] in a response can be looked at. It has to trust
/// the issuer of the token.
#[derive(Clone, Debug)]
pub struct RouteCheck {
    token: TokenBuilder,
    examples: Vec<(String, String)>,
}

/// What a service does otherwise than its declarations say, one line each.
#[derive(Clone, PartialEq, Eq)]
pub struct RouteFaults(Vec<String>);

/// What a request has to come to.
enum Expected<'r> {
    /// The handler.
    Handler,
    Refusal(&'r Rejection),
    /// Anything but a handler.
    NoHandler,
    /// The same, on a path that no declaration has: a handler for whatever is unknown may say that it is.
    NoRoute,
}

impl RouteCheck {
    /// `token` is one that the service accepts; what it grants is changed.
    #[must_use]
    pub const fn new(token: TokenBuilder) -> Self {
        Self {
            token,
            examples: Vec::new(),
        }
    }

    /// The path to ask for where one with parameters is declared. By default each parameter is `1`.
    #[must_use]
    pub fn at(mut self, path: &str, example: &str) -> Self {
        self.examples.push((path.to_owned(), example.to_owned()));
        self
    }

    /// Asks, and judges. The number of requests when all answers were right.
    ///
    /// A router of axum takes bodies of any type: say which one, `run::<axum::body::Body, _, _>(…)`.
    ///
    /// # Errors
    ///
    /// [`RouteFaults`] with everything that was not.
    pub async fn run<B, S, R>(
        &self,
        declarations: &[Declaration],
        service: S,
    ) -> Result<usize, RouteFaults>
    where
        S: Service<Request<B>, Response = Response<R>> + Clone,
        S::Error: fmt::Debug,
        B: From<Bytes>,
        R: Body<Data = Bytes>,
        R::Error: fmt::Debug,
    {
        let mut walk = Walk {
            check: self,
            send: async |request: Request<Bytes>| {
                judge::send(service.clone(), request.map(B::from)).await
            },
            requests: 0,
            faults: Vec::new(),
        };
        if declarations.is_empty() {
            walk.faults.push("no route is declared".to_owned());
        }
        for declaration in declarations {
            walk.declaration(declaration).await;
            if let Some(head) = head_of(declaration, declarations) {
                walk.declaration(&head).await;
            }
        }
        walk.undeclared(declarations).await;
        match walk.faults {
            none if none.is_empty() => Ok(walk.requests),
            faults => Err(RouteFaults(faults)),
        }
    }

    fn path(&self, declared: &str) -> String {
        let mut examples = self.examples.iter();
        match examples.find(|(path, _)| path == declared) {
            Some((_, example)) => example.clone(),
            None => fill(declared),
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_secs(self.token.now())
    }
}

/// One walk through the routes of a service.
struct Walk<'c, F> {
    check: &'c RouteCheck,
    send: F,
    requests: usize,
    faults: Vec<String>,
}

impl<F: AsyncFn(Request<Bytes>) -> Result<Answer, String>> Walk<'_, F> {
    async fn declaration(&mut self, Declaration { route, access, .. }: &Declaration) {
        match access {
            Access::Requires(requirement) => {
                let expected = Expected::Refusal(&Rejection::CredentialsMissing);
                self.ask(route, "no token", None, expected).await;
                self.requirement(route, requirement).await;
            }
            _ => self.ask(route, "no token", None, Expected::Handler).await,
        }
    }

    async fn requirement(&mut self, route: &Route, requirement: &Requirement) {
        let (base, now) = (&self.check.token, self.check.now());
        let Some(full) = Grant::for_requirement(requirement, base, now) else {
            let fault = format!("{route}: no token can ever meet {requirement}");
            self.faults.push(fault);
            return;
        };
        let mut cases = full.lacking_something();
        cases.push(("everything".to_owned(), full));
        for (name, grant) in cases {
            let token = grant.token(&self.check.token).mint();
            let rejection = requirement
                .check(&grant.principal(&self.check.token), now)
                .err();
            let expected = rejection
                .as_ref()
                .map_or(Expected::Handler, Expected::Refusal);
            self.ask(route, &name, Some(&token), expected).await;
        }
    }

    /// Methods that no declaration has, and a path that none has, with a token for every scope.
    async fn undeclared(&mut self, declarations: &[Declaration]) {
        let requirements = declarations.iter().filter_map(|it| it.access.requirement());
        let everything = Grant::for_all(requirements);
        let token = everything.token(&self.check.token).mint();
        let mut paths: Vec<&str> = vec![NOWHERE];
        let mut declared = Vec::new();
        let mut services = Vec::new();
        for Declaration { route, .. } in declarations {
            if let Route::Http { method, path } = route {
                paths.push(path);
                declared.push((method, &**path));
            }
            if let Route::Grpc { method } = route {
                services.extend(method.split('/').next());
            }
        }
        services.sort_unstable();
        services.dedup();
        for service in services {
            let method = format!("{service}/NoSuchMethodIsDeclared").into();
            let route = Route::Grpc { method };
            let expected = Expected::NoHandler;
            self.ask(&route, "not declared", Some(&token), expected)
                .await;
        }
        paths.sort_unstable();
        paths.dedup();
        for path in paths {
            for method in methods() {
                let is_get = |(known, of): &(&Method, &str)| *of == path && **known == Method::GET;
                let is_declared = declared.contains(&(&method, path))
                    || method == Method::HEAD && declared.iter().any(is_get);
                if !is_declared {
                    let is_nowhere = path == NOWHERE;
                    let expected = if is_nowhere {
                        Expected::NoRoute
                    } else {
                        Expected::NoHandler
                    };
                    let path = path.into();
                    let route = Route::Http { method, path };
                    self.ask(&route, "not declared", Some(&token), expected)
                        .await;
                }
            }
        }
    }

    async fn ask(
        &mut self,
        route: &Route,
        name: &str,
        token: Option<&str>,
        expected: Expected<'_>,
    ) {
        self.requests += 1;
        let mut request = match route {
            Route::Grpc { method } => Request::post(format!("/{method}"))
                .header(CONTENT_TYPE, "application/grpc")
                .header("te", "trailers"),
            Route::Http { method, path } => Request::builder()
                .method(method)
                .uri(self.check.path(path))
                .header(CONTENT_TYPE, "application/json"),
            other => {
                self.faults
                    .push(format!("{other} is not known to this version"));
                return;
            }
        };
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        // An empty message, and no JSON.
        let body = match route {
            Route::Grpc { .. } => Bytes::from_static(&[0; 5]),
            _ => Bytes::new(),
        };
        let verdict = match request.body(body) {
            Ok(request) => match (self.send)(request).await {
                Ok(answer) => answer.judge(route, &expected),
                Err(error) => Err(error),
            },
            Err(error) => Err(format!(
                "cannot be asked for: {error}; give an example path"
            )),
        };
        if let Err(fault) = verdict {
            self.faults.push(format!("{route}, {name}: {fault}"));
        }
    }
}

/// `GET` without a `HEAD` of its own answers `HEAD` too.
fn head_of(declaration: &Declaration, all: &[Declaration]) -> Option<Declaration> {
    let Route::Http { method, path } = &declaration.route else {
        return None;
    };
    let head = Declaration::new(
        Route::Http {
            method: Method::HEAD,
            path: path.clone(),
        },
        declaration.access.clone(),
    );
    let is_own = all.iter().any(|other| other.route == head.route);
    (*method == Method::GET && !is_own).then_some(head)
}

fn methods() -> [Method; 8] {
    [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::TRACE,
    ]
}

/// `/orders/1` for `/orders/{id}`.
fn fill(path: &str) -> String {
    let mut filled = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        if let Some(after) = after.strip_prefix('{') {
            filled.push('{');
            rest = after;
        } else {
            filled.push('1');
            rest = after.split_once('}').map_or("", |(_, rest)| rest);
        }
    }
    filled.push_str(rest);
    filled
        .replace("}}", "}")
        .replace('{', "%7B")
        .replace('}', "%7D")
}

impl RouteFaults {
    /// One line each.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for RouteFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// As `Display`: `unwrap` in a test shows the lines.
impl fmt::Debug for RouteFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}\n")
    }
}

impl std::error::Error for RouteFaults {}

#[cfg(test)]
mod tests;
