//! Three instances of a service over one Redis: what one of them revokes, all refuse.
//!
//! ```text
//! request ─► BearerAuth ─► Denylist ─► handler          × 3, each with a list of its own in memory
//!                             │
//!                             └─ RedisLog ─► Redis      one, which none of the requests waits for
//! ```
//!
//! [`instance::app`] is one of them. `cargo run -p fleet` starts three, revokes a token at the first, and asks all of them
//! until the last one refuses it; then it takes Redis away, and gives it back. [`walk`] has the steps, and [`redis`] the
//! server.

pub mod instance;
pub mod redis;
pub mod walk;

#[cfg(test)]
mod tests;
