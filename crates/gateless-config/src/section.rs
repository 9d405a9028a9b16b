//! Reads settings one by one, and goes on where one is no good.

use std::collections::BTreeSet;
use std::sync::Arc;

use gateless::introspection::Secret;

use crate::report::{Origin, Origins, Report};
use crate::settings::Found;
use crate::value::{Leaf, Value};

/// What happens where a setting is not set.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fallback {
    /// It has to be.
    Required,
    /// Nothing: what it is about is off.
    Unset,
    /// This, as a file would have it.
    Default(String),
}

/// Hands out settings, and knows which there are: those that were asked for.
pub(crate) struct Reader {
    found: Found,
    pub(crate) known: Vec<(String, Fallback)>,
    pub(crate) report: Report,
    pub(crate) origins: Arc<Origins>,
}

impl Reader {
    pub(crate) fn new(mut found: Found) -> Self {
        let mut origins = Origins::default();
        // A value in place of a section is what there is to complain about.
        for (path, origin) in &found.sections {
            origins.insert(path.clone(), origin.clone());
        }
        for (path, (_, origin)) in &found.entries {
            origins.insert(path.clone(), origin.clone());
        }
        for (path, (_, name)) in &found.secrets {
            origins.insert(path.clone(), Origin::Given(name));
        }
        let origins = Arc::new(origins);
        let mut report = Report::new(Arc::clone(&origins));
        for (name, problem) in found.unreadable.drain(..) {
            report.about(name, problem);
        }
        Self {
            found,
            known: Vec::new(),
            report,
            origins,
        }
    }

    /// A section that has to be there.
    pub(crate) fn section(&mut self, path: &str) -> Section<'_> {
        Section {
            reader: self,
            path: path.to_owned(),
            is_on: true,
        }
    }

    /// A section that is on when anything stands in it, unless it is switched off.
    pub(crate) fn optional(&mut self, path: &str) -> Section<'_> {
        let is_there = self.is_there(path);
        let mut section = self.section(path);
        section.is_on = section.or("enabled", true) && is_there;
        section
    }

    pub(crate) fn is_there(&self, path: &str) -> bool {
        let inside = format!("{path}.");
        let is_inside = |name: &String| name.starts_with(&inside);
        self.found.sections.contains_key(path)
            || self.found.entries.keys().any(is_inside)
            || self.found.secrets.keys().any(is_inside)
    }

    /// What stands below a path, by the next part of the name.
    pub(crate) fn names(&self, path: &str) -> BTreeSet<String> {
        let inside = format!("{path}.");
        let all = self.found.entries.keys().chain(self.found.sections.keys());
        let below = all.filter_map(|name| name.strip_prefix(&inside));
        below
            .filter_map(|rest| rest.split('.').next())
            .map(str::to_owned)
            .collect()
    }

    /// Names everything that nobody asked for.
    pub(crate) fn refuse_unknown(&mut self) {
        let known: BTreeSet<&str> = self.known.iter().map(|(path, _)| &**path).collect();
        let is_section = |path: &str| {
            let inside = format!("{path}.");
            known.iter().any(|known| known.starts_with(&inside))
                || path == "issuers"
                || path == "limits.tiers"
        };
        for path in self.found.sections.keys() {
            if known.contains(&**path) {
                self.report
                    .add(path, "is a section, where a value is wanted");
            } else if !is_section(path) {
                let inside = format!("{path}.");
                let is_empty = !self
                    .found
                    .entries
                    .keys()
                    .any(|entry| entry.starts_with(&inside));
                // Otherwise what stands in it is named.
                if is_empty {
                    self.report.add(path, "is no section of this configuration");
                }
            }
        }
        let secrets = self.found.secrets.keys();
        for path in self.found.entries.keys().chain(secrets) {
            if known.contains(&**path) {
                continue;
            }
            let problem = if is_section(path) {
                "is a section, and has no value".to_owned()
            } else if path.ends_with("client_secret") || path.ends_with("password") {
                format!("would be a secret in clear: set {path}_file or {path}_env")
            } else {
                let near = known
                    .iter()
                    .map(|known| (strsim::levenshtein(known, path), known));
                match near.min().filter(|(distance, _)| *distance <= 3) {
                    Some((_, near)) => format!("is unknown: {near} is meant?"),
                    None => "is unknown".to_owned(),
                }
            };
            self.report.add(path, problem);
        }
    }
}

