//! Tools for testing services behind gateless: a clock that you move, and services that are strict about the tower
//! contract.

mod clock;
mod service;

pub use clock::FakeClock;
pub use service::{Recorder, Unforgiving};
