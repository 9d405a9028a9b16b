//! What happens to requests that cannot be recorded.

use std::time::Duration;

/// What happens to requests while records cannot be written as fast as they come, or not at all. There is no default: it is the
/// choice between serving what nobody will know of, and not serving.
///
/// Whatever is chosen, the number of requests that were lost or not served becomes a record itself, as soon as one can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backpressure {
    /// A request waits for its turn *before* anything of it is done, but no longer than this; then it gets 503. A response that waits
    /// for its record ([`Durability`](gateless_audit::Durability)) waits no longer than this either.
    Block(Duration),
    /// A request gets 503 (gRPC `UNAVAILABLE`) before anything of it is done, as soon as there is no room for its record or the sink
    /// fails. Where a response waits for its record ([`Durability`](gateless_audit::Durability)) and that cannot be written, the
    /// request has been carried out already: its response is withheld, and the client gets 503 without `Retry-After`. So nobody gets an
    /// answer that has no record.
    FailRequest,
    /// The request is served, and its record is dropped and counted.
    DropAndCount,
}
