//! The form of a record, field by field.
//!
//! A record is one line of JSON in printable ASCII: everything else is escaped. Fields that do not apply are left out. The file
//! `schema/record.schema.json` of this crate, which [`SCHEMA`] holds, says the same for machines (JSON Schema 2020-12).
//!
//! The hash of a line is the SHA-256 of a zero byte and the line without its line feed, in base64url; a checkpoint signs the root
//! of a Merkle tree over such hashes as in RFC 6962 section 2.1. What is signed (Ed25519, RFC 8032) is this text, with a line feed between the
//! lines and none at the end: `gateless audit checkpoint 1`, then `boot`, `time` in milliseconds since 1970, `first`, `end`,
//! `root`, `head`, `key`, `up_us`, `heartbeat_secs` (an empty line where it is absent), `instance`.
//!
//! # Every record
//!
//! | field | meaning |
//! |---|---|
//! | `v` | The version of the format. |
//! | `seq` | The number of the record in its chain. The first is 0, and none is left out. |
//! | `time` | When it happened, in UTC. |
//! | `up_us` | Microseconds that the process had been running. |
//! | `instance` | Which instance of the service it was. |
//! | `boot` | Which run of it. |
//! | `kind` | What happened: one of the following. |
//! | `prev` | The hash of the line before; of the first line, zero. |
//!
//! # `start`: a process began to write
//!
//! | field | meaning |
//! |---|---|
//! | `software` | The version of gateless. |
//! | `pseudonyms` | Which key names callers and tokens. |
//! | `seal` (can be absent) | Which key signs checkpoints. |
//! | `heartbeat_secs` (can be absent) | After how many seconds at most another checkpoint comes. |
//! | `previous` (can be absent) | What was written last in the same place by an earlier run. |
//!
//! # `request`: a request was decided on
//!
//! | field | meaning |
//! |---|---|
//! | `method` | The method, or OTHER. |
//! | `route` (can be absent) | The route that matched, as the router spells it. |
//! | `grpc_method` (can be absent) | The gRPC method. |
//! | `protocol` | How the client speaks. One of `http`, `grpc`, `grpc_web`. |
//! | `outcome` | What was decided. One of `allowed`, `denied`, `unavailable`, `failed`, `panicked`, `aborted`. |
//! | `status` (can be absent) | The HTTP status. |
//! | `grpc_status` (can be absent) | The gRPC status. |
//! | `latency_us` | Microseconds until the response began. |
//! | `stage` (can be absent) | The stage that refused the request. |
//! | `code` (can be absent) | The code of the refusal. |
//! | `reason` (can be absent) | Why exactly. What the caller was not told. |
//! | `issuer` (can be absent) | Who issued the token. |
//! | `subject` (can be absent) | The subject: a pseudonym, unless the service says otherwise. |
//! | `subject_kind` (can be absent) | user or client. |
//! | `actors` (can be absent) | Who acts on behalf of the subject, the current actor first. |
//! | `client` (can be absent) | The client that the token was issued to. |
//! | `token` (can be absent) | The pseudonym of the token. |
//! | `credential` (can be absent) | Tells refused credentials of one run apart. |
//! | `key` (can be absent) | The key that signed the token. |
//! | `token_found` (can be absent) | How it is known that the token is good. One of `cached`, `verified`, `introspected`. |
//! | `policy_epoch` (can be absent) | The number of the configuration that decided. |
//! | `scopes_required` (can be absent) | The scopes that were asked for. |
//! | `scopes_granted` (can be absent) | The scopes that the token grants. |
//! | `limits` (can be absent) | What rate limits said. |
//! | `flags` (can be absent) | What was unusual about the decision. Of `stale_keys`, `stale_introspection`, `stale_denylist`, `open_denylist`, `anonymous`. |
//! | `peer` (can be absent) | Where the request came from. |
//! | `agent` (can be absent) | What kind of client it says it is. |
//! | `trace` (can be absent) | The trace that it belongs to. |
//! | `end` (can be absent) | How the response ended. One of `complete`, `aborted`, `failed`, `withheld`, `upgraded`. |
//! | `sent_bytes` (can be absent) | Bytes of the body that were handed on. |
//! | `duration_us` (can be absent) | Microseconds that all of it took. |
//!
//! # `end`: a response has ended
//!
//! | field | meaning |
//! |---|---|
//! | `of` | The number of the request's record. |
//! | `end` | How the response ended. One of `complete`, `aborted`, `failed`, `withheld`, `upgraded`. |
//! | `grpc_status` (can be absent) | The gRPC status in the trailers. |
//! | `sent_bytes` | Bytes of the body that were handed on. |
//! | `duration_us` | Microseconds that all of it took. |
//!
//! # `repeated`: the same happened again
//!
//! | field | meaning |
//! |---|---|
//! | `of` | The number of the record of the first of them. |
//! | `count` | How many there were since. |
//! | `first` | When the first of these was. |
//! | `last` | When the last of these was. |
//! | `is_mixed` (can be absent) | Whether there were too many kinds of them to tell apart. |
//!
//! # `gap`: records are missing
//!
//! | field | meaning |
//! |---|---|
//! | `sink` (can be absent) | The sink that lost records which are in this chain; none where the chain itself lacks them. |
//! | `lost` | Requests that were served and have no record; of another sink, records. |
//! | `unserved` | Requests that were not served, as they could not be recorded: they got 503, or their client did not wait. |
//! | `since` | When that began. |
//!
//! # `signal`: an operator has to hear about it
//!
//! | field | meaning |
//! |---|---|
//! | `signal` | What it is. One of `validation_failures`, `revoked_token`, `many_places`, `unusual_rate`. |
//! | `count` | How often it happened. |
//! | `within_secs` | The time that was looked at. |
//! | `issuer` (can be absent) | Who issued the token. |
//! | `subject` (can be absent) | The subject. |
//! | `client` (can be absent) | The client. |
//! | `token` (can be absent) | The pseudonym of the token. |
//! | `peer` (can be absent) | From where. |
//! | `reason` (can be absent) | The reason of the refusals. |
//!
//! # `checkpoint`: all before is signed
//!
//! | field | meaning |
//! |---|---|
//! | `first` | The number of the first record that it covers. |
//! | `end` | Its own number: that of the record behind the last that it covers. |
//! | `root` | The root of the tree over the lines (RFC 6962). |
//! | `head` | The hash of the last line that it covers. |
//! | `heartbeat_secs` (can be absent) | After how many seconds at most another one comes. |
//! | `key` | The id of the key that signed it. |
//! | `signature` | Ed25519 over all of the record, in base64url. |
//!
//! # `retired`: old files were deleted
//!
//! | field | meaning |
//! |---|---|
//! | `files` | How many files were deleted. |
//! | `through` | The last line of the newest of them. |
//!
//! # `stop`: the process ended in an orderly way

