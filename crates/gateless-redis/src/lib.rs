//! What a fleet of services that use gateless shares, in Redis or Valkey.

mod error;
mod keys;
mod log;
mod server;
mod store;

pub use log::{RedisLog, RedisLogBuilder};
pub use server::{RedisServer, RedisServerBuilder};
pub use store::RedisStore;
