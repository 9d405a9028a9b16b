//! # Who did what, and can that be trusted later?
//!
//! ```text
//! request ─► AuditLog ─► FailureLimit ─► BearerAuth ─► Denylist ─► RateLimit ─► ScopeGuard ─► handler
//!            │ lays out a Trail, on which each of these leaves what it found out
//!            └─► queue ─► one thread: folds, chains, signs ─► file ─► further places
//! ```
//!
//! [`AuditLog`](crate::audit::AuditLog) is the outermost layer. It writes one record for each request, whatever becomes of it:
//! allowed, refused by any stage, panicked, broken off by the client, failed in the middle of its body.
//!
//! ```
//! use std::time::Duration;
//!
//! use gateless::audit::{AuditLog, Backpressure, Durability, FileSink, PseudonymKey, SealKey};
//!
//! fn audit(pod: &str, seal: &str, secret: &[u8]) -> Result<AuditLog, Box<dyn std::error::Error>> {
//!     let sink = FileSink::new("/var/log/orders/audit.jsonl")
//!         .durability(Durability::Written)
//!         .keep_for(Duration::from_secs(400 * 86_400));
//!     let audit = AuditLog::builder(pod, sink, Backpressure::FailRequest)
//!         .seal(SealKey::from_pem(seal)?) // a secret of the deployment
//!         .export_checkpoints(FileSink::new("/mnt/elsewhere/checkpoints.jsonl"))
//!         .pseudonyms(PseudonymKey::new("2026", secret)?)
//!         .on_signal(|signal| eprintln!("{:?}", signal.signal))
//!         .build()?;
//!     Ok(audit) // Router::layer(audit), last; and audit.handle().close(…) when the server has stopped
//! }
//! # let _ = audit;
//! ```
//!
//! ## What a record says
//!
//! One line of JSON in printable ASCII. Its fields are listed in the crate `gateless-audit`, module `format`, with a JSON Schema. In short: when
//! (wall clock, time since the start, a number without gaps), where (instance, run), method, *matched* route or gRPC method,
//! status, how long it took, what was decided, by which stage and exactly why, issuer, subject, client, token, key, how the token was
//! known, the scopes that were asked for and granted, limits, where from, which kind of client, and the trace (W3C).
//!
//! It holds no token, no claim but those, no path, no query, no header field as it came. gRPC methods are named once a service has answered
//! for them or a table declares them: before that, a path is whatever a client wrote.
//!
//! Subjects are pseudonyms by default, made with a [`PseudonymKey`](crate::audit::PseudonymKey);
//! [`subjects`](crate::audit::AuditLogBuilder::subjects), [`clients`](crate::audit::AuditLogBuilder::clients) and
//! [`peers`](crate::audit::AuditLogBuilder::peers) say it otherwise, field by field. Tokens always are. Who has the key can ask "was this
//! token ever used?"; once the key is destroyed, the names of that time mean nobody any more.
//!
//! ## What happens when it cannot be written
//!
//! [`Backpressure`](crate::audit::Backpressure) is a required choice. A seat is taken *before* anything of a request is done, so that
//! a service that must not act without a record finds out in time.
//!
//! | | no room, or the sink fails | the response waits for its record ([`Durability`](crate::audit::Durability)), in vain |
//! |---|---|---|
//! | `FailRequest` | 503 / `UNAVAILABLE` | 503 after ten seconds at most, without `Retry-After` |
//! | `Block(d)` | waits for `d`, then 503 | 503 after `d` |
//! | `DropAndCount` | served, and counted | leaves, at once while the sink is known to fail |
//!
//! What was lost or not served becomes a `gap` record as soon as one can be written. With `Written` and `Synced` a request may have been carried
//! out before its response is withheld: the log then has its record and says so (`end` with `withheld`), and a client that tries again should
//! send an idempotency key. With `Queued` a `kill -9` takes some milliseconds of records with it. A service that returns an error instead of a
//! response does not wait for its record.
//!
//! A stream is recorded at its end with `Queued`, and before its first byte otherwise, with another record (`end`) for how it ended. A connection that is
//! upgraded (WebSocket) is over for the log when it is.
//!
//! ## Floods
//!
//! Refusals that are the same in stage, reason, method, route, status, place and caller are written once and then counted, in one `repeated`
//! record every ten seconds. What is allowed is always written. The number of kinds is bounded; beyond it they are told apart less finely, and
//! `is_mixed` says so. Refusals that are only counted do not wait for their count.
//!
//! ## What operators hear about
//!
//! [`Detection`](crate::audit::Detection): many bad credentials from one place or from everywhere, a revoked token that is used, one token from many
//! places, one token far more often than before. Each becomes a `signal` record, a counter and a call of
//! [`on_signal`](crate::audit::AuditLogBuilder::on_signal). Nobody is refused for it.
//!
//! ## Whether it can be trusted
//!
//! Each line holds the hash of the line before it, in a chain for each run of a process. Checkpoints sign the chain so far with Ed25519: after 1,000
//! records, after ten seconds, and once a minute when nothing happens.
//!
//! ```text
//! $ gateless-audit keygen seal.pem > seal.pub.pem
//! $ gateless-audit verify --key seal.pub.pem --checkpoints /mnt/elsewhere/checkpoints.jsonl --now /var/log/orders/audit.jsonl
//! $ gateless-audit query --token-id - --pseudonyms 2026=names.key /var/log/orders/audit.jsonl < token
//! $ gateless-audit stats /var/log/orders/audit.jsonl
//! $ gateless-audit tail -f /var/log/orders/audit.jsonl
//! ```
//!
//! `verify` names the first bad position: a byte changed, a record removed, moved, doubled or put in, a run or a file missing. What it cannot
//! know: whoever has the signing key can write another history, and whoever can write the file can cut what is behind the last checkpoint.
//! So keep the key where the records are not, and send checkpoints to a [second
//! place](crate::audit::AuditLogBuilder::export_checkpoints) that the service can append to and nobody on its machine can change. Then both show. Call
//! it auditable; it is not proof of what a compromised service did not write down.
//!
//! The file is for one process; two instances have two files, and the second one on the same path is refused. Every run begins a new file, and full ones
//! are renamed beside it ([`FileSink`](crate::audit::FileSink)). What retention deletes is a record itself.
//!
//! ## Further places
//!
//! [`also`](crate::audit::AuditLogBuilder::also) takes more sinks, each with a thread of its own, for which nobody waits:
//! standard output, `tracing`, a channel into your own code, OCSF (`gateless_audit::Mapped::ocsf`), an OpenTelemetry collector (feature
//! `audit_otlp`), or an [`AuditSink`](crate::audit::AuditSink) of your own.
