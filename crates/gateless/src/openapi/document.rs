//! What matters of a document: its version, its operations and its security schemes.

use std::fmt;

use gateless_core::ConfigError;
use http::Method;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::{OPEN, REQUIREMENT, SETTING};

/// So many references may lead to a thing.
const MAX_REFERENCES: usize = 16;

/// The members of a path item that are operations, in the order of the specification.
const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];
/// Further ones since version 3.2.
const QUERY: &str = "query";
const ADDITIONAL: &str = "additionalOperations";

/// Its other members.
const OTHERS: [&str; 5] = ["$ref", "summary", "description", "servers", "parameters"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    V3_0,
    V3_1,
    V3_2,
}

pub(super) fn version(document: &Value) -> Result<Version, String> {
    if document.get("swagger").is_some() {
        return Err("is a Swagger 2.0 document; it has to be OpenAPI 3.0, 3.1 or 3.2".into());
    }
    let version = document.get("openapi").and_then(Value::as_str);
    let version =
        version.ok_or("has no text `openapi` with its version: it is no OpenAPI document")?;
    let mut numbers = version.split('.');
    match (numbers.next(), numbers.next()) {
        (Some("3"), Some("0")) => Ok(Version::V3_0),
        (Some("3"), Some("1")) => Ok(Version::V3_1),
        (Some("3"), Some("2")) => Ok(Version::V3_2),
        _ => Err(format!(
            "is of version {version:?}; it has to be 3.0, 3.1 or 3.2"
        )),
    }
}

/// An operation, and where it stands.
pub(super) struct Operation<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) members: &'a mut Map<String, Value>,
}

impl fmt::Display for Operation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// Every path with its item, references resolved.
pub(super) fn path_items(
    document: &Value,
    faults: &mut ConfigError,
) -> Vec<(String, Map<String, Value>)> {
    let mut found = Vec::new();
    if let Some(members) = document.as_object() {
        no_strays("the document", members, faults);
    }
    let paths = match document.get("paths") {
        None => return found,
        Some(Value::Object(paths)) => paths,
        Some(_) => {
            faults.add(SETTING, "has `paths` that are no object");
            return found;
        }
    };
    no_strays("`paths`", paths, faults);
    for (path, item) in paths {
        if path.starts_with("x-") {
            continue;
        }
        if !path.starts_with('/') {
            faults.add(
                SETTING,
                format!("path {path:?} does not begin with a slash"),
            );
            continue;
        }
        match path_item(document, item) {
            Ok(item) => {
                no_strays(&format!("path {path}"), &item, faults);
                found.push((path.clone(), item));
            }
            Err(problem) => faults.add(SETTING, format!("path {path}: {problem}")),
        }
    }
    found
}

/// A path item, with what stands behind its `$ref`.
fn path_item(document: &Value, item: &Value) -> Result<Map<String, Value>, String> {
    let mut found = Map::new();
    for item in references(document, item) {
        let item = item?;
        let item = item.as_object().ok_or("its path item is no object")?;
        for (name, value) in item {
            if name == "$ref" {
                continue;
            }
            if !found.contains_key(name) {
                found.insert(name.clone(), value.clone());
            } else if !OTHERS.contains(&name.as_str()) {
                return Err(format!("{name:?} stands beside a $ref and behind it too"));
            }
        }
    }
    Ok(found)
}

/// A value, the one that its `$ref` leads to, and so on.
fn references<'a>(
    document: &'a Value,
    start: &'a Value,
) -> impl Iterator<Item = Result<&'a Value, String>> {
    let mut next = Some(Ok(start));
    let mut left = MAX_REFERENCES;
    std::iter::from_fn(move || {
        let value = match next.take()? {
            Ok(value) => value,
            Err(problem) => return Some(Err(problem)),
        };
        if let Some(reference) = value.get("$ref") {
            next = Some(match left.checked_sub(1) {
                Some(fewer) => {
                    left = fewer;
                    target(document, reference)
                }
                None => Err(format!(
                    "more than {MAX_REFERENCES} references, or a circle"
                )),
            });
        }
        Some(Ok(value))
    })
}

fn target<'a>(document: &'a Value, reference: &Value) -> Result<&'a Value, String> {
    let text = reference.as_str().ok_or("its $ref is no text")?;
    let pointer = text.strip_prefix('#');
    let pointer = pointer.ok_or_else(|| format!("{text:?} leads out of the document"))?;
    let pointer = percent_decode_str(pointer)
        .decode_utf8()
        .map_err(|_| format!("{text:?} is no UTF-8"))?;
    let found = document.pointer(&pointer);
    found.ok_or_else(|| format!("{text:?} leads nowhere"))
}

