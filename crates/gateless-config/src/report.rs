//! Faults under the names that people wrote.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use gateless::ConfigError;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Origin {
    /// A file, if it has a name, and the line.
    File(Arc<str>, usize),
    /// An environment variable.
    Variable(String),
    /// The program, which calls it so.
    Given(&'static str),
}

/// Where each setting comes from, by path. What is not here was not set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins(BTreeMap<String, Origin>);

impl Origins {
    pub(crate) fn insert(&mut self, path: String, origin: Origin) {
        self.0.insert(path, origin);
    }

    /// What people call a setting.
    fn name(&self, path: &str) -> String {
        match self.0.get(path) {
            Some(Origin::Variable(name)) => name.clone(),
            Some(Origin::Given(name)) => (*name).to_owned(),
            Some(Origin::File(..)) | None => path.to_owned(),
        }
    }

    fn place(&self, path: &str) -> Place<'_> {
        Place(self.0.get(path))
    }
}

/// Behind a fault: where in which file.
struct Place<'a>(Option<&'a Origin>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Origin::File(file, line)) => write!(f, " ({file}, line {line})"),
            _ => Ok(()),
        }
    }
}

/// Collects faults by the paths of settings.
#[derive(Debug)]
pub(crate) struct Report {
    origins: Arc<Origins>,
    faults: ConfigError,
}

impl Report {
    pub(crate) const fn new(origins: Arc<Origins>) -> Self {
        let faults = ConfigError::collect();
        Self { origins, faults }
    }

    /// Under a name that is no setting: that of a file.
    pub(crate) fn about(&mut self, name: impl Into<String>, problem: impl Into<String>) {
        self.faults.add(name.into(), problem);
    }

    pub(crate) fn add(&mut self, path: &str, problem: impl fmt::Display) {
        let place = self.origins.place(path);
        let (name, problem) = (self.origins.name(path), format!("{problem}{place}"));
        let mut there = self.faults.faults().iter();
        if !there.any(|fault| fault.setting() == name && fault.problem() == problem) {
            self.faults.add(name, problem);
        }
    }

    /// Where something could not be made, there is a fault already; were there none, this is it.
    pub(crate) fn unless_told(&mut self, path: &str, problem: &str) {
        if self.is_empty() {
            self.add(path, problem);
        }
    }

    /// Takes over what a builder complains about; `path` says which setting each of its own is. Settings that were found
    /// unusable already had a stand-in, or are seen by two builders: nothing more is said of them.
    pub(crate) fn adopt<T>(
        &mut self,
        built: Result<T, ConfigError>,
        path: impl Fn(&str) -> String,
    ) -> Option<T> {
        let error = match built {
            Ok(built) => return Some(built),
            Err(error) => error,
        };
        let told: Vec<String> = self
            .faults
            .faults()
            .iter()
            .map(|fault| fault.setting().to_owned())
            .collect();
        for fault in error.faults() {
            let path = path(fault.setting());
            if !told.contains(&self.origins.name(&path)) {
                self.add(&path, fault.problem());
            }
        }
        None
    }

    pub(crate) fn count(&self) -> usize {
        self.faults.faults().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.faults.faults().is_empty()
    }

    pub(crate) fn into_result(self) -> Result<(), ConfigError> {
        self.faults.into_result()
    }
}
