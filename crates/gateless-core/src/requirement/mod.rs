//! What a route needs, as a value that can be listed, printed and tested.

mod check;
mod claim;
mod hierarchy;
mod json;
mod shortfall;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;
use std::time::Duration;

use self::check::Ask;
pub use self::claim::{ClaimPath, ClaimValue};
pub use self::hierarchy::ScopeHierarchy;
pub use self::shortfall::{Shortfall, StepUp};
pub(crate) use self::value::value as claim_value;
use crate::acr::Acr;
use crate::principal::{Principal, PrincipalKind};
use crate::rejection::Rejection;
use crate::scope::Scope;
use crate::time::Timestamp;

/// What a caller must have: a scope, a property, all of several requirements, or any one of them, nested as needed.
///
/// ```
/// use std::time::Duration;
///
/// use gateless_core::{Principal, PrincipalParts, Rejection, Requirement, ScopeSet, Timestamp, acr, scope, scopes};
///
/// let requirement = Requirement::all([
///     Requirement::from(scope!("orders:read")),
///     Requirement::any(scopes!["orders:write", "orders:admin"]),
/// ]);
/// assert_eq!(requirement.to_string(), "all(orders:read, any(orders:write, orders:admin))");
///
/// let now = Timestamp::from_secs(1_750_000_000);
/// let caller = Principal::assert_authenticated(PrincipalParts {
///     scopes: ScopeSet::parse("orders:read profile")?,
///     ..PrincipalParts::new("https://idp.example.com", now)
/// });
/// let Err(Rejection::ScopeInsufficient(shortfall)) = requirement.check(&caller, now) else { unreachable!() };
/// assert_eq!(shortfall.missing(), scopes!["orders:write"]);
/// assert_eq!(shortfall.needed(), scopes!["orders:read", "orders:write"]);
///
/// // Recently, and in a way that no phisher can repeat:
/// let payment = Requirement::all([
///     Requirement::from(scope!("payments:send")),
///     Requirement::acr([acr!("phr"), acr!("phrh")]),
///     Requirement::max_age(Duration::from_secs(300)),
/// ]);
/// assert!(matches!(payment.check(&caller, now), Err(Rejection::AuthenticationInsufficient(_))));
/// # Ok::<(), gateless_core::InvalidScope>(())
/// ```
///
/// An empty list would mean "everything is allowed" or "nothing is"; it does not compile:
///
/// ```compile_fail
/// # use gateless_core::{Requirement, Scope};
/// let open = Requirement::all::<Scope, 0>([]);
/// ```
///
/// As JSON a scope is a string, and the rest are objects with one member: `{"all": […]}`, `{"any": […]}`,
/// `{"acr": ["phr"]}`, `{"max_age": 300}`, `{"kind": "client"}`, `{"claim": ["tenant"], "is": "tenant-1"}`,
/// `{"authenticated": true}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Requirement(Node);

#[derive(Clone, PartialEq, Eq)]
enum Node {
    Authenticated,
    Scope {
        scope: Scope,
        /// The scopes that are as good.
        implied_by: Box<[Scope]>,
    },
    /// One of these.
    Acr(Box<[Acr]>),
    /// In whole seconds.
    MaxAge(u64),
    Kind(PrincipalKind),
    Claim(ClaimPath, ClaimValue),
    All(Box<[Requirement]>),
    Any(Box<[Requirement]>),
}

/// A list of requirements that is empty: it would allow everybody or nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a requirement needs at least one item")]
pub struct EmptyRequirement;

