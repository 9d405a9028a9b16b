//! Scopes that imply others: only those that are written down.

use crate::config::ConfigError;
use crate::scope::Scope;

/// Which scopes imply which others. Nothing is implied that is not said here: no prefix, no wildcard.
///
/// ```
/// use gateless_core::{Requirement, ScopeHierarchy, scope, scopes};
///
/// let hierarchy = ScopeHierarchy::new()
///     .implies(scope!("orders:admin"), scopes!["orders:write"])
///     .implies(scope!("orders:write"), scopes!["orders:read"])
///     .build()?;
/// // Met by orders:read, orders:write and orders:admin; the challenge asks for orders:read alone.
/// let read = Requirement::from(scope!("orders:read")).under(&hierarchy);
/// # let _ = read;
/// # Ok::<(), gateless_core::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ScopeHierarchy {
    /// Pairs of a scope and one that it implies directly.
    implied: Vec<(Scope, Scope)>,
}

impl ScopeHierarchy {
    /// A hierarchy in which no scope implies another.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            implied: Vec::new(),
        }
    }

    /// Whoever is granted `scope` is taken to be granted `others` as well, and what those imply.
    #[must_use]
    pub fn implies(mut self, scope: Scope, others: impl IntoIterator<Item = Scope>) -> Self {
        let pairs = others.into_iter().map(|other| (scope.clone(), other));
        self.implied.extend(pairs);
        self
    }

    /// Checks it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming `hierarchy` for each scope that implies itself, alone or by way of others.
    pub fn build(self) -> Result<Self, ConfigError> {
        let mut faults = ConfigError::collect();
        let mut named: Vec<&Scope> = Vec::new();
        for (scope, _) in &self.implied {
            if !named.contains(&scope) {
                named.push(scope);
                if self.implying(scope).contains(scope) {
                    faults.add("hierarchy", format!("{scope} implies itself"));
                }
            }
        }
        faults.into_result()?;
        Ok(self)
    }

    /// Every scope that implies `scope`, directly or by way of others.
    pub(super) fn implying(&self, scope: &Scope) -> Vec<Scope> {
        let mut found: Vec<Scope> = Vec::new();
        let mut next = 0;
        let mut target = scope.clone();
        loop {
            for (stronger, weaker) in &self.implied {
                if *weaker == target && !found.contains(stronger) {
                    found.push(stronger.clone());
                }
            }
            match found.get(next) {
                Some(scope) => target = scope.clone(),
                None => return found,
            }
            next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{scope, scopes};

    #[test]
    fn what_is_implied_is_implied_over_any_distance() {
        let hierarchy = ScopeHierarchy::new()
            .implies(scope!("write"), scopes!["read", "list"])
            .implies(scope!("admin"), scopes!["write"])
            .implies(scope!("root"), scopes!["admin", "read"])
            .build()
            .unwrap();
        assert_eq!(
            hierarchy.implying(&scope!("read")),
            scopes!["write", "root", "admin"]
        );
        assert_eq!(hierarchy.implying(&scope!("admin")), scopes!["root"]);
        assert!(hierarchy.implying(&scope!("root")).is_empty());
        assert!(hierarchy.implying(&scope!("rea")).is_empty());
    }

    #[test]
    fn a_scope_that_implies_itself_is_a_mistake() {
        let error = ScopeHierarchy::new()
            .implies(scope!("a"), scopes!["b"])
            .implies(scope!("b"), scopes!["c"])
            .implies(scope!("c"), scopes!["a", "d"])
            .implies(scope!("e"), scopes!["e"])
            .build()
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "unusable configuration: hierarchy a implies itself; hierarchy b implies itself; \
             hierarchy c implies itself; hierarchy e implies itself"
        );
    }
}
