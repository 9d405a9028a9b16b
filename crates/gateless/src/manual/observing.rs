//! # What can be observed
//!
//! Names are stable and labels have a closed set of values: no token, no claim, nothing that a caller chose. A key id in
//! an event is one that an operator refused.
//!
//! ## Counters and gauges
//!
//! With the feature `metrics`, through the [`metrics`](https://docs.rs/metrics) facade. Install the recorder *before*
//! layers are built: what is counted with each request is registered then.
//!
//! | name | kind | labels | counts |
//! |---|---|---|---|
//! | `gateless_refusals_total` | counter | `stage`, `code`, `reason` | requests that a stage refused |
//! | `gateless_tokens_total` | counter | `result`: `cached`, `known_bad`, `verified`, `refused` | tokens that were decided on, by how |
//! | `gateless_token_cache_entries` | gauge | `pool`: `good`, `bad` | tokens that are remembered |
//! | `gateless_key_fetches_total` | counter | `issuer`, `result`: `new`, `unchanged`, `failed` | fetches of keys |
//! | `gateless_keys` | gauge | `issuer` | keys that are held |
//! | `gateless_keys_fetched_timestamp_seconds` | gauge | `issuer` | when they were fetched last, since 1970 |
//! | `gateless_stale_keys_used_total` | counter | `issuer` | decisions with keys past their lifetime |
//! | `gateless_introspected_tokens_total` | counter | `issuer`, `result`: `cached`, `known_bad`, `active`, `refused`, `stale`, `unanswered` | opaque tokens that were decided on, by how |
//! | `gateless_introspections_total` | counter | `issuer`, `result`: `active`, `inactive`, `invalid`, `timed_out`, `unreachable`, `status`, `unusable`, `unauthorized`, `throttled`, `bad_request`, `keys` | calls of the endpoint, by how they ended |
//! | `gateless_introspections_under_way` | gauge | `issuer` | calls of the endpoint at the moment |
//! | `gateless_introspection_cache_entries` | gauge | `issuer`, `pool`: `good`, `bad` | answers that are remembered |
//! | `gateless_shared_answers_total` | counter | `issuer`, `result`: `found`, `missing`, `unused`, `unavailable`, `slow`, `unreadable` | answers looked up where a fleet shares them, and those that could not be put there |
//! | `gateless_failure_limit_total` | counter | `result`: `counted`, `repeated`, `genuine`, `refused`, `known` | refused credentials that count, that count already, and that do not because their issuer made them; then requests from where too many were refused: those that got 429, and those whose token is known to be good |
//! | `gateless_failure_limit_prefixes` | gauge | – | places from where credentials were refused, when one last counted |
//! | `gateless_denylist_checks_total` | counter | `result`: `clear`, `stale`, `open`, `outlives`, `unknown` | callers that were looked for in the denylist and not found: in one that is up to date, in one that is not (by `OnOutage`, or on a route that goes on whatever happens), those whose token lives too long for it, and those that got 503 |
//! | `gateless_denylist_revoked_used_total` | counter | `kind`: `token`, `session`, `key`, `subject`, `client`, `issuer`, `everything` | requests with something that was revoked |
//! | `gateless_denylist_changes_total` | counter | `change`: `revoke`, `unrevoke`, `failed`; `kind` | changes that were asked for at this instance |
//! | `gateless_denylist_syncs_total` | counter | `result`: `loaded`, `gap`, `lost`, `put_back`, `failed` | what happened with the log |
//! | `gateless_denylist_records` | gauge | – | records that are held |
//! | `gateless_denylist_capacity` | gauge | – | records that can be held |
//! | `gateless_denylist_age_seconds` | gauge | – | how long ago the list was known to be complete, once a second; infinite (`+Inf`) until it was loaded for the first time |
//! | `gateless_limit_requests_total` | counter | `limit`, `result`: `admitted`, `refused`, `shadowed`, `unlimited`, `let_through`, `unavailable` | requests that a `RateLimit` decided on; `limit` is its name. `shadowed` ones would have been refused; those that were `let_through` or `unavailable` came while the store of a fleet was away |
//! | `gateless_limit_store_calls_total` | counter | `result`: `granted`, `refused`, `failed`, `timed_out` | calls of the store in which a fleet counts its limits, by how they ended |
//! | `gateless_limit_without_store_total` | counter | `policy`: `closed`, `share`, `open` | requests that were decided on without that store, by what `LimitOutage` says |
//! | `gateless_audit_requests_total` | counter | `outcome`, `reason`, `route` | requests that were recorded or counted; `route` is one that the router matched, a gRPC method that is there, or `none` |
//! | `gateless_audit_missed_total` | counter | `result`: `lost`, `unserved` | requests that have no record, and requests that were not served for that; among the `lost` also records that could not be written in the time that was left at the end |
//! | `gateless_audit_write_failures_total` | counter | – | attempts to write that failed |
//! | `gateless_audit_waiting` | gauge | – | records that are not written yet, with those of requests under way |
//! | `gateless_audit_sink_lost_total` | counter | `sink` | records that a sink has lost which are in the chain |
//! | `gateless_audit_signals_total` | counter | `signal`: `validation_failures`, `revoked_token`, `many_places`, `unusual_rate` | what operators have to hear about |
//! | `gateless_reloads_total` | counter | `result`: `applied`, `refused` | new configurations |
//!
//! `code` and `reason` are those of [`Rejection`](crate::Rejection), `issuer` is one of those configured, `stage` the
//! [`NAME`](crate::gate::Gate::NAME) of a gate.
//!
//! Worth an alarm: `gateless_key_fetches_total{result="failed"}` that rises, `gateless_stale_keys_used_total` that rises
//! at all, `time() - gateless_keys_fetched_timestamp_seconds` beyond the lifetime, and
//! `gateless_introspections_total{result="unauthorized"}` that rises: this service is not known to its authorization
//! server any more. `gateless_introspected_tokens_total` with `stale` or `unanswered` is an outage that callers notice, or
//! are about to. `gateless_denylist_age_seconds` beyond a few seconds: what is revoked does not arrive.
//! `gateless_denylist_syncs_total{result="lost"}`: the log has lost its data. `gateless_denylist_revoked_used_total` that rises:
//! somebody uses what was taken from them. `gateless_limit_requests_total` with `let_through` or `unavailable`: the store of the
//! fleet is away, and limits do not hold as they should.
//! `gateless_failure_limit_total{result="refused"}` that rises: somebody guesses. `gateless_audit_missed_total` that rises:
//! requests without a record, or not served for want of one. And `gateless_refusals_total` with the code
//! `pipeline_misordered` or `route_undeclared`, which are faults of the deployment. The chapter `operating` has thresholds
//! for these, and what to do then.
//!
//! ## Events and spans
//!
//! Through [`tracing`](https://docs.rs/tracing), with these as names:
//!
//! | name | level | fields | says |
//! |---|---|---|---|
//! | `gateless.refused` | debug | `stage`, `code`, `reason` | a request was refused |
//! | `gateless.misordered` | error | `stage` | a stage did not find what an earlier one leaves behind, such as the caller; once for a process, and once for all extractors, with the stage `extractor` |
//! | `gateless.undeclared` | error | `route` | the router has a route that is not in the table; once for each |
//! | `gateless.unrouted` | error | – | a table is mounted where no route is known; once for a table |
//! | `gateless.keys.fetch` | info, a span | `issuer` | a fetch, from its beginning to its end |
//! | `gateless.keys.fetched` | debug | `issuer`, `is_new`, `keys` | keys came, or were unchanged |
//! | `gateless.keys.skipped` | debug | `issuer`, `index`, `reason` | a key of a set cannot be used |
//! | `gateless.keys.exposed` | error | `issuer`, `index` | the issuer publishes a shared secret or the private half of a key: whoever reads its keys can sign |
//! | `gateless.keys.failed` | warn | `issuer`, `error`, `held` | a fetch failed; `held` is how the keys stand |
//! | `gateless.keys.discarded` | debug | `issuer` | keys came too late, after a purge |
//! | `gateless.keys.purged` | warn | `issuer` | keys were thrown away by hand |
//! | `gateless.keys.refused` | warn | `issuer`, `key_id` | a key was refused by hand |
//! | `gateless.introspection.call` | info, a span | `issuer` | a call of the endpoint, with what it waits for |
//! | `gateless.introspection.failed` | warn | `issuer`, `error`, `unlogged` | a call failed; at most once a second, `unlogged` counts those in between |
//! | `gateless.introspection.unauthorized` | error | `issuer`, `error`, `unlogged` | the endpoint does not accept this service |
//! | `gateless.introspection.nonsense` | warn | `issuer`, `fault`, `unlogged` | an answer breaks RFC 7662 |
//! | `gateless.introspection.paused` | warn | `issuer`, `error` | the endpoint is left alone, but for one call a second |
//! | `gateless.introspection.recovered` | info | `issuer` | it answers again |
//! | `gateless.introspection.secret` | warn | `error` | a secret could not be read again; the old one goes on |
//! | `gateless.shared.failed` | debug | `error` | a shared store failed |
//! | `gateless.limit.no_peer` | error | `stage` | nobody says where requests come from; once for a process |
//! | `gateless.failure_limit.inside` | error | – | a `FailureLimit` stands inside of the authentication; once for a process |
//! | `gateless.failure_limit.reached` | warn | `unlogged` | too many credentials were refused from one place; at most once a second, `unlogged` counts the requests in between. It does not say from where: an address is personal data |
//! | `gateless.denylist.loaded` | info | `records` | the list was loaded |
//! | `gateless.denylist.failed` | warn | `reason` | its log cannot be followed; once for an outage |
//! | `gateless.denylist.gap` | warn | – | changes were missed: the list is loaded anew |
//! | `gateless.denylist.lost` | error | – | the log has lost something: what is known here is put back |
//! | `gateless.denylist.put_back` | warn | `records` | it was put back |
//! | `gateless.denylist.queued` | warn | `problem` | a `RevocationOutbox` could not reach the log behind it |
//! | `gateless.denylist.nearly_full` | error | `records`, `capacity` | four fifths of the room are taken |
//! | `gateless.denylist.full` | error | `records`, `capacity`, `freed` | there is no room, and what `WhenFull` says is done |
//! | `gateless.denylist.revoked` | info | `id` | something was revoked here; `id` is its kind and a part of a digest |
//! | `gateless.denylist.unrevoked` | warn | `id` | something is not revoked any more |
//! | `gateless.denylist.not_changed` | error | `id`, `error` | neither could be done |
//! | `gateless.denylist.asked` | warn | `id`, `takes_back`, `by_issuer`, `by`, `by_client` | an operator asked for that; `by` and `by_client` are digests like `id` |
//! | `gateless.denylist.signed_out` | info | `issuer`, `id` | an OpenID provider said that somebody has signed out |
//! | `gateless.denylist.logout_refused` | debug | `code` | a logout token was refused, and why |
//! | `gateless.denylist.revoked_used` | info | `issuer`, `kind`, `token` | somebody used what was revoked |
//! | `gateless.limit.store_failed` | warn | `error` | the store of limits failed five times in a row and is left alone, but for one call a second; once for an outage |
//! | `gateless.limit.store_back` | info | – | it answers again |
//! | `gateless.limit.crowded` | warn | `unlogged` | a limit has more callers than places for them, and strangers begin with less; at most once a second |
//! | `gateless.limit.shadowed` | debug | `limit`, `reason` | a limit in shadow would have refused a request |
//! | `gateless.audit.failed` | error | `sink`, `error` | records cannot be written; once for an outage |
//! | `gateless.audit.recovered` | info | `sink` | they are written again |
//! | `gateless.audit.given_up` | error | `sink`, `records` | records are lost, as the time to write them at the end was over |
//! | `gateless.audit.died` | error | – | the thread that writes has panicked: nothing is recorded any more |
//! | `gateless.audit.file_gone` | warn | `path` | the file was deleted or renamed by somebody else; a new one begins |
//! | `gateless.audit.file_changed` | warn | `path` | somebody else has written to the file; a new one begins |
//! | `gateless.audit.not_rotated` | warn | `path`, `error` | a new file cannot be begun; the old one grows |
//! | `gateless.audit.not_deleted` | warn | `path`, `error` | old files cannot be deleted |
//! | `gateless.audit.aside_failed` | warn | `sink`, `error` | a further sink cannot be written to; once for an outage |
//! | `gateless.audit.aside_back` | info | `sink` | it works again |
//! | `gateless.audit.otlp_refused` | warn | `status` | a collector does not take records; they are dropped |
//! | `gateless.audit.record` | info, warn | `kind`, `seq`, `outcome`, `reason`, `route`, `status`, `record` | a record, where a `TracingSink` is |
//! | `gateless.audit.listener_panicked` | error | – | a listener of signals has panicked |
//! | `gateless.audit.signals_withheld` | warn | | more signals of one kind than anybody reads: the rest of the minute is left out |
//! | `gateless.reloaded` | info | `epoch` | a new configuration decides |
//! | `gateless.not_reloaded` | error | `epoch`, `error` | it could not be used; the old one goes on |
//!
//! The request's own span is yours: put a tracing layer outside of all of this.