/// One section: `token`.
pub(crate) struct Section<'r> {
    pub(crate) reader: &'r mut Reader,
    path: String,
    is_on: bool,
}

impl Section<'_> {
    /// Whether what it is about is wanted. Otherwise what stands in it is looked at, and not missed.
    pub(crate) const fn is_on(&self) -> bool {
        self.is_on
    }

    pub(crate) fn only_if(mut self, is_on: bool) -> Self {
        self.is_on &= is_on;
        self
    }

    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}.{name}", self.path)
    }

    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.reader.found.entries.contains_key(&self.path(name))
    }

    pub(crate) fn is_from_file(&self, name: &str) -> bool {
        let entry = self.reader.found.entries.get(&self.path(name));
        matches!(entry, Some((_, Origin::File(..))))
    }

    pub(crate) fn fault(&mut self, name: &str, problem: impl std::fmt::Display) {
        let path = self.path(name);
        self.reader.report.add(&path, problem);
    }

    /// Says that a setting is of no use here, where it is set.
    pub(crate) fn useless(&mut self, names: &[&str], problem: &str) {
        for name in names {
            if self.is_on && self.is_set(name) {
                self.fault(name, problem);
            }
        }
    }

    /// A setting that has a default.
    pub(crate) fn or<T: Leaf>(&mut self, name: &str, default: T) -> T {
        self.know(name, Fallback::Default(default.toml()));
        self.take(name).unwrap_or(default)
    }

    /// A setting that is off where it is not set.
    pub(crate) fn maybe<T: Leaf>(&mut self, name: &str) -> Option<T> {
        self.know(name, Fallback::Unset);
        self.take(name)
    }

    /// A setting that has to be set. `stand_in` is what the rest is checked with where it is not.
    pub(crate) fn required<T: Leaf>(&mut self, name: &str, stand_in: T) -> T {
        self.know(name, Fallback::Required);
        self.take(name).unwrap_or_else(|| {
            self.missing::<T>(name);
            stand_in
        })
    }

    /// A setting that some other one asks for.
    pub(crate) fn required_if<T: Leaf>(&mut self, is_asked: bool, name: &str, stand_in: T) -> T {
        self.know(name, Fallback::Unset);
        self.take(name).unwrap_or_else(|| {
            if is_asked {
                self.missing::<T>(name);
            }
            stand_in
        })
    }

    /// A secret: in a file, in a variable, or from the program.
    pub(crate) fn secret(&mut self, name: &str) -> Option<Secret> {
        let file: Option<std::path::PathBuf> = self.maybe(&format!("{name}_file"));
        let variable: Option<String> = self.maybe(&format!("{name}_env"));
        let path = self.path(name);
        let given = self.reader.found.secrets.remove(&path);
        if file.is_some() && variable.is_some() {
            self.fault(
                &format!("{name}_env"),
                format_args!("is set, and {path}_file too: one of them will do"),
            );
        }
        let given = given.map(|(secret, _)| secret);
        given
            .or(file.map(Secret::file))
            .or(variable.map(Secret::env))
    }

    fn missing<T: Leaf>(&mut self, name: &str) {
        if self.is_on && !self.is_set(name) && !self.reader.found.is_partial {
            self.fault(name, format_args!("is missing: it takes {}", T::WANTED));
        }
    }

    fn know(&mut self, name: &str, fallback: Fallback) {
        let path = self.path(name);
        self.reader.known.push((path, fallback));
    }

    fn take<T: Leaf>(&mut self, name: &str) -> Option<T> {
        let path = self.path(name);
        let (value, _) = self.reader.found.entries.get(&path)?;
        let read = T::of(value);
        if read.is_none() {
            let shown = match value {
                Value::Text(text) | Value::Given(text) | Value::Variable(text)
                    if text.is_empty() =>
                {
                    "is empty".to_owned()
                }
                other => format!("is {}", other.shown()),
            };
            self.reader
                .report
                .add(&path, format_args!("{shown}, not {}", T::WANTED));
        }
        read
    }
}