impl Requirement {
    /// Satisfied by every valid token.
    #[must_use]
    pub const fn authenticated() -> Self {
        Self(Node::Authenticated)
    }

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
        some(items.into_iter().map(Into::into)).map(|items| Self(Node::All(items)))
    }

    /// [`any`](Self::any) for a list whose length is only known while the program runs.
    ///
    /// # Errors
    ///
    /// [`EmptyRequirement`] when there is no item.
    pub fn try_any<T: Into<Self>>(
        items: impl IntoIterator<Item = T>,
    ) -> Result<Self, EmptyRequirement> {
        some(items.into_iter().map(Into::into)).map(|items| Self(Node::Any(items)))
    }

    /// Satisfied when the person proved who they are in one of these ways (`acr`), the most wanted first.
    ///
    /// A caller whose token says another, or none, is asked to sign in anew, by the challenge of RFC 9470 §3. Nothing is
    /// known of which way is the stronger one: name all that will do.
    #[must_use]
    pub fn acr<const N: usize>(one_of: [Acr; N]) -> Self {
        const { assert!(N > 0, "no `acr` at all would allow nobody") };
        Self(Node::Acr(one_of.into()))
    }

    /// [`acr`](Self::acr) for a list whose length is only known while the program runs.
    ///
    /// # Errors
    ///
    /// [`EmptyRequirement`] when there is no item.
    pub fn try_acr(one_of: impl IntoIterator<Item = Acr>) -> Result<Self, EmptyRequirement> {
        some(one_of).map(|one_of| Self(Node::Acr(one_of)))
    }

    /// Satisfied when the person proved who they are (`auth_time`) no longer ago than this.
    ///
    /// A caller who did so earlier, or whose token does not say when, is asked to sign in anew, by the challenge of
    /// RFC 9470 §3. An `auth_time` in the future counts as none; 30 s are forgiven, for clocks that differ. The challenge
    /// counts in seconds: a part of one is rounded up, and nothing is taken for one. The 30 s do not grow with the leeway of a
    /// token policy: an issuer whose clock is further ahead would have people sign in again for nothing.
    #[must_use]
    pub const fn max_age(age: Duration) -> Self {
        let partial = (age.subsec_nanos() > 0) as u64;
        match age.as_secs().saturating_add(partial) {
            0 => Self(Node::MaxAge(1)),
            secs => Self(Node::MaxAge(secs)),
        }
    }

    /// Satisfied when such a party acts.
    ///
    /// A scope in the token of a client that acts for itself is no consent of a user's (RFC 9700 §4.15): where that
    /// makes a difference, ask for [`PrincipalKind::User`].
    #[must_use]
    pub const fn kind(kind: PrincipalKind) -> Self {
        Self(Node::Kind(kind))
    }

    /// Satisfied when the claim is this value, or a list with this value in it; exactly, type included.
    ///
    /// ```
    /// use gateless_core::Requirement;
    ///
    /// let tenant = Requirement::claim("tenant", "tenant-1");
    /// let role = Requirement::claim(["realm_access", "roles"], "orders-admin");
    /// let verified = Requirement::claim("email_verified", true);
    /// assert_eq!(role.to_string(), r#"claim(realm_access/roles, "orders-admin")"#);
    /// # let _ = (tenant, verified);
    /// ```
    ///
    /// The claims are read for each such requirement, and again where it is not met. A scope is cheaper.
    #[must_use]
    pub fn claim(path: impl Into<ClaimPath>, value: impl Into<ClaimValue>) -> Self {
        Self(Node::Claim(path.into(), value.into()))
    }

    /// The same requirement, met also by scopes that imply those it names.
    ///
    /// A challenge still asks for the scope that is named: the least that will do. As text the others are named too; the
    /// JSON of a requirement is without them.
    #[must_use]
    pub fn under(self, hierarchy: &ScopeHierarchy) -> Self {
        let each = |items: Box<[Self]>| {
            let items = items.into_iter();
            items.map(|item| item.under(hierarchy)).collect()
        };
        Self(match self.0 {
            Node::Scope { scope, implied_by } => {
                let mut implied_by = implied_by.into_vec();
                for further in hierarchy.implying(&scope) {
                    if !implied_by.contains(&further) {
                        implied_by.push(further);
                    }
                }
                Node::Scope {
                    implied_by: implied_by.into(),
                    scope,
                }
            }
            Node::All(items) => Node::All(each(items)),
            Node::Any(items) => Node::Any(each(items)),
            other => other,
        })
    }

    /// Holds the requirement against a caller at a moment. A pass allocates nothing.
    ///
    /// # Errors
    ///
    /// What keeps the caller out, on the way that asks for the least:
    ///
    /// - [`Rejection::ScopeInsufficient`] when scopes would do,
    /// - [`Rejection::AuthenticationInsufficient`] when signing in anew would do, with further scopes where they are missing,
    /// - [`Rejection::CallerNotPermitted`] when nothing that the caller can ask for would do.
    ///
    /// Of a requirement with more than 64 ways to meet it, the cheapest are looked at.
    pub fn check(&self, caller: &Principal, now: Timestamp) -> Result<(), Rejection> {
        Ask { caller, now }.check(self)
    }

    /// Every scope that is named, each once, in the order of first mention.
    ///
    /// What a resource lists as its `scopes_supported` (RFC 9728 §2) is the sum of these over its routes.
    #[must_use]
    pub fn scopes(&self) -> Vec<Scope> {
        fn collect(requirement: &Requirement, scopes: &mut Vec<Scope>) {
            match &requirement.0 {
                Node::Scope { scope, .. } if !scopes.contains(scope) => scopes.push(scope.clone()),
                Node::All(items) | Node::Any(items) => {
                    items.iter().for_each(|item| collect(item, scopes));
                }
                _ => {}
            }
        }
        let mut scopes = Vec::new();
        collect(self, &mut scopes);
        scopes
    }

    /// The requirement as alternatives of scopes that are all needed, each once, with what is no scope left out: the form
    /// that OpenAPI knows. `None` when there are more than `limit` of them.
    ///
    /// An alternative without scopes asks for a valid token, and for what was left out.
    #[must_use]
    pub fn alternatives(&self, limit: usize) -> Option<Vec<Vec<Scope>>> {
        match &self.0 {
            Node::Scope { scope, .. } => distinct([vec![scope.clone()]], limit),
            Node::Any(items) => {
                let each: Option<Vec<_>> =
                    items.iter().map(|item| item.alternatives(limit)).collect();
                distinct(each?.into_iter().flatten(), limit)
            }
            Node::All(items) => {
                let mut joined = vec![Vec::<Scope>::new()];
                for item in items {
                    let each = item.alternatives(limit)?;
                    let pairs = joined.iter().flat_map(|left| {
                        each.iter().map(move |right| {
                            let further = right.iter().filter(|scope| !left.contains(scope));
                            left.iter().chain(further).cloned().collect()
                        })
                    });
                    joined = distinct(pairs, limit)?;
                }
                Some(joined)
            }
            _ => distinct([Vec::new()], limit),
        }
    }

    /// Each scope that is implied by others, with those.
    pub(crate) fn implied(&self) -> Vec<(&Scope, &[Scope])> {
        match &self.0 {
            Node::Scope { scope, implied_by } if !implied_by.is_empty() => {
                vec![(scope, implied_by)]
            }
            Node::All(items) | Node::Any(items) => items.iter().flat_map(Self::implied).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether it asks for scopes, or a valid token, and nothing else.
    #[must_use]
    pub fn is_scopes_only(&self) -> bool {
        match &self.0 {
            Node::Authenticated | Node::Scope { .. } => true,
            Node::All(items) | Node::Any(items) => items.iter().all(Self::is_scopes_only),
            _ => false,
        }
    }
}

/// Each once, unless there are too many.
fn distinct(
    alternatives: impl IntoIterator<Item = Vec<Scope>>,
    limit: usize,
) -> Option<Vec<Vec<Scope>>> {
    let mut found = Vec::new();
    for scopes in alternatives {
        if !found.contains(&scopes) {
            found.push(scopes);
        }
        if found.len() > limit {
            return None;
        }
    }
    Some(found)
}

fn some<T>(items: impl IntoIterator<Item = T>) -> Result<Box<[T]>, EmptyRequirement> {
    let items: Box<[T]> = items.into_iter().collect();
    if items.is_empty() {
        Err(EmptyRequirement)
    } else {
        Ok(items)
    }
}

impl From<Scope> for Requirement {
    fn from(scope: Scope) -> Self {
        Self(Node::Scope {
            scope,
            implied_by: Box::default(),
        })
    }
}

/// All of them. An empty list does not compile.
impl<const N: usize> From<[Scope; N]> for Requirement {
    fn from(scopes: [Scope; N]) -> Self {
        Self::all(scopes)
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Node::Authenticated => f.write_str("any valid token"),
            Node::Scope { scope, implied_by } => {
                fmt::Display::fmt(scope, f)?;
                match implied_by.split_first() {
                    None => Ok(()),
                    Some((first, others)) => {
                        write!(f, " (implied by {first}")?;
                        others.iter().try_for_each(|other| write!(f, ", {other}"))?;
                        f.write_str(")")
                    }
                }
            }
            Node::Acr(one_of) => call(f, "acr", one_of),
            Node::MaxAge(secs) => write!(f, "max_age({secs} s)"),
            Node::Kind(kind) => write!(f, "kind({})", kind.name()),
            Node::Claim(path, value) => write!(f, "claim({path}, {value})"),
            Node::All(items) => call(f, "all", items),
            Node::Any(items) => call(f, "any", items),
        }
    }
}

fn call<T: fmt::Display>(f: &mut fmt::Formatter<'_>, name: &str, items: &[T]) -> fmt::Result {
    write!(f, "{name}(")?;
    for (index, item) in items.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        write!(f, "{separator}{item}")?;
    }
    f.write_str(")")
}

impl fmt::Debug for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Requirement({self})")
    }
}
