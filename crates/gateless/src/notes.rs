//! What a decision leaves behind for the record of its request. Without the feature `audit` nothing is left, and nothing of this
//! costs anything.

#[cfg(not(feature = "audit"))]
pub(crate) use self::disabled::Notes;
#[cfg(feature = "audit")]
pub(crate) use self::enabled::Notes;

#[cfg(feature = "audit")]
mod enabled {
    #[cfg(any(feature = "limit", feature = "scope"))]
    use std::sync::Arc;

    #[cfg(any(feature = "bearer", feature = "denylist", feature = "introspection"))]
    use gateless_audit::Flag;
    #[cfg(feature = "bearer")]
    use gateless_audit::TokenFound;
    #[cfg(feature = "scope")]
    use gateless_core::Access;
    use gateless_core::{Principal, Rejection};
    use http::Extensions;

    use crate::audit::Trail;
    #[cfg(feature = "bearer")]
    use crate::epoch::PolicyEpoch;
    use crate::gate::{CredentialFingerprint, Head};
    #[cfg(feature = "limit")]
    use crate::limit::Outcome;

    /// The trail of a request, if it has one.
    #[derive(Clone, Copy)]
    pub(crate) struct Notes<'a>(Option<&'a Trail>);

    /// The same, for a decision that waits.
    #[cfg(any(feature = "bearer", feature = "limit_shared"))]
    pub(crate) struct KeptNotes(Option<Trail>);

    impl<'a> Notes<'a> {
        pub(crate) fn of(extensions: &'a Extensions) -> Self {
            Self(Trail::of(extensions))
        }

        /// For what is decided outside of a request.
        #[cfg(feature = "denylist")]
        pub(crate) const fn none() -> Self {
            Self(None)
        }

        #[cfg(any(feature = "bearer", feature = "limit_shared"))]
        pub(crate) fn keep(self) -> KeptNotes {
            KeptNotes(self.0.cloned())
        }

        pub(crate) fn routed(self, head: Head<'_>) {
            if let Some(trail) = self.0 {
                trail.routed(head);
            }
        }

        pub(crate) fn identified(self, caller: Option<&Principal>) {
            if let Some(trail) = self.0 {
                trail.identified(caller);
            }
        }

        pub(crate) fn refused(
            self,
            stage: &'static str,
            rejection: &Rejection,
            credential: Option<CredentialFingerprint>,
        ) {
            if let Some(trail) = self.0 {
                trail.refused_by(stage, rejection, credential);
            }
        }

        #[cfg(feature = "bearer")]
        fn token(self, found: TokenFound, epoch: PolicyEpoch) {
            if let Some(trail) = self.0 {
                trail.token(found, epoch);
            }
        }

        /// A token was remembered.
        #[cfg(feature = "bearer")]
        pub(crate) fn recalled(self, epoch: PolicyEpoch) {
            self.token(TokenFound::Cached, epoch);
        }

        /// The signature of a token was checked.
        #[cfg(feature = "bearer")]
        pub(crate) fn verified(self, epoch: PolicyEpoch) {
            self.token(TokenFound::Verified, epoch);
        }

        /// The authorization server said what it knows of a token.
        #[cfg(feature = "introspection")]
        pub(crate) fn introspected(self, epoch: PolicyEpoch) {
            self.token(TokenFound::Introspected, epoch);
        }

        #[cfg(any(feature = "bearer", feature = "denylist", feature = "introspection"))]
        fn flag(self, flag: Flag) {
            if let Some(trail) = self.0 {
                trail.flag(flag);
            }
        }

        #[cfg(feature = "bearer")]
        pub(crate) fn stale_keys(self) {
            self.flag(Flag::StaleKeys);
        }

        #[cfg(feature = "introspection")]
        pub(crate) fn stale_introspection(self, epoch: PolicyEpoch) {
            self.token(TokenFound::Cached, epoch);
            self.flag(Flag::StaleIntrospection);
        }

        #[cfg(feature = "denylist")]
        pub(crate) fn stale_denylist(self) {
            self.flag(Flag::StaleDenylist);
        }

        #[cfg(feature = "denylist")]
        pub(crate) fn open_denylist(self) {
            self.flag(Flag::OpenDenylist);
        }

        #[cfg(feature = "scope")]
        pub(crate) fn asked_for(self, access: &Arc<Access>) {
            if let Some(trail) = self.0 {
                trail.asked_for(access);
            }
        }

        /// A table has a row for the gRPC method.
        #[cfg(feature = "scope")]
        pub(crate) fn declared(self) {
            if let Some(trail) = self.0 {
                trail.declared();
            }
        }

        #[cfg(feature = "limit")]
        pub(crate) fn limited(self, name: &Arc<str>, outcome: Outcome) {
            if let Some(trail) = self.0 {
                trail.limited(name, outcome.into());
            }
        }
    }

    #[cfg(any(feature = "bearer", feature = "limit_shared"))]
    impl KeptNotes {
        pub(crate) const fn notes(&self) -> Notes<'_> {
            Notes(self.0.as_ref())
        }
    }
}

