//! The log, the store and the quotas, against real servers.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails says where"
)]

#[path = "../common/mod.rs"]
mod common;
mod helpers;
mod log;
mod model;
mod quota;
mod servers;
mod trouble;
mod way;
