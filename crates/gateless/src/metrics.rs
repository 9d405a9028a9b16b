//! What is counted of every stage. Every label has a closed set of values: names of stages, codes of rejections.

use gateless_core::Rejection;

/// A stage refused a request. Without the feature `metrics` nothing is counted.
pub(crate) fn refused(stage: &'static str, rejection: &Rejection) {
    #[cfg(feature = "metrics")]
    metrics::counter!(
        "gateless_refusals_total",
        "stage" => stage,
        "code" => rejection.code(),
        "reason" => rejection.reason()
    )
    .increment(1);
    #[cfg(not(feature = "metrics"))]
    let _ = (stage, rejection);
}
