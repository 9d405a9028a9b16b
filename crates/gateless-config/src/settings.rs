//! Where settings come from, and which of them wins.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use gateless::introspection::Secret;
use toml::de::{DeTable, DeValue};

use crate::report::Origin;
use crate::value::Value;

/// What environment variables begin with.
const PREFIX: &str = "GATELESS__";

/// Places that settings are read from. What a program sets wins over the environment, and that over files; of two files the
/// later one.
#[derive(Clone, Default)]
#[must_use]
pub struct Settings {
    files: Vec<Source>,
    variables: Vec<(OsString, OsString)>,
    given: Vec<(String, String, &'static str)>,
    secrets: BTreeMap<String, (Secret, &'static str)>,
}

#[derive(Clone)]
enum Source {
    Path(PathBuf),
    Text(Arc<str>, String),
}

impl Settings {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A file in TOML. It has to be there.
    pub fn toml_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push(Source::Path(path.into()));
        self
    }

    /// TOML that is there already; faults call it `name`.
    pub fn toml(mut self, name: impl Into<Arc<str>>, text: impl Into<String>) -> Self {
        self.files.push(Source::Text(name.into(), text.into()));
        self
    }

    /// Variables such as [`std::env::vars_os`] tells them. Those are looked at that begin with `GATELESS__`:
    /// `GATELESS__DENYLIST__PATH` is `denylist.path`, and a list has commas. An empty variable is a fault, not an empty list.
    pub fn environment<K: Into<OsString>, V: Into<OsString>>(
        mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        let ours = variables.filter(|(name, _): &(OsString, OsString)| {
            name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
        });
        self.variables.extend(ours);
        self
    }

    /// A setting that the program calls `name`: faults name that.
    pub fn set(
        mut self,
        path: impl Into<String>,
        value: impl Into<String>,
        name: &'static str,
    ) -> Self {
        self.given.push((path.into(), value.into(), name));
        self
    }

    /// A secret that the program has already, such as `introspection.client_secret`. It stands in no file and in no variable of
    /// ours: those name a file or another variable.
    pub fn secret(mut self, path: impl Into<String>, secret: Secret, name: &'static str) -> Self {
        self.secrets.insert(path.into(), (secret, name));
        self
    }

    /// Everything as one, and what could not be read.
    pub(crate) fn found(self) -> Found {
        let mut found = Found {
            secrets: self.secrets,
            ..Found::default()
        };
        for source in self.files {
            match source {
                Source::Text(name, text) => found.file(&name, &text),
                Source::Path(path) => {
                    let name = path.display().to_string();
                    match fs::read_to_string(&path) {
                        Ok(text) => found.file(&name.into(), &text),
                        Err(error) => {
                            found.is_partial = true;
                            found
                                .unreadable
                                .push((name, format!("cannot be read: {error}")));
                        }
                    }
                }
            }
        }
        for (name, value) in self.variables {
            found.variable(&name, value);
        }
        for (path, value, name) in self.given {
            let value = Value::Given(value);
            found.entries.insert(path, (value, Origin::Given(name)));
        }
        found
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = self.files.iter().map(|source| match source {
            Source::Path(path) => path.display().to_string(),
            Source::Text(name, _) => name.to_string(),
        });
        let variables = self.variables.iter().map(|(name, _)| name);
        f.debug_struct("Settings")
            .field("files", &files.collect::<Vec<_>>())
            .field("variables", &variables.collect::<Vec<_>>())
            .field(
                "set",
                &self.given.iter().map(|(path, ..)| path).collect::<Vec<_>>(),
            )
            .field("secrets", &self.secrets.keys())
            .finish()
    }
}

/// All that was found.
#[derive(Default)]
pub(crate) struct Found {
    /// By path: `denylist.path`.
    pub(crate) entries: BTreeMap<String, (Value, Origin)>,
    /// Sections that a file begins, also where nothing stands in them.
    pub(crate) sections: BTreeMap<String, Origin>,
    pub(crate) secrets: BTreeMap<String, (Secret, &'static str)>,
    /// Files and variables, and what is wrong with them.
    pub(crate) unreadable: Vec<(String, String)>,
    /// Something is not there that was written: nothing can be said to be missing.
    pub(crate) is_partial: bool,
}

impl Found {
    fn file(&mut self, name: &Arc<str>, text: &str) {
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            self.is_partial = true;
            let offset = error.span().map_or(0, |span| span.start);
            let before = text.get(..offset).unwrap_or(text);
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            let problem = format!("line {line}, column {column}: {}", error.message());
            self.unreadable.push((name.to_string(), problem));
        }
        self.table("", table.get_ref(), name, text);
    }

    fn table(&mut self, path: &str, table: &DeTable<'_>, name: &Arc<str>, text: &str) {
        for (key, value) in table {
            let path = match path {
                "" => key.get_ref().to_string(),
                _ => format!("{path}.{}", key.get_ref()),
            };
            let before = text.get(..key.span().start).unwrap_or_default();
            let origin = Origin::File(Arc::clone(name), before.matches('\n').count() + 1);
            match value.get_ref() {
                DeValue::Table(table) => {
                    self.table(&path, table, name, text);
                    self.sections.insert(path, origin);
                }
                value => {
                    self.entries.insert(path, (from_toml(value), origin));
                }
            }
        }
    }

    fn variable(&mut self, name: &OsString, value: OsString) {
        let shown = name.to_string_lossy().into_owned();
        let (Some(name), Ok(value)) = (name.to_str(), value.into_string()) else {
            self.is_partial = true;
            self.unreadable
                .push((shown, "is not UTF-8 text".to_owned()));
            return;
        };
        let path = name.strip_prefix(PREFIX).unwrap_or(name);
        let path = path.to_ascii_lowercase().replace("__", ".");
        let origin = Origin::Variable(name.to_owned());
        self.entries.insert(path, (Value::Variable(value), origin));
    }
}

fn from_toml(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => {
            let digits = number.as_str().trim_start_matches('+');
            let number = i64::from_str_radix(digits, number.radix());
            number.map_or(Value::Other("a number that is too large"), Value::Integer)
        }
        DeValue::Boolean(is) => Value::Boolean(*is),
        DeValue::Array(items) => {
            Value::List(items.iter().map(|item| from_toml(item.get_ref())).collect())
        }
        DeValue::Float(_) => Value::Other("a fraction"),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Table(_) => Value::Other("a table"),
    }
}