#[cfg(not(feature = "audit"))]
mod disabled {
    use std::marker::PhantomData;
    #[cfg(any(feature = "limit", feature = "scope"))]
    use std::sync::Arc;

    #[cfg(feature = "scope")]
    use gateless_core::Access;
    use gateless_core::{Principal, Rejection};
    use http::Extensions;

    #[cfg(feature = "bearer")]
    use crate::epoch::PolicyEpoch;
    use crate::gate::{CredentialFingerprint, Head};
    #[cfg(feature = "limit")]
    use crate::limit::Outcome;

    #[derive(Clone, Copy)]
    pub(crate) struct Notes<'a>(PhantomData<&'a ()>);

    #[cfg(any(feature = "bearer", feature = "limit_shared"))]
    pub(crate) struct KeptNotes;

    impl<'a> Notes<'a> {
        pub(crate) const fn of(_: &'a Extensions) -> Self {
            Self(PhantomData)
        }

        #[cfg(feature = "denylist")]
        pub(crate) const fn none() -> Self {
            Self(PhantomData)
        }

        #[cfg(any(feature = "bearer", feature = "limit_shared"))]
        pub(crate) const fn keep(self) -> KeptNotes {
            KeptNotes
        }

        pub(crate) const fn routed(self, _: Head<'_>) {}

        pub(crate) const fn identified(self, _: Option<&Principal>) {}

        pub(crate) const fn refused(
            self,
            _: &'static str,
            _: &Rejection,
            _: Option<CredentialFingerprint>,
        ) {
        }

        #[cfg(feature = "bearer")]
        pub(crate) const fn recalled(self, _: PolicyEpoch) {}

        #[cfg(feature = "bearer")]
        pub(crate) const fn verified(self, _: PolicyEpoch) {}

        #[cfg(feature = "introspection")]
        pub(crate) const fn introspected(self, _: PolicyEpoch) {}

        #[cfg(feature = "bearer")]
        pub(crate) const fn stale_keys(self) {}

        #[cfg(feature = "introspection")]
        pub(crate) const fn stale_introspection(self, _: PolicyEpoch) {}

        #[cfg(feature = "denylist")]
        pub(crate) const fn stale_denylist(self) {}

        #[cfg(feature = "denylist")]
        pub(crate) const fn open_denylist(self) {}

        #[cfg(feature = "scope")]
        pub(crate) const fn asked_for(self, _: &Arc<Access>) {}

        #[cfg(feature = "scope")]
        pub(crate) const fn declared(self) {}

        #[cfg(feature = "limit")]
        pub(crate) const fn limited(self, _: &Arc<str>, _: Outcome) {}
    }

    #[cfg(any(feature = "bearer", feature = "limit_shared"))]
    impl KeptNotes {
        pub(crate) const fn notes(&self) -> Notes<'_> {
            Notes(PhantomData)
        }
    }
}
