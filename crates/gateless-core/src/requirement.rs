//! What a route needs, as a value that can be listed, printed and tested.

use std::fmt;

use crate::scope::{Scope, ScopeSet};

/// What a token must grant: one scope, all of several requirements, or any one of them, nested as needed.
///
/// ```
/// use gateless_core::{Requirement, ScopeSet, scope, scopes};
///
/// let requirement = Requirement::all([
///     Requirement::from(scope!("orders:read")),
///     Requirement::any(scopes!["orders:write", "orders:admin"]),
/// ]);
/// assert_eq!(requirement.to_string(), "all(orders:read, any(orders:write, orders:admin))");
///
/// let granted = ScopeSet::parse("orders:read profile")?;
/// let shortfall = requirement.check(&granted).unwrap_err();
/// assert_eq!(shortfall.missing(), scopes!["orders:write"]);
/// assert_eq!(shortfall.needed(), scopes!["orders:read", "orders:write"]);
/// # Ok::<(), gateless_core::InvalidScope>(())
/// ```
///
/// An empty list would mean "everything is allowed" or "nothing is"; it does not compile:
///
/// ```compile_fail
/// # use gateless_core::{Requirement, Scope};
/// let open = Requirement::all::<Scope, 0>([]);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Requirement(Node);

#[derive(Clone, PartialEq, Eq)]
enum Node {
    Scope(Scope),
    All(Box<[Requirement]>),
    Any(Box<[Requirement]>),
}

/// A list of requirements that is empty: it would allow everybody or nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a requirement needs at least one scope")]
pub struct EmptyRequirement;

impl Requirement {
    /// Satisfied when every item is.
    #[must_use]
    pub fn all<T: Into<Self>, const N: usize>(items: [T; N]) -> Self {
        const { assert!(N > 0, "`all` of nothing would allow everybody") };
        Self(Node::All(items.into_iter().map(Into::into).collect()))
    }

    /// Satisfied when at least one item is.
    #[must_use]
    pub fn any<T: Into<Self>, const N: usize>(items: [T; N]) -> Self {
        const { assert!(N > 0, "`any` of nothing would allow nobody") };
        Self(Node::Any(items.into_iter().map(Into::into).collect()))
    }

    /// [`all`](Self::all) for a list whose length is only known while the program runs.
    ///
    /// # Errors
    ///
    /// [`EmptyRequirement`] when there is no item.
    pub fn try_all<T: Into<Self>>(
        items: impl IntoIterator<Item = T>,
    ) -> Result<Self, EmptyRequirement> {
        collect(items).map(|items| Self(Node::All(items)))
    }

    /// [`any`](Self::any) for a list whose length is only known while the program runs.
    ///
    /// # Errors
    ///
    /// [`EmptyRequirement`] when there is no item.
    pub fn try_any<T: Into<Self>>(
        items: impl IntoIterator<Item = T>,
    ) -> Result<Self, EmptyRequirement> {
        collect(items).map(|items| Self(Node::Any(items)))
    }

    /// Holds the requirement against what was granted. A pass allocates nothing.
    ///
    /// # Errors
    ///
    /// The [`Shortfall`] when something is missing.
    pub fn check(&self, granted: &ScopeSet) -> Result<(), Shortfall> {
        if self.is_met(granted) {
            return Ok(());
        }
        let needed = self.cheapest(granted).needed;
        let missing = needed
            .iter()
            .filter(|scope| !granted.contains(scope))
            .cloned()
            .collect();
        Err(Shortfall {
            needed: needed.into(),
            missing,
        })
    }

    fn is_met(&self, granted: &ScopeSet) -> bool {
        match &self.0 {
            Node::Scope(scope) => granted.contains(scope),
            Node::All(items) => items.iter().all(|item| item.is_met(granted)),
            Node::Any(items) => items.iter().any(|item| item.is_met(granted)),
        }
    }

    /// The way to satisfy this that asks for the fewest further scopes; the first of equals.
    fn cheapest(&self, granted: &ScopeSet) -> Way {
        match &self.0 {
            Node::Scope(scope) => Way {
                missing: usize::from(!granted.contains(scope)),
                needed: vec![scope.clone()],
            },
            Node::All(items) => {
                let mut way = Way {
                    missing: 0,
                    needed: Vec::new(),
                };
                for scope in items.iter().flat_map(|item| item.cheapest(granted).needed) {
                    if !way.needed.contains(&scope) {
                        way.missing += usize::from(!granted.contains(&scope));
                        way.needed.push(scope);
                    }
                }
                way
            }
            Node::Any(items) => items
                .iter()
                .map(|item| item.cheapest(granted))
                .min_by_key(|way| way.missing)
                .expect("no constructor makes an empty list"),
        }
    }
}

