//! Takes more while a request is served.

use std::fmt;
use std::sync::Arc;

use gateless_core::Rejection;
use http::Extensions;

use super::decide::{Bucket, Limiter};

/// Takes units for what happens after a request was let through: each message of a stream, each row of an export.
///
/// A request is counted once, however long it lasts. A [`RateLimit`](super::RateLimit) that is
/// [`metered`](super::RateLimitBuilder::metered) leaves this in the extensions of the request, so that the handler can take
/// more from the quota of the same caller, and end a stream when it is used up:
///
/// ```
/// use gateless::Rejection;
/// use gateless::limit::RateMeter;
///
/// /// One unit for each message of a stream.
/// async fn each_message(meter: &RateMeter) -> Result<(), tonic::Status> {
///     meter.take(1).await.map_err(|rejection| {
///         tonic::Status::new(i32::from(rejection.grpc_code()).into(), rejection.to_string())
///     })
/// }
/// # let _ = each_message;
/// ```
#[derive(Clone)]
pub struct RateMeter {
    limiter: Arc<Limiter>,
    bucket: Bucket,
}

impl RateMeter {
    pub(super) const fn new(limiter: Arc<Limiter>, bucket: Bucket) -> Self {
        Self { limiter, bucket }
    }

    /// The meter of a request; `None` where nothing is counted for it, or the layer leaves none.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// Takes `units`, or none. In shadow it always may. More than the burst of a quota counts as a whole burst under it: take
    /// what comes in parts that are smaller.
    ///
    /// Where several layers left a meter, all of them are asked, the innermost first; what one of them gave is not given back when another
    /// refuses.
    ///
    /// # Errors
    ///
    /// [`Rejection::RateExceeded`] when there are not enough, with the time when there are; whatever was chosen where the
    /// store of a fleet is away.
    pub async fn take(&self, units: u32) -> Result<(), Rejection> {
        let mut next = Some(self);
        while let Some(meter) = next {
            meter.limiter.take_more(&meter.bucket, units).await?;
            next = meter.bucket.outer.as_deref();
        }
        Ok(())
    }
}

impl fmt::Debug for RateMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateMeter")
            .field("limiter", &self.limiter)
            .finish_non_exhaustive()
    }
}
