//! A whole [`Stack`](gateless::stack::Stack) from one file and the environment, with every fault of it named at once.
//!
//! ```
//! use gateless::scope::ScopeGuard;
//! use gateless::scopes;
//! use gateless_config::{Config, Settings};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let file = r#"
//!     [token]
//!     issuer = "https://idp.example.com"
//!     audience = "https://orders.example.com"
//!
//!     [keys]
//!     source = "discovery"
//!     outage = "stale 1h"
//!
//!     [denylist]
//!     store = "memory"
//!     outage = "closed"
//! "#;
//! let config = Config::read(
//!     Settings::new()
//!         .toml("gateless.toml", file) // or `.toml_file("/etc/orders/gateless.toml")`
//!         .environment([("GATELESS__LIMITS__REQUESTS", "20/s,100000/day")]) // or `std::env::vars_os()`
//!         .set("token.leeway", "10s", "LEEWAY"), // what the service calls it: faults name that
//! )?;
//! let stack = config.build(ScopeGuard::all(scopes!["orders:read"]))?;
//! assert!(stack.bearer().is_some() && stack.denylist().is_some());
//! // Router::new().route("/orders", get(list)).layer(stack)
//!
//! let wrong = Settings::new().toml("gateless.toml", file.replace("issuer", "isuer"));
//! let faults = Config::read(wrong.set("token.leeway", "soon", "LEEWAY")).unwrap_err();
//! assert_eq!(
//!     faults.to_string(),
//!     "unusable configuration: \
//!      token.issuer is missing: it takes a text; \
//!      LEEWAY is \"soon\", not a time such as \"30s\", \"10m\" or \"1h\"; \
//!      token.isuer is unknown: token.issuer is meant? (gateless.toml, line 3)"
//! );
//! # Ok(())
//! # }
//! ```
//!
//! # Sections
//!
//! One for each stage. `gateless.example.toml` beside this crate has every setting, with its default and a reason.
//!
//! | section | makes | without it |
//! |---|---|---|
//! | `[audit]` | [`AuditLog`](gateless::audit::AuditLog) | nothing is recorded |
//! | `[peer]` | [`Peer`](gateless::Peer), for records, failures and quotas | no proxy is believed |
//! | `[strip]` | [`StripIdentityHeaders`](gateless::strip::StripIdentityHeaders) | the usual fields are taken off |
//! | `[failures]` | [`FailureLimit`](gateless::limit::FailureLimit) | one place may guess as often as it likes |
//! | `[token]`, `[keys]`, `[issuers.NAME]` | [`BearerAuth`](gateless::bearer::BearerAuth) | a fault: `token.issuer` and `token.audience` have no default |
//! | `[introspection]` | [`Introspection`](gateless::introspection::Introspection); with `[keys]` [`HybridAuth`](gateless::hybrid::HybridAuth) | only JWTs are accepted |
//! | `[denylist]` | [`Denylist`](gateless::denylist::Denylist) | a token lives until it expires |
//! | `[limits]` | [`RateLimit`](gateless::limit::RateLimit) | callers have as much as they like |
//! | `[concurrency]` | [`ConcurrencyLimit`](gateless::limit::ConcurrencyLimit) | and as much at once |
//! | `[routes]` | [`ScopeTable`](gateless::scope::ScopeTable), for [`Config::build_with_routes`] | the program brings the guard |
//! | `[redis]` | what `[denylist]`, `[limits]` and `[introspection]` share (feature `redis`) | each instance is alone |
//!
//! What an outage means has no default here either: where something can be away, `outage` has to say what happens then.
//!
//! Secrets stand neither in a file nor in a variable of ours. `client_secret_file` names a file, which is read again when it
//! changes, and `client_secret_env` a variable.
//!
//! # Why not serde
//!
//! A deserializer stops at the first value that does not fit, does not know which line or variable it came from, and takes a
//! misspelled section for one that is not there. Here the file is only parsed by `toml`, and each setting is then asked for by
//! name: one that is no good is put down as a fault with where it stands, a stand-in takes its place, and the rest is read and
//! checked, by the layers themselves too. What nobody asked for is unknown. For the same reason no crate for layered
//! configuration is used: two maps, one over the other, are all that takes.
//!
//! # Features
//!
//! `redis` (on by default) brings [gateless-redis](https://docs.rs/gateless-redis). `aws_lc_rs` (on by default) and `rust_crypto`
//! say who verifies signatures.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod audit;
mod authentication;
mod concurrency;
mod config;
mod denylist;
mod failures;
mod introspection;
mod keys;
mod limits;
mod peer;
mod redis;
mod report;
mod routes;
mod section;
mod settings;
mod strip;
#[cfg(test)]
mod tests;
mod token;
mod value;

pub use gateless::{ConfigError, ConfigFault};

pub use self::config::Config;
pub use self::settings::Settings;
