//! From the `security` of each operation to its declaration.

use std::collections::BTreeSet;

use gateless_core::{
    Access, ConfigError, Declaration, EmptyRequirement, Requirement, Route, Scope,
};
use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::document::{self, Scheme};
use super::{MANY, OPEN, OpenApi, REQUIREMENT, SETTING};

pub(super) fn declarations(openapi: &OpenApi) -> Result<Vec<Declaration>, ConfigError> {
    let OpenApi {
        document,
        version,
        under,
        tokens,
        elsewhere,
    } = openapi;
    let mut faults = ConfigError::collect();
    let prefix = document::prefix(under, &mut faults);
    check_names(openapi, &mut faults);
    let mut used = BTreeSet::new();
    let mut found = Vec::new();
    for (path, mut item) in document::path_items(document, &mut faults) {
        for operation in document::operations(*version, &path, &mut item, &mut faults) {
            let reader = Reader {
                document,
                tokens,
                elsewhere,
                used: &mut used,
                operation: operation.members,
                problems: Vec::new(),
            };
            match reader.access() {
                Ok(access) => found.push(Declaration::new(
                    Route::Http {
                        method: operation.method,
                        path: document::join(prefix, &path).into(),
                    },
                    access,
                )),
                Err(problems) => {
                    for problem in problems {
                        faults.add(SETTING, format!("{operation} {problem}"));
                    }
                }
            }
        }
    }
    if tokens.is_empty() && used.len() > 1 {
        let names = Vec::from_iter(used).join(", ");
        let problem = format!(
            "has several schemes that could be the bearer token: {names}; name those that are in `bearer_token`"
        );
        faults.add(SETTING, problem);
    }
    if found.is_empty() && faults.faults().is_empty() {
        faults.add(SETTING, "has no operation under `paths`");
    }
    faults.into_result().map(|()| found)
}

fn check_names(openapi: &OpenApi, faults: &mut ConfigError) {
    let (document, tokens) = (&openapi.document, &openapi.tokens);
    for name in tokens {
        let problem = match document::scheme(document, name) {
            Some(Scheme::Bearer | Scheme::HttpBearer) => continue,
            Some(Scheme::Other) => "is a security scheme without a bearer token",
            None => "is no security scheme of the document",
        };
        faults.add("bearer_token", format!("{name:?} {problem}"));
    }
    for name in &openapi.elsewhere {
        let problem = match document::scheme(document, name) {
            Some(Scheme::Other) => continue,
            Some(_) if !tokens.is_empty() && !tokens.contains(name) => continue,
            Some(_) => "is the bearer token itself",
            None => "is no security scheme of the document",
        };
        faults.add("checked_elsewhere", format!("{name:?} {problem}"));
    }
}

/// What `security` says.
enum Security {
    /// Of this very operation that it is open.
    Open,
    /// That there is a way without a token, which holds only where a reason is given.
    Unless(&'static str),
    /// That one of these lists of scopes is needed.
    Scopes(Vec<Vec<Scope>>),
}

struct Reader<'a> {
    document: &'a Value,
    tokens: &'a [Box<str>],
    elsewhere: &'a [Box<str>],
    /// The schemes that were taken for the bearer token.
    used: &'a mut BTreeSet<String>,
    operation: &'a Map<String, Value>,
    problems: Vec<String>,
}

/// One alternative: what the token has to grant, and what something else checks.
struct Alternative {
    scopes: Vec<Scope>,
    elsewhere: BTreeSet<String>,
}

