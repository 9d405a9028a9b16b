//! Which of the layers says who calls.

use crate::bearer::{BearerAuth, BearerHandle, OptionalBearerAuth};
use crate::gate::{BoxedWait, Decided, Head};
use crate::hybrid::{HybridAuth, OptionalHybridAuth};
use crate::introspection::{Introspection, IntrospectionHandle, OptionalIntrospection};

/// A layer that says who calls: [`BearerAuth`], [`Introspection`], [`HybridAuth`], or one of their optional sisters.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say who calls",
    label = "is no layer that authenticates",
    note = "hand over a `BearerAuth`, an `Introspection` or a `HybridAuth`, or what their `build_optional()` makes",
    note = "what `build()` returns is a `Result`: is a `?` missing?"
)]
pub trait Authenticates: sealed::Sealed {
    #[doc(hidden)]
    fn into_authentication(self) -> Authentication;
}

mod sealed {
    pub trait Sealed {}
}

/// One of them.
#[derive(Clone, Debug)]
pub enum Authentication {
    Bearer(BearerAuth),
    OptionalBearer(OptionalBearerAuth),
    Introspection(Introspection),
    OptionalIntrospection(OptionalIntrospection),
    Hybrid(HybridAuth),
    OptionalHybrid(OptionalHybridAuth),
}

macro_rules! authenticates {
    ($($variant:ident: $layer:ident),*) => {$(
        impl sealed::Sealed for $layer {}

        impl Authenticates for $layer {
            fn into_authentication(self) -> Authentication {
                Authentication::$variant(self)
            }
        }
    )*};
}

authenticates! {
    Bearer: BearerAuth,
    OptionalBearer: OptionalBearerAuth,
    Introspection: Introspection,
    OptionalIntrospection: OptionalIntrospection,
    Hybrid: HybridAuth,
    OptionalHybrid: OptionalHybridAuth
}

impl Authentication {
    /// Whether requests without credentials go on.
    pub(super) const fn is_optional(&self) -> bool {
        match self {
            Self::Bearer(_) | Self::Introspection(_) | Self::Hybrid(_) => false,
            Self::OptionalBearer(_) | Self::OptionalIntrospection(_) | Self::OptionalHybrid(_) => {
                true
            }
        }
    }

    pub(super) const fn bearer(&self) -> Option<&BearerHandle> {
        match self {
            Self::Bearer(bearer) => Some(bearer.handle()),
            Self::OptionalBearer(bearer) => Some(bearer.handle()),
            Self::Hybrid(hybrid) => Some(hybrid.bearer()),
            Self::OptionalHybrid(hybrid) => Some(hybrid.bearer()),
            Self::Introspection(_) | Self::OptionalIntrospection(_) => None,
        }
    }

    pub(super) const fn introspection(&self) -> Option<&IntrospectionHandle> {
        match self {
            Self::Introspection(introspection) => Some(introspection.handle()),
            Self::OptionalIntrospection(introspection) => Some(introspection.handle()),
            Self::Hybrid(hybrid) => Some(hybrid.introspection()),
            Self::OptionalHybrid(hybrid) => Some(hybrid.introspection()),
            Self::Bearer(_) | Self::OptionalBearer(_) => None,
        }
    }

    pub(super) fn decide(&self, head: Head<'_>) -> Decided<BoxedWait> {
        match self {
            Self::Bearer(gate) => Decided::by(gate, head),
            Self::OptionalBearer(gate) => Decided::by(gate, head),
            Self::Introspection(gate) => Decided::by(gate, head),
            Self::OptionalIntrospection(gate) => Decided::by(gate, head),
            Self::Hybrid(gate) => Decided::by(gate, head),
            Self::OptionalHybrid(gate) => Decided::by(gate, head),
        }
    }
}
