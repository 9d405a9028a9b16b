//! The acceptance tests of whole pipelines: every layer under every kind of service, and what it is attacked with.
//!
//! A test carries the id of its row of the checklist in its name; `CHECKLIST.md` lists them all.
// clippy.toml allows these in tests, but takes the helper functions of a test file for something else.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod audit;
mod authorization;
mod binding;
mod checklist;
mod contract;
mod denylist;
mod interop;
mod introspection;
mod key_control;
mod key_faults;
mod key_life;
mod keys;
mod known_tokens;
mod limit;
mod logs;
mod observing;
mod presentation;
mod refusal;
mod reload;
mod served;
mod settings;
mod sockets;
mod sources;
mod stack;
mod step_up;
mod support;
mod tables;
mod tokens;