struct Way {
    missing: usize,
    needed: Vec<Scope>,
}

fn collect<T: Into<Requirement>>(
    items: impl IntoIterator<Item = T>,
) -> Result<Box<[Requirement]>, EmptyRequirement> {
    let items: Box<[Requirement]> = items.into_iter().map(Into::into).collect();
    if items.is_empty() {
        Err(EmptyRequirement)
    } else {
        Ok(items)
    }
}

impl From<Scope> for Requirement {
    fn from(scope: Scope) -> Self {
        Self(Node::Scope(scope))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, items) = match &self.0 {
            Node::Scope(scope) => return fmt::Display::fmt(scope, f),
            Node::All(items) => ("all", items),
            Node::Any(items) => ("any", items),
        };
        write!(f, "{name}(")?;
        for (index, item) in items.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{item}")?;
        }
        f.write_str(")")
    }
}

impl fmt::Debug for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Requirement({self})")
    }
}

/// What a token lacks for a requirement, along the way that asks for the least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    needed: Box<[Scope]>,
    missing: Box<[Scope]>,
}

impl Shortfall {
    /// Every scope that the request needs, granted or not: what a client has to ask for to get through.
    ///
    /// This is the `scope` attribute of the challenge. A client that asked for the missing ones alone would
    /// lose those it has.
    #[must_use]
    pub fn needed(&self) -> &[Scope] {
        &self.needed
    }

    /// The scopes among [`needed`](Self::needed) that were not granted.
    #[must_use]
    pub fn missing(&self) -> &[Scope] {
        &self.missing
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scopes;

    fn granted(text: &str) -> ScopeSet {
        ScopeSet::parse(text).unwrap()
    }

    #[test]
    fn any_asks_for_the_alternative_with_the_fewest_missing() {
        let requirement = Requirement::any([
            Requirement::all(scopes!["a", "b", "c"]),
            Requirement::all(scopes!["d", "e"]),
        ]);
        let missing = |text| {
            requirement
                .check(&granted(text))
                .unwrap_err()
                .missing()
                .to_vec()
        };
        assert_eq!(missing("a b"), scopes!["c"]);
        assert_eq!(missing(""), scopes!["d", "e"]);
        assert_eq!(missing("a d"), scopes!["e"]);
    }

    #[test]
    fn a_scope_asked_for_twice_is_named_once() {
        let requirement = Requirement::all([
            Requirement::all(scopes!["a", "b"]),
            Requirement::any(scopes!["b", "c"]),
        ]);
        let shortfall = requirement.check(&granted("")).unwrap_err();
        assert_eq!(shortfall.needed(), scopes!["a", "b"]);
    }

    #[test]
    fn tj_07_tj_08_an_empty_list_is_refused_at_run_time_too() {
        assert_eq!(
            Requirement::try_all(Vec::<Scope>::new()),
            Err(EmptyRequirement)
        );
        assert_eq!(
            Requirement::try_any(Vec::<Scope>::new()),
            Err(EmptyRequirement)
        );
    }

    fn requirement() -> impl Strategy<Value = Requirement> {
        let leaf = prop::sample::select(vec!["a", "b", "c", "d", "e"])
            .prop_map(|text| Requirement::from(Scope::parse(text).unwrap()));
        leaf.prop_recursive(3, 12, 3, |inner| {
            let items = prop::collection::vec(inner, 1..4);
            prop_oneof![
                items
                    .clone()
                    .prop_map(|items| Requirement::try_all(items).unwrap()),
                items.prop_map(|items| Requirement::try_any(items).unwrap()),
            ]
        })
    }

    proptest! {
        #[test]
        fn whoever_gets_the_missing_scopes_passes(
            requirement in requirement(),
            has in prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "d", "e"]), 0..4),
        ) {
            let has = has.join(" ");
            if let Err(shortfall) = requirement.check(&granted(&has)) {
                prop_assert!(!shortfall.missing().is_empty());
                let topped_up = shortfall.missing().iter().fold(has, |text, scope| format!("{text} {scope}"));
                prop_assert_eq!(requirement.check(&granted(&topped_up)), Ok(()));
                let fresh = shortfall.needed().iter().map(Scope::as_str).collect::<Vec<_>>().join(" ");
                prop_assert_eq!(requirement.check(&granted(&fresh)), Ok(()));
            }
        }
    }
}
