//! The log and the store, against real servers.

#[path = "../common/mod.rs"]
mod common;
mod helpers;
mod log;
mod model;
mod servers;
mod trouble;
