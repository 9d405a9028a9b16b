//! How many requests of one caller may be under way at once.

mod decide;
mod under_way;

use std::fmt;
use std::sync::Arc;

use gateless_core::{ConfigError, Renderer};

use self::under_way::UnderWay;
use super::key::{Keyer, LimitKey};
use super::table::Tagger;

/// A layer that lets each caller have so many requests under way at once. It stands behind the authentication.
///
/// A request is under way until its response has ended, streams included, or until nobody waits for it any more. One that is too many is
/// refused at once with `429` / `RESOURCE_EXHAUSTED`; none waits for its turn. Each instance counts for itself.
///
/// A connection that is upgraded (WebSocket, `CONNECT`) is no response any more: it is not counted once it is open.
///
/// ```
/// use gateless::limit::{ConcurrencyLimit, LimitKey};
///
/// let limit = ConcurrencyLimit::builder(LimitKey::caller(), 10).build()?;
/// # let _ = limit;
/// # Ok::<(), gateless::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct ConcurrencyLimit(Arc<Inner>);

struct Inner {
    key: Keyer,
    max: u32,
    tagger: Tagger,
    under_way: Arc<UnderWay>,
    is_shadow: bool,
    renderer: Renderer,
}

impl ConcurrencyLimit {
    /// Lets all requests with the same `key` be `max` at once.
    pub fn builder(key: LimitKey, max: u32) -> ConcurrencyLimitBuilder {
        ConcurrencyLimitBuilder {
            key,
            max,
            is_shadow: false,
            renderer: Renderer::default(),
        }
    }
}

gate_layer!(ConcurrencyLimit);

impl fmt::Debug for ConcurrencyLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyLimit")
            .field("key", &self.0.key)
            .field("max", &self.0.max)
            .field("is_shadow", &self.0.is_shadow)
            .finish_non_exhaustive()
    }
}

/// Settings of a [`ConcurrencyLimit`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ConcurrencyLimitBuilder {
    key: LimitKey,
    max: u32,
    is_shadow: bool,
    renderer: Renderer,
}

impl ConcurrencyLimitBuilder {
    /// Counts and tells, but refuses nobody: an event `gateless.limit.shadowed` for each that would have been.
    pub const fn shadow(mut self) -> Self {
        self.is_shadow = true;
        self
    }

    /// How refusals look. Problem details by default.
    pub fn renderer(mut self, renderer: Renderer) -> Self {
        self.renderer = renderer;
        self
    }

    /// Checks the settings and makes the layer.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when nobody could have a request at all, or the key has a peer that cannot be told.
    pub fn build(self) -> Result<ConcurrencyLimit, ConfigError> {
        let Self {
            key,
            max,
            is_shadow,
            renderer,
        } = self;
        let mut faults = ConfigError::collect();
        if max == 0 {
            faults.add("max", "is zero: nobody would get through");
        }
        let key = key.keyer(&mut faults);
        faults.into_result()?;
        Ok(ConcurrencyLimit(Arc::new(Inner {
            key,
            max,
            tagger: Tagger::default(),
            under_way: Arc::default(),
            is_shadow,
            renderer,
        })))
    }
}
