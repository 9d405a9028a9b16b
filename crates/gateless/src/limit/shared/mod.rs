//! Limits that a fleet counts together, through a store.
//!
//! A request asks the store at most once, and waits for at most the deadline. What is known without asking is answered on
//! the spot: that somebody who was refused has not waited yet, and, with leases, that units are in stock.

mod front;
mod lease;
mod metrics;
mod outage;
mod places;
mod settings;
#[cfg(test)]
mod tests;

pub(super) use self::front::{Front, Taking};
pub use self::settings::{LimitOutage, SharedLimits};
