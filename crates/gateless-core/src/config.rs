//! Configuration errors: every fault at once, each naming its setting.

use std::borrow::Cow;
use std::fmt;

/// One setting that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault {
    setting: Cow<'static, str>,
    problem: String,
}

impl ConfigFault {
    /// The name of the setting, as the builder's method spells it, or as it is called in a file or in the environment.
    #[must_use]
    pub fn setting(&self) -> &str {
        &self.setting
    }

    /// What is wrong with it. Never holds a secret.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

/// Why a layer could not be built: the complete list of faults, not only the first.
///
/// ```
/// # use gateless_core::ConfigError;
/// let mut faults = ConfigError::collect();
/// faults.add("leeway", "ten minutes is longer than the 300 s that are allowed");
/// faults.add("audience", "is empty");
/// let error = faults.into_result().unwrap_err();
/// assert_eq!(error.faults().len(), 2);
/// assert!(error.to_string().contains("leeway"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    faults: Vec<ConfigFault>,
}

impl ConfigError {
    /// An empty list to add faults to.
    #[must_use]
    pub const fn collect() -> Self {
        Self { faults: Vec::new() }
    }

    /// Records that `setting` cannot be used.
    pub fn add(&mut self, setting: impl Into<Cow<'static, str>>, problem: impl Into<String>) {
        self.faults.push(ConfigFault {
            setting: setting.into(),
            problem: problem.into(),
        });
    }

    /// Takes over the faults of a part.
    pub fn merge(&mut self, part: Self) {
        self.faults.extend(part.faults);
    }

    /// Every fault that was found, in the order of the settings.
    #[must_use]
    pub fn faults(&self) -> &[ConfigFault] {
        &self.faults
    }

    /// `Ok` when nothing was added.
    ///
    /// # Errors
    ///
    /// The collected faults, when there are any.
    pub fn into_result(self) -> Result<(), Self> {
        if self.faults.is_empty() {
            Ok(())
        } else {
            Err(self)
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unusable configuration: ")?;
        for (index, fault) in self.faults.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{} {}", fault.setting, fault.problem)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
