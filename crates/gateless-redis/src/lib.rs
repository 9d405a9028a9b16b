//! What a fleet of services that use gateless shares, in Redis or Valkey.
//!
//! | type | what it is | what a server may do to it |
//! |---|---|---|
//! | [`RedisServer`] | where the server is, and how to get in | |
//! | [`RedisLog`] | the history of a denylist: a revocation reaches every instance within milliseconds | restart, fail over; it may not evict |
//! | [`RedisStore`] | small values that instances share for a while | anything: a store may forget |
//! | [`RedisQuotas`] | what callers took, counted together | restart, fail over; it may not evict |
//!
//! It works with Redis 6.2 and newer and with every Valkey: a single server, Sentinel, or a Cluster.
//!
//! ```no_run
//! use gateless_redis::{RedisLog, RedisQuotas, RedisServer, RedisStore};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = RedisServer::builder("rediss://redis.example.com").user("gateless").password("…").build()?;
//! let log = RedisLog::new(server.clone())?;
//! let store = RedisStore::new(server.clone());
//! let quotas = RedisQuotas::new(server);
//! # let _ = (log, store, quotas);
//! # Ok(())
//! # }
//! ```
//!
//! # Settings
//!
//! | setting | of | default | |
//! |---|---|---|---|
//! | [`user`](RedisServerBuilder::user), [`password`](RedisServerBuilder::password) | server | of the URL, or none | never printed |
//! | [`ca_pem`](RedisServerBuilder::ca_pem) | server | authorities of the system | TLS by rustls with aws-lc-rs, whatever provider the process has |
//! | [`client_certificate_pem`](RedisServerBuilder::client_certificate_pem) | server | none | |
//! | [`connect_deadline`](RedisServerBuilder::connect_deadline) | server | 2 s | finding the master, connecting, logging in |
//! | [`response_deadline`](RedisServerBuilder::response_deadline) | server | 2 s | one answer; an append may take both deadlines together |
//! | [`prefix`](RedisLogBuilder::prefix) | log, store, quotas | `gateless` | fleets that share a server have one each |
//! | [`keep_changes`](RedisLogBuilder::keep_changes) | log | 100,000 changes | for followers that were away |
//! | [`settle`](RedisLogBuilder::settle) | log | 3 s | how old a log is before it is loaded |
//! | [`min_replicas`](RedisLogBuilder::min_replicas) | log | 0 | replicas that confirm each append |
//!
//! # Keys
//!
//! All of them have one hash tag, so that they are on one node of a cluster. Ids are digests; no name is in clear.
//!
//! | key | type | holds |
//! |---|---|---|
//! | `{gateless}:revoked` | hash | `epoch`, when it was `born`, the number and nonce of the last change, and how many records each bucket has |
//! | `{gateless}:revoked:changes` | stream | the last changes, `<number>-0`: the change, its nonce, and the nonce before it |
//! | `{gateless}:revoked:<hour>` | hash | records that end in the hour before that one since 1970, by id, or in the day before it if that is more than two days ahead; expires twenty minutes later |
//! | `{gateless}:revoked:ever` | hash | records without an end, or with one behind the year 2100 |
//! | `{gateless}:value:<32 bytes>` | string | a value of the store; expires at its end |
//! | `{gateless}:quota:<32 bytes>` | string | a caller: for each limit, up to when is paid for what was taken, in microseconds since 1970, sixteen digits each; expires then |
//!
//! One script changes the hashes and the stream together, and one position names epoch, number and nonce. So a follower
//! knows whether what it hears goes on where it was.
//!
//! # Rights
//!
//! This line is all that a user needs:
//!
//! ```text
//! ACL SETUSER gateless on >PASSWORD ~{gateless}:* resetchannels -@all
//!     +evalsha +eval +hgetall +hget +hset +hdel +hlen +hmget +hscan
//!     +xadd +xread +xrevrange +del +pexpireat +time +role +info +wait +select
//!     +get +set
//! ```
//!
//! A Cluster needs `+cluster|keyslot +cluster|slots` as well (`+cluster` with Redis 6.2), and the user of a Sentinel
//! `+sentinel|get-master-addr-by-name`. `wait` is for `min_replicas`, `select` for a database other than 0, `get` and
//! `set` for the store and the quotas. Without `info` nobody notices a server that evicts.
//!
//! # What happens to the log
//!
//! | the server | a follower is told | and |
//! |---|---|---|
//! | is away, hangs, or closes connections | an error, within the deadline | connects anew with the next call |
//! | restarts with all its data, or fails over to a replica that has all of it | the changes | goes on |
//! | comes back empty, was flushed, or evicted the hash about the log | [`Lost`] | the instances put back what they have |
//! | comes back with older data, or fails over to a replica that was behind | [`Lost`], also when there were new changes since | the same |
//! | dropped a bucket, or ended a script half-way | [`Lost`] once somebody has noticed: an append, or a load, which is an error then | the log has a new epoch |
//! | dropped the stream, or trimmed it beyond where the follower was | [`Gap`] | loads everything |
//! | is a replica, or became one | an error | asks the Sentinel or the Cluster again |
//!
//! A server that is to keep the list over a restart needs an append-only file (`appendonly yes`). With `appendfsync
//! everysec`, a crash of the machine loses up to a second; the instances notice and put it back. A change that nobody has
//! heard of yet is lost with it: `min_replicas` makes that unlikely. A server must not evict (`maxmemory-policy
//! noeviction`); one that may is refused.
//!
//! A master that is cut off from its Sentinels goes on confirming to those who are cut off with it. `min-replicas-to-write
//! 1` in the server bounds what can be written there.
//!
//! A server that came back with older data, and then took more new changes than `keep_changes` before a follower asks
//! again, is a [`Gap`] for that follower and not [`Lost`]: the proof was trimmed.
//!
//! # What happens to the quotas
//!
//! | the server | a caller |
//! |---|---|
//! | is away, hangs, has no memory left, or became a replica | gets no decision: an error, within the deadline. Whether units were taken is unknown when no answer came |
//! | restarts with all its data | has what they had before, however long the quota |
//! | comes back empty, was flushed, or lost the key | starts anew, with a whole burst |
//! | comes back with older data, or fails over to a replica that was behind | has back what they took since then |
//! | has a clock that was set back, or fails over to one that is behind | waits for at most as long as a burst is worth |
//! | has a clock that was set forward | has back what that time is worth |
//! | has a value that makes no sense | waits as if they had just had a whole burst |
//!
//! All of it is by the clock of the server; those of the instances do not matter. A quota of a month needs a server that
//! keeps its data over a restart (`appendonly yes`). A server must not evict: whoever can fill its memory would have their
//! own quota back. With `maxmemory-policy noeviction` a full server says so, and what an outage means is decided by who
//! asks.
//!
//! All quotas of a prefix are on one node of a Cluster.
//!
//! [`Lost`]: gateless_core::LogTail::Lost
//! [`Gap`]: gateless_core::LogTail::Gap
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;
mod keys;
mod log;
mod quota;
mod server;
mod store;

pub use log::{RedisLog, RedisLogBuilder};
pub use quota::RedisQuotas;
pub use server::{RedisServer, RedisServerBuilder};
pub use store::RedisStore;
