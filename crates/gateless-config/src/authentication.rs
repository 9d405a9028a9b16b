//! Who calls: by the token itself, by asking about it, or by either.

use std::sync::Arc;

use gateless::ConfigError;
use gateless::bearer::{BearerAuth, BearerHandle, OptionalBearerAuth};
use gateless::denylist::DenylistBuilder;
use gateless::hybrid::{HybridAuth, OptionalHybridAuth};
use gateless::introspection::{Introspection, IntrospectionHandle, OptionalIntrospection};
use gateless::limit::KnownTokens;
use gateless::stack::{Authenticates, Stack, StackBuilder};

use crate::introspection::{self, Introspected};
use crate::redis::Redis;
use crate::report::Report;
use crate::token::{self, Presence, Token};

/// The stage, and what others want of it.
pub(crate) struct Authentication {
    pub(crate) builder: StackBuilder,
    /// Whose good tokens need not wait.
    pub(crate) known: Arc<dyn KnownTokens>,
    /// What forgets callers who are revoked.
    pub(crate) caches: Vec<Cache>,
}

/// Something that remembers tokens.
pub(crate) enum Cache {
    Bearer(BearerHandle),
    Introspection(IntrospectionHandle),
}

impl Cache {
    pub(crate) fn told_by(self, denylist: DenylistBuilder) -> DenylistBuilder {
        match self {
            Self::Bearer(handle) => denylist.forgets(handle),
            Self::Introspection(handle) => denylist.forgets(handle),
        }
    }
}

impl Authentication {
    pub(crate) fn build(
        token: &Token,
        introspection: Option<&Introspected>,
        redis: Option<&Redis>,
        report: &mut Report,
    ) -> Option<Self> {
        let asked = introspection.map(|asked| asked.builder(token, redis, report));
        let local = token.builder();
        match token.presence {
            Presence::Required => {
                let local = local.map(|builder| report.adopt(builder.build(), token::setting));
                let asked =
                    asked.map(|builder| report.adopt(builder.build(), introspection::setting));
                let handles = Handles(BearerAuth::handle, Introspection::handle);
                Self::join(local, asked, HybridAuth::new, handles, report)
            }
            Presence::Optional => {
                let local =
                    local.map(|builder| report.adopt(builder.build_optional(), token::setting));
                let asked = asked
                    .map(|builder| report.adopt(builder.build_optional(), introspection::setting));
                let handles = Handles(OptionalBearerAuth::handle, OptionalIntrospection::handle);
                Self::join(local, asked, OptionalHybridAuth::new, handles, report)
            }
        }
    }

    /// Whichever of the two is wanted, or both as one. `None` where what is wanted could not be built.
    fn join<B, I, H>(
        local: Option<Option<B>>,
        asked: Option<Option<I>>,
        both: fn(&B, &I) -> Result<H, ConfigError>,
        Handles(bearer, introspection): Handles<B, I>,
        report: &mut Report,
    ) -> Option<Self>
    where
        B: Authenticates,
        I: Authenticates,
        H: Authenticates + KnownTokens + Clone + 'static,
    {
        Some(match (local, asked) {
            (Some(local), Some(asked)) => {
                let (local, asked) = local.zip(asked)?;
                let both = report.adopt(both(&local, &asked), token::setting)?;
                let known = Arc::new(both.clone());
                let (bearer, introspection) = (bearer(&local), introspection(&asked));
                Self::of(
                    Stack::builder(both),
                    known,
                    Some(bearer),
                    Some(introspection),
                )
            }
            (Some(local), None) => {
                let local = local?;
                let handle = bearer(&local).clone();
                let known = Arc::new(handle.clone());
                Self::of(Stack::builder(local), known, Some(&handle), None)
            }
            (None, asked) => {
                let asked = asked??;
                let handle = introspection(&asked).clone();
                let known = Arc::new(handle.clone());
                Self::of(Stack::builder(asked), known, None, Some(&handle))
            }
        })
    }

    fn of(
        builder: StackBuilder,
        known: Arc<dyn KnownTokens>,
        bearer: Option<&BearerHandle>,
        introspection: Option<&IntrospectionHandle>,
    ) -> Self {
        let bearer = bearer.cloned().map(Cache::Bearer);
        let introspection = introspection.cloned().map(Cache::Introspection);
        Self {
            builder,
            known,
            caches: bearer.into_iter().chain(introspection).collect(),
        }
    }
}

/// How the handles of two layers are had.
struct Handles<B, I>(
    for<'a> fn(&'a B) -> &'a BearerHandle,
    for<'a> fn(&'a I) -> &'a IntrospectionHandle,
);
