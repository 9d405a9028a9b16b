//! Refuses requests of callers who had too much.

mod failures;
mod peer;
mod shared;
mod table;