/// The JSON Schema (2020-12) of a record.
pub const SCHEMA: &str = include_str!("../schema/record.schema.json");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use gateless_core::Timestamp;
    use serde_json::Value;

    use super::*;
    use crate::record::*;
    use crate::{Batch, BootId, Chain, LineHash, SealKey};

    fn text() -> Option<Text<'static>> {
        Some(Text::from("x"))
    }

    /// Each kind twice: with all that it can have, and with as little as possible. A field that is added does not compile here
    /// until it has a value, and then the schema has to know it.
    fn records() -> Vec<Value> {
        let time = Timestamp::from_millis(1_795_000_000_000);
        let link = Link {
            boot: BootId::random(),
            seq: 7,
            hash: LineHash::ZERO,
        };
        let mut events = vec![
            Event::Stop,
            Event::Retired(Retired {
                files: 1,
                through: link,
            }),
            Event::Gap(Gap {
                sink: None,
                lost: 1,
                unserved: 0,
                since: Timestamp::EPOCH,
            }),
            Event::Gap(Gap {
                sink: Some("otlp".into()),
                lost: 1,
                unserved: 2,
                since: time,
            }),
            Event::Start(Start::default()),
            Event::Start(Start {
                software: Text::from("0.1.0"),
                pseudonyms: Text::from("k"),
                seal: text(),
                heartbeat_secs: Some(10),
                previous: Some(link),
            }),
        ];
        for is_full in [false, true] {
            let text = || is_full.then(|| Text::from("x"));
            events.push(Event::Repeated(Repeated {
                of: 1,
                count: 2,
                first: time,
                last: time,
                is_mixed: is_full,
            }));
            events.extend(SignalKind::ALL.iter().map(|signal| {
                Event::Signal(Signal {
                    signal: *signal,
                    count: 1,
                    within_secs: 60,
                    issuer: text(),
                    subject: text(),
                    client: text(),
                    token: text(),
                    peer: text(),
                    reason: text(),
                })
            }));
            events.extend(EndKind::ALL.iter().map(|end| {
                Event::End(End {
                    of: 1,
                    end: *end,
                    grpc_status: is_full.then_some(0),
                    sent_bytes: 1,
                    duration_us: 2,
                })
            }));
        }
        let request = |protocol, outcome| Event::Request(Box::new(Request::new(protocol, outcome)));
        events.extend(Outcome::ALL.iter().map(|it| request(Protocol::Http, *it)));
        events.extend(
            Protocol::ALL
                .iter()
                .map(|it| request(*it, Outcome::Allowed)),
        );
        let founds = TokenFound::ALL
            .iter()
            .map(|found| (*found, EndKind::Complete));
        let ends = EndKind::ALL.iter().map(|end| (TokenFound::Cached, *end));
        events.extend(founds.chain(ends).map(|(found, end)| {
            Event::Request(Box::new(Request {
                method: Text::from("GET"),
                route: text(),
                grpc_method: text(),
                protocol: Protocol::Http,
                outcome: Outcome::Denied,
                status: Some(403),
                grpc_status: Some(7),
                latency_us: 1,
                stage: text(),
                code: text(),
                reason: text(),
                issuer: text(),
                subject: text(),
                subject_kind: text(),
                actors: vec![Text::from("x")],
                client: text(),
                token: text(),
                credential: text(),
                key: text(),
                token_found: Some(found),
                policy_epoch: Some(1),
                scopes_required: vec![Text::from("x")],
                scopes_granted: vec![Text::from("x")],
                limits: LimitResult::ALL
                    .iter()
                    .map(|result| Limited {
                        name: Text::from("x"),
                        result: *result,
                    })
                    .collect(),
                flags: Flag::ALL.to_vec(),
                peer: text(),
                agent: text(),
                trace: Some("0af7651916cd43dd8448eb211c80319c".into()),
                end: Some(end),
                sent_bytes: Some(1),
                duration_us: Some(2),
            }))
        }));
        let mut chain = Chain::new("orders-1", BootId::random());
        let mut batch = Batch::new();
        for event in events {
            chain.append(event, time, Duration::ZERO, &mut batch);
        }
        chain.checkpoint(&SealKey::random(), time, Duration::ZERO, &mut batch);
        let mut chain = chain.heartbeat(60);
        chain.checkpoint(&SealKey::random(), time, Duration::ZERO, &mut batch);
        batch
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// As much of JSON Schema as the schema needs; a word that is not known here fails.
    fn check(schema: &Value, root: &Value, value: &Value, seen: &mut BTreeSet<String>, at: &str) {
        for (word, says) in schema.as_object().unwrap() {
            match word.as_str() {
                "description" | "required" | "additionalProperties" => {}
                "$ref" => {
                    let name = says.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                    check(&root["$defs"][name], root, value, seen, at);
                }
                "const" => assert_eq!(value, says, "{at}"),
                "enum" => {
                    assert!(says.as_array().unwrap().contains(value), "{at}: {value}");
                    seen.insert(format!("{at}={}", value.as_str().unwrap()));
                }
                "type" => {
                    let is_fine = match says.as_str().unwrap() {
                        "string" => value.is_string(),
                        "integer" => value.is_u64(),
                        "boolean" => value.is_boolean(),
                        "array" => value.is_array(),
                        "object" => value.is_object(),
                        other => panic!("{other}"),
                    };
                    assert!(is_fine, "{at}: {value}");
                }
                "minimum" => assert_eq!(says, 0),
                // The length says enough here: what the characters are is tested where they are written.
                "pattern" => {
                    let len = match says.as_str().unwrap() {
                        "^[A-Za-z0-9_-]{43}$" => 43,
                        "^[A-Za-z0-9_-]{86}$" => 86,
                        "^[0-9a-f]{32}$" => 32,
                        _ => 24,
                    };
                    assert_eq!(value.as_str().unwrap().len(), len, "{at}");
                }
                "items" => {
                    for item in value.as_array().unwrap() {
                        check(says, root, item, seen, at);
                    }
                }
                "properties" => {
                    for (name, value) in value.as_object().unwrap() {
                        let at = format!("{at}.{name}");
                        let schema = says
                            .get(name)
                            .unwrap_or_else(|| panic!("{at} is not known"));
                        check(schema, root, value, seen, &at);
                        seen.insert(at);
                    }
                    for name in schema["required"].as_array().unwrap() {
                        assert!(value.get(name.as_str().unwrap()).is_some(), "{at}: {name}");
                    }
                    assert_eq!(schema["additionalProperties"], false);
                }
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn the_schema_says_what_records_have_and_nothing_else() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let records = records();
        let mut seen = BTreeSet::new();
        for record in &records {
            let kind = record["kind"].as_str().unwrap();
            let of_kind = &schema["$defs"][kind];
            check(of_kind, &schema, record, &mut seen, kind);
            // What can be absent was absent once, and nothing else.
            for name in of_kind["properties"].as_object().unwrap().keys() {
                let is_required = of_kind["required"]
                    .as_array()
                    .unwrap()
                    .contains(&name.as_str().into());
                let mut same = records.iter().filter(|it| it["kind"] == kind);
                assert_eq!(
                    same.all(|it| it.get(name).is_some()),
                    is_required,
                    "{kind}.{name}"
                );
            }
        }
        for kind in schema["oneOf"].as_array().unwrap() {
            let kind = kind["$ref"]
                .as_str()
                .unwrap()
                .strip_prefix("#/$defs/")
                .unwrap();
            for (name, of) in schema["$defs"][kind]["properties"].as_object().unwrap() {
                assert!(
                    seen.contains(&format!("{kind}.{name}")),
                    "no record has {kind}.{name}"
                );
                let names = of.get("enum").or_else(|| of.get("items")?.get("enum"));
                for value in names.and_then(Value::as_array).into_iter().flatten() {
                    let one = format!("{kind}.{name}={}", value.as_str().unwrap());
                    assert!(seen.contains(&one), "no record has {one}");
                }
            }
        }
    }
}
