//! How the keys of an issuer stand, for readiness probes and for people.

use std::fmt;
use std::time::Duration;

use gateless_jwt::KeySet;

use super::schedule::Standing;

/// How the keys of one issuer stand. See [`BearerHandle::key_status`](crate::bearer::BearerHandle::key_status).
#[derive(Clone, Debug)]
pub struct KeyStatus {
    issuer: Box<str>,
    state: KeyState,
    age: Option<Duration>,
    key_ids: Vec<Box<str>>,
    keys: usize,
    skipped: usize,
    refused: Vec<Box<str>>,
    last_failure: Option<Box<str>>,
}

/// Whether an issuer's keys are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyState {
    /// Within their lifetime.
    Fresh,
    /// Past their lifetime, and used as [`OnOutage`](crate::OnOutage) allows. The issuer should be looked at.
    Stale,
    /// There are none that may be used: tokens of this issuer get `503`.
    Missing,
}

impl KeyState {
    /// A stable name, fit for a record or a metric label: `fresh`, `stale` or `missing`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Missing => "missing",
        }
    }
}

impl KeyStatus {
    pub(super) fn new(
        issuer: &str,
        standing: Standing,
        age: Option<Duration>,
        keys: &KeySet,
        last_failure: Option<Box<str>>,
    ) -> Self {
        let ids = keys.keys().iter().filter_map(|key| key.id());
        Self {
            issuer: issuer.into(),
            state: match standing {
                Standing::Fresh => KeyState::Fresh,
                Standing::Stale => KeyState::Stale,
                Standing::Missing => KeyState::Missing,
            },
            age,
            key_ids: ids.map(Into::into).collect(),
            keys: keys.keys().len(),
            skipped: keys.skipped().len(),
            refused: keys.refused().to_vec(),
            last_failure,
        }
    }

    /// The issuer, as configured.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whether its keys are used.
    #[must_use]
    pub const fn state(&self) -> KeyState {
        self.state
    }

    /// How long ago they were fetched. `None` when they never were, or were thrown away.
    #[must_use]
    pub const fn age(&self) -> Option<Duration> {
        self.age
    }

    /// How many keys there are, with and without an id.
    #[must_use]
    pub const fn keys(&self) -> usize {
        self.keys
    }

    /// The ids of the keys, also of those that are refused. A new key can be seen here before the issuer signs with
    /// it.
    #[must_use]
    pub fn key_ids(&self) -> &[Box<str>] {
        &self.key_ids
    }

    /// How many keys of the issuer's document cannot be used.
    #[must_use]
    pub const fn skipped(&self) -> usize {
        self.skipped
    }

    /// The key ids that are refused, see [`BearerHandle::refuse_key`](crate::bearer::BearerHandle::refuse_key).
    #[must_use]
    pub fn refused(&self) -> &[Box<str>] {
        &self.refused
    }

    /// What went wrong with the last fetch, when it failed. Nothing of what the issuer sent is in it.
    #[must_use]
    pub fn last_failure(&self) -> Option<&str> {
        self.last_failure.as_deref()
    }
}

impl fmt::Display for KeyStatus {
    /// One line for a log or a status page.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}, {} keys",
            self.issuer,
            self.state.name(),
            self.keys
        )?;
        if let Some(age) = self.age {
            write!(f, ", {} s old", age.as_secs())?;
        }
        if !self.refused.is_empty() {
            write!(f, ", {} refused", self.refused.len())?;
        }
        if let Some(failure) = &self.last_failure {
            write!(f, ", last fetch failed: {failure}")?;
        }
        Ok(())
    }
}