impl Reader<'_> {
    fn access(mut self) -> Result<Access, Vec<String>> {
        if let Err(problem) = document::check_operation(self.operation) {
            self.note(problem);
        }
        let reason = self.reason();
        let besides = self.besides();
        let access = match (self.security(), reason, besides) {
            (None, ..) => None,
            (Some(Security::Unless(why)), None, _) => self.problem(why),
            (Some(Security::Open | Security::Unless(_)), _, Some(_)) => {
                self.problem(format!("is open, and yet has an {REQUIREMENT}"))
            }
            (Some(Security::Open | Security::Unless(_)), reason, None) => {
                Some(Access::open(reason.unwrap_or_else(|| {
                    "`security: []` in the OpenAPI document".into()
                })))
            }
            (Some(Security::Scopes(_)), Some(_), _) => {
                self.problem(format!("needs a token, and yet has an {OPEN}"))
            }
            (Some(Security::Scopes(ways)), None, besides) => {
                needed(&ways, besides).ok().map(Access::from)
            }
        };
        match access {
            Some(access) if self.problems.is_empty() => Ok(access),
            _ => Err(self.problems),
        }
    }

    fn note(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    /// Notes what is wrong where something right should stand.
    fn problem<T>(&mut self, problem: impl Into<String>) -> Option<T> {
        self.note(problem);
        None
    }

    fn reason(&mut self) -> Option<String> {
        match self.operation.get(OPEN)? {
            Value::String(reason) if !reason.trim().is_empty() => Some(reason.clone()),
            _ => self.problem(format!("has an {OPEN} that is no reason")),
        }
    }

    fn besides(&mut self) -> Option<Requirement> {
        match Requirement::deserialize(self.operation.get(REQUIREMENT)?) {
            Ok(requirement) => Some(requirement),
            Err(error) => self.problem(format!("has an {REQUIREMENT} that is none: {error}")),
        }
    }

    fn security(&mut self) -> Option<Security> {
        let own = self.operation.get("security");
        let Some(security) = own.or_else(|| self.document.get("security")) else {
            return self.problem(
                "says nothing about security; write `security: []` where it is meant to be open",
            );
        };
        let Some(alternatives) = security.as_array() else {
            return self.problem("has a `security` that is no list");
        };
        if alternatives.is_empty() {
            return Some(match own {
                Some(_) => Security::Open,
                None => Security::Unless(
                    "is open only by the empty `security` of the whole document; write `security: []` at the operation",
                ),
            });
        }
        let is_anonymous = |one: &Value| one.as_object().is_some_and(Map::is_empty);
        let mut ways = Vec::new();
        let mut elsewhere = None;
        let mut is_uneven = false;
        for alternative in alternatives.iter().filter(|one| !is_anonymous(one)) {
            if let Some(alternative) = self.alternative(alternative) {
                let first = elsewhere.get_or_insert_with(|| alternative.elsewhere.clone());
                is_uneven |= *first != alternative.elsewhere;
                if !ways.contains(&alternative.scopes) {
                    ways.push(alternative.scopes);
                }
            }
        }
        if is_uneven {
            self.note(
                "needs what is checked elsewhere in some of its alternatives only; it has to be in all of them",
            );
        }
        if alternatives.iter().any(is_anonymous) {
            return Some(Security::Unless(
                "lets anonymous callers through by the alternative `{}`; say why in x-gateless-open",
            ));
        }
        Some(Security::Scopes(ways))
    }

    /// One alternative, if it asks for the bearer token at all.
    fn alternative(&mut self, alternative: &Value) -> Option<Alternative> {
        let Some(schemes) = alternative.as_object() else {
            return self.problem("has an alternative in its `security` that is no object");
        };
        let (mut scopes, mut elsewhere) = (Vec::new(), BTreeSet::new());
        let mut has_token = false;
        let mut is_clear = true;
        let tokens = self.tokens;
        let is_token = |name: &str| tokens.is_empty() || tokens.iter().any(|one| **one == *name);
        for (name, given) in schemes {
            match document::scheme(self.document, name) {
                Some(Scheme::Bearer | Scheme::HttpBearer) if is_token(name) => {
                    has_token = true;
                    self.used.insert(name.clone());
                    for scope in self.scopes(name, given) {
                        if !scopes.contains(&scope) {
                            scopes.push(scope);
                        }
                    }
                }
                Some(_) if self.elsewhere.iter().any(|one| **one == **name) => {
                    elsewhere.insert(name.clone());
                }
                Some(_) => {
                    is_clear = false;
                    self.note(format!(
                        "needs the security scheme {name:?}, which is not the bearer token; \
                         name it in `checked_elsewhere` if something else enforces it"
                    ));
                }
                None => {
                    is_clear = false;
                    self.note(format!(
                        "names the security scheme {name:?}, which the document does not define"
                    ));
                }
            }
        }
        if has_token || !is_clear {
            return has_token.then_some(Alternative { scopes, elsewhere });
        }
        let names: Vec<_> = schemes.keys().map(String::as_str).collect();
        let names = names.join(", ");
        self.problem(format!(
            "lets callers through without a bearer token, by {names} alone"
        ))
    }

    fn scopes(&mut self, scheme: &str, given: &Value) -> Vec<Scope> {
        let mut scopes = Vec::new();
        let Some(given) = given.as_array() else {
            self.note(format!("has scopes of {scheme:?} that are no list"));
            return scopes;
        };
        for scope in given {
            match scope.as_str().map(Scope::parse) {
                Some(Ok(scope)) => scopes.push(scope),
                Some(Err(invalid)) => {
                    self.note(format!("names the scope {scope}: {invalid}"));
                }
                None => {
                    self.note(format!("names the scope {scope}, which is no text"));
                }
            }
        }
        scopes
    }
}

/// One of the lists of scopes, and what is needed besides.
fn needed(
    ways: &[Vec<Scope>],
    besides: Option<Requirement>,
) -> Result<Requirement, EmptyRequirement> {
    let scopes = match ways {
        [way] => every(way),
        _ => Requirement::try_any(ways.iter().map(|way| every(way)))?,
    };
    Ok(match besides {
        // It says the same and more.
        Some(besides) if ways.iter().all(Vec::is_empty) => besides,
        Some(besides) if besides.alternatives(MANY).is_some_and(|its| its == ways) => besides,
        Some(besides) if besides != Requirement::authenticated() => {
            Requirement::all([scopes, besides])
        }
        _ => scopes,
    })
}

fn every(scopes: &[Scope]) -> Requirement {
    match scopes {
        [one] => one.clone().into(),
        // A list without any asks for a valid token.
        _ => Requirement::try_all(scopes.iter().cloned())
            .unwrap_or_else(|EmptyRequirement| Requirement::authenticated()),
    }
}