/// Why the members of an operation are not all understood.
pub(super) fn check_operation(members: &Map<String, Value>) -> Result<(), String> {
    if members.contains_key("$ref") {
        return Err("is a reference; only a path item can be one".into());
    }
    match strays(members, &[OPEN, REQUIREMENT]).next() {
        Some(name) => Err(format!(
            "has a member {name:?}, which says nothing to gateless"
        )),
        None => Ok(()),
    }
}

/// Members that look like ours, and are none of those that have a meaning here.
fn strays<'a>(
    members: &'a Map<String, Value>,
    known: &'a [&str],
) -> impl Iterator<Item = &'a String> {
    members.keys().filter(|name| {
        let looks_like_ours = name.to_ascii_lowercase().starts_with("x-gateless");
        looks_like_ours && !known.contains(&name.as_str())
    })
}

/// A restriction that stands where nobody reads it must not vanish.
fn no_strays(place: &str, members: &Map<String, Value>, faults: &mut ConfigError) {
    for name in strays(members, &[]) {
        let problem =
            format!("{place} has a member {name:?}, which has a meaning only at an operation");
        faults.add(SETTING, problem);
    }
}

/// The operations of a path item.
pub(super) fn operations<'a>(
    version: Version,
    path: &'a str,
    item: &'a mut Map<String, Value>,
    faults: &mut ConfigError,
) -> Vec<Operation<'a>> {
    let mut found = Vec::new();
    let mut add = |name: &str, value: &'a mut Value, faults: &mut ConfigError| {
        let problem = match (Method::from_bytes(name.as_bytes()), value) {
            (Ok(method), Value::Object(members)) => {
                found.push(Operation {
                    method,
                    path,
                    members,
                });
                return;
            }
            (Ok(_), _) => "is no object",
            (Err(_), _) => "is no HTTP method",
        };
        faults.add(SETTING, format!("{name} {path} {problem}"));
    };
    for (name, value) in item {
        let name = name.as_str();
        if METHODS.contains(&name) || (name == QUERY && version >= Version::V3_2) {
            add(&name.to_ascii_uppercase(), value, faults);
        } else if name == ADDITIONAL && version >= Version::V3_2 {
            let Value::Object(additional) = value else {
                faults.add(SETTING, format!("path {path}: {ADDITIONAL} is no object"));
                continue;
            };
            for (name, value) in additional {
                let mut fixed = METHODS.into_iter().chain([QUERY]);
                if fixed.any(|fixed| fixed.eq_ignore_ascii_case(name)) {
                    let problem = format!("path {path}: {name:?} has no place in {ADDITIONAL}");
                    faults.add(SETTING, problem);
                } else {
                    add(name, value, faults);
                }
            }
        } else if !OTHERS.contains(&name) && !name.starts_with("x-") {
            faults.add(
                SETTING,
                format!("path {path} has a member {name:?}, which is no method that OpenAPI knows"),
            );
        }
    }
    found.sort_by_key(|operation| {
        let name = operation.method.as_str();
        METHODS
            .into_iter()
            .position(|method| method.eq_ignore_ascii_case(name))
            .unwrap_or(METHODS.len())
    });
    found
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// The bearer token, by a type that knows scopes.
    Bearer,
    /// The bearer token, as plain HTTP.
    HttpBearer,
    /// Something else.
    Other,
}

/// The scheme of this name; `None` when there is none.
pub(super) fn scheme(document: &Value, name: &str) -> Option<Scheme> {
    let schemes = document.get("components")?.get("securitySchemes")?;
    let scheme = references(document, schemes.get(name)?).last()?.ok()?;
    let text = |member| scheme.get(member).and_then(Value::as_str);
    Some(match text("type")? {
        "oauth2" | "openIdConnect" => Scheme::Bearer,
        "http" if text("scheme")?.eq_ignore_ascii_case("bearer") => Scheme::HttpBearer,
        _ => Scheme::Other,
    })
}

/// What stands before each path: nothing, or a path that does not end in a slash.
pub(super) fn prefix<'a>(under: &'a str, faults: &mut ConfigError) -> &'a str {
    if !under.is_empty() && (!under.starts_with('/') || under.ends_with('/')) {
        let problem = format!("{under:?} does not begin with a slash, or ends in one");
        faults.add("under", problem);
    }
    under
}

/// A path as the router has it: what is nested under `/v1` is `/v1` itself where its own path is `/`.
pub(super) fn join(prefix: &str, path: &str) -> String {
    match path {
        "/" if !prefix.is_empty() => prefix.to_owned(),
        _ => format!("{prefix}{path}"),
    }
}
