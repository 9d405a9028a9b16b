//! From declarations to the `security` of each operation.

use std::collections::HashMap;

use gateless_core::{Access, ConfigError, Declaration, Route};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::document::{self, Scheme, Version};
use super::{MANY, OPEN, OpenApi, REQUIREMENT, SETTING};

pub(super) fn write<T: DeserializeOwned>(
    openapi: OpenApi,
    scheme: &str,
    declarations: &[Declaration],
) -> Result<T, ConfigError> {
    let OpenApi {
        mut document,
        version,
        under,
        tokens: _,
        elsewhere,
    } = openapi;
    let mut faults = ConfigError::collect();
    let prefix = document::prefix(&under, &mut faults);
    let token = Token {
        scheme,
        elsewhere: &elsewhere,
        above: document.get("security").cloned(),
        takes_scopes: match document::scheme(&document, scheme) {
            Some(Scheme::Bearer) => true,
            Some(Scheme::HttpBearer) => version > Version::V3_0,
            Some(Scheme::Other) => {
                let problem =
                    format!("has a security scheme {scheme:?} that is not the bearer token");
                faults.add(SETTING, problem);
                true
            }
            None => {
                faults.add(SETTING, format!("has no security scheme {scheme:?}"));
                true
            }
        },
    };
    let mut declared = HashMap::new();
    for declaration in declarations {
        if let Route::Http { method, path } = &declaration.route
            && declared
                .insert((method.clone(), structure(path)), declaration)
                .is_some()
        {
            faults.add(SETTING, format!("{} is declared twice", declaration.route));
        }
    }
    for (path, mut item) in document::path_items(&document, &mut faults) {
        for operation in document::operations(version, &path, &mut item, &mut faults) {
            let key = (
                operation.method.clone(),
                structure(&document::join(prefix, &path)),
            );
            let problem = match declared.remove(&key) {
                None => Some("is not declared".into()),
                Some(declaration) => token.write(&declaration.access, operation.members).err(),
            };
            if let Some(problem) = problem {
                faults.add(SETTING, format!("{} {path} {problem}", operation.method));
            }
        }
        if let Some(place) = document
            .get_mut("paths")
            .and_then(|paths| paths.get_mut(&path))
        {
            *place = item.into();
        }
    }
    for declaration in declarations {
        if let Route::Http { method, path } = &declaration.route
            && declared.contains_key(&(method.clone(), structure(path)))
        {
            faults.add(SETTING, format!("has no operation {}", declaration.route));
        }
    }
    faults.into_result()?;
    serde_json::from_value(document).map_err(|error| {
        let mut faults = ConfigError::collect();
        faults.add(SETTING, format!("cannot be read back: {error}"));
        faults
    })
}

/// The scheme that stands for the bearer token.
struct Token<'a> {
    scheme: &'a str,
    takes_scopes: bool,
    elsewhere: &'a [Box<str>],
    /// What the document says of all operations.
    above: Option<Value>,
}

impl Token<'_> {
    /// What something else checks for an operation, as it stands there.
    fn besides(&self, operation: &Map<String, Value>) -> Map<String, Value> {
        let security = operation.get("security").or(self.above.as_ref());
        let alternatives = security.and_then(Value::as_array).into_iter().flatten();
        let schemes = alternatives.filter_map(Value::as_object).flatten();
        let besides = schemes.filter(|(name, _)| self.elsewhere.iter().any(|one| **one == ***name));
        besides
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    fn write(&self, access: &Access, operation: &mut Map<String, Value>) -> Result<(), String> {
        document::check_operation(operation)?;
        operation.remove(OPEN);
        operation.remove(REQUIREMENT);
        let requirement = match access {
            Access::Requires(requirement) => requirement,
            Access::Open { reason } if reason.trim().is_empty() => {
                return Err("is declared open without a reason".into());
            }
            Access::Open { reason } => {
                operation.insert("security".into(), json!([]));
                operation.insert(OPEN.into(), json!(reason));
                return Ok(());
            }
            // A kind of access that this module does not know: it must not look like any other.
            _ => return Err("is declared in a way that OpenAPI has no words for".into()),
        };
        let ways = requirement
            .alternatives(MANY)
            .ok_or_else(|| format!("needs one of more than {MANY} alternatives of scopes"))?;
        if !self.takes_scopes && ways.iter().any(|scopes| !scopes.is_empty()) {
            return Err(format!(
                "needs scopes, which OpenAPI 3.0 does not allow for {:?}, a scheme of type `http`; \
                 define it as `oauth2` or `openIdConnect`, or write OpenAPI 3.1",
                self.scheme
            ));
        }
        let besides = self.besides(operation);
        let ways = ways.iter().map(|scopes| {
            let mut way = besides.clone();
            way.insert(self.scheme.to_owned(), json!(scopes));
            Value::Object(way)
        });
        operation.insert("security".into(), ways.collect());
        if !requirement.is_scopes_only() {
            operation.insert(REQUIREMENT.into(), json!(requirement));
        }
        Ok(())
    }
}

/// A path without the names of its parameters.
fn structure(path: &str) -> String {
    let mut found = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        found.push_str(before);
        found.push('{');
        // What is never closed is no parameter, and stays as it is.
        rest = after.find('}').map_or(after, |end| after.split_at(end).1);
    }
    found + rest
}
