//! Records as OCSF events, for systems that read those.
//!
//! | record | class |
//! |---|---|
//! | a request without good credentials | Authentication (3002): a logon that failed |
//! | any other request | API Activity (6003) |
//! | a signal | Detection Finding (2004) |
//!
//! Records of other kinds are about the log itself, and have no class. What has no place in a class stands in `unmapped`.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use crate::record::{Entry, Event, Outcome, Request, Signal, SignalKind};

/// The version of OCSF that the events have.
pub const OCSF_VERSION: &str = "1.2.0";

/// `entry` as an event of [OCSF](https://schema.ocsf.io) [1.2.0](OCSF_VERSION), if it is a request or a signal.
///
/// ```
/// use std::time::Duration;
///
/// use gateless_audit::{Batch, BootId, Chain, Event, Outcome, Protocol, Request, ocsf, parse};
/// use gateless_core::Timestamp;
///
/// let (mut chain, mut batch) = (Chain::new("orders-1", BootId::random()), Batch::new());
/// let request = Request::new(Protocol::Http, Outcome::Allowed);
/// let now = Timestamp::from_secs(1_795_000_000);
/// chain.append(Event::Request(Box::new(request)), now, Duration::ZERO, &mut batch);
/// let line = batch.lines().next().unwrap_or_default();
/// let event = ocsf(&parse(line)?).expect("it is a request");
/// assert_eq!(event["class_uid"], 6003);
/// # Ok::<(), gateless_audit::Unreadable>(())
/// ```
#[must_use]
pub fn ocsf(entry: &Entry<'_>) -> Option<Value> {
    match &entry.event {
        Event::Request(request) if is_authentication(request) => {
            Some(authentication(entry, request))
        }
        Event::Request(request) => Some(api_activity(entry, request)),
        Event::Signal(signal) => Some(detection(entry, signal)),
        _ => None,
    }
}

/// Whether the request was refused for its credentials.
fn is_authentication(request: &Request<'_>) -> bool {
    let code = request.code.as_deref().unwrap_or_default();
    request.outcome == Outcome::Denied
        && (code.starts_with("credentials_") || code == "token_invalid")
}

/// What all classes have.
fn base(entry: &Entry<'_>, class: u32, activity: u32, severity: u32) -> Map<String, Value> {
    let mut event = Map::new();
    let mut set = |name: &str, value: Value| event.insert(name.to_owned(), value);
    set("category_uid", json!(class / 1000));
    set("class_uid", json!(class));
    set("activity_id", json!(activity));
    set("type_uid", json!(class * 100 + activity));
    set("severity_id", json!(severity));
    set("time", json!(entry.time.as_millis()));
    set(
        "metadata",
        json!({
            "version": OCSF_VERSION,
            "product": { "name": "gateless", "vendor_name": "gateless" },
            "uid": format!("{}:{}", entry.boot, entry.seq),
            "sequence": entry.seq,
            "log_provider": &*entry.instance,
        }),
    );
    event
}

fn authentication(entry: &Entry<'_>, request: &Request<'_>) -> Value {
    let (logon, low, failure, oauth, network) = (1, 2, 2, 6, 3);
    let mut event = base(entry, 3002, logon, low);
    event.insert("status_id".into(), json!(failure));
    event.insert("auth_protocol_id".into(), json!(oauth));
    event.insert("logon_type_id".into(), json!(network));
    event.insert("is_remote".into(), json!(true));
    event.insert("user".into(), user(request));
    event.insert("service".into(), json!({ "name": &*entry.instance }));
    finish(event, entry, request)
}

fn api_activity(entry: &Entry<'_>, request: &Request<'_>) -> Value {
    let activity = match &*request.method {
        _ if request.grpc_method.is_some() => 99,
        "POST" => 1,
        "GET" | "HEAD" | "OPTIONS" | "QUERY" => 2,
        "PUT" | "PATCH" => 3,
        "DELETE" => 4,
        "" => 0,
        _ => 99,
    };
    let (informational, low, medium) = (1, 2, 3);
    let (success, failure, unknown) = (1, 2, 0);
    let (severity, status) = match request.outcome {
        Outcome::Allowed => (informational, success),
        Outcome::Denied => (low, failure),
        Outcome::Aborted => (informational, unknown),
        _ => (medium, failure),
    };
    let mut event = base(entry, 6003, activity, severity);
    if activity == 99 {
        let name = request.grpc_method.as_ref().unwrap_or(&request.method);
        event.insert("activity_name".into(), json!(&**name));
    }
    event.insert("status_id".into(), json!(status));
    let mut actor = Map::new();
    actor.insert("user".into(), user(request));
    if let Some(issuer) = &request.issuer {
        actor.insert("idp".into(), json!({ "name": &**issuer, "uid": &**issuer }));
    }
    if let Some(client) = &request.client {
        actor.insert("app_uid".into(), json!(&**client));
    }
    event.insert("actor".into(), Value::Object(actor));
    let place = request.grpc_method.as_ref().or(request.route.as_ref());
    let operation = match (&request.grpc_method, place) {
        (Some(method), _) => method.to_string(),
        (None, Some(route)) => format!("{} {}", &*request.method, &**route),
        (None, None) => request.method.to_string(),
    };
    let mut api = json!({ "operation": operation, "service": { "name": &*entry.instance } });
    if let (Some(status), Some(api)) = (request.grpc_status, api.as_object_mut()) {
        api.insert("response".into(), json!({ "code": status }));
    }
    event.insert("api".into(), api);
    finish(event, entry, request)
}

/// What the two classes of requests have in common.
fn finish(mut event: Map<String, Value>, entry: &Entry<'_>, request: &Request<'_>) -> Value {
    event.insert("src_endpoint".into(), endpoint(request.peer.as_deref()));
    if !request.method.is_empty() {
        event.insert(
            "http_request".into(),
            json!({ "http_method": &*request.method }),
        );
    }
    if let Some(status) = request.status {
        event.insert("http_response".into(), json!({ "code": status }));
    }
    if let Some(code) = &request.code {
        event.insert("status_code".into(), json!(&**code));
    }
    if let Some(reason) = &request.reason {
        event.insert("status_detail".into(), json!(&**reason));
    }
    if let Some(micros) = request.duration_us {
        event.insert("duration".into(), json!(micros / 1000));
    }
    if let (Some(trace), Some(metadata)) = (
        &request.trace,
        event.get_mut("metadata").and_then(Value::as_object_mut),
    ) {
        metadata.insert("correlation_uid".into(), json!(trace));
    }
    let taken = [
        "method",
        "grpc_method",
        "status",
        "code",
        "reason",
        "subject",
        "token",
        "peer",
        "trace",
    ];
    unmapped(event, entry, request, &taken)
}

fn detection(entry: &Entry<'_>, signal: &Signal<'_>) -> Value {
    let (create, new) = (1, 1);
    let (medium, high) = (3, 4);
    let (severity, title) = match signal.signal {
        SignalKind::ValidationFailures => (medium, "Many credentials from one place were no good"),
        SignalKind::RevokedToken => (high, "A revoked token was used"),
        SignalKind::ManyPlaces => (high, "One token was used from many places"),
        SignalKind::UnusualRate => (medium, "One token was used far more often than before"),
    };
    let mut event = base(entry, 2004, create, severity);
    event.insert("status_id".into(), json!(new));
    event.insert("count".into(), json!(signal.count));
    event.insert(
        "finding_info".into(),
        json!({
            "uid": format!("{}:{}", entry.boot, entry.seq),
            "title": title,
            "types": [signal.signal],
        }),
    );
    if signal.peer.is_some() {
        let evidence = json!({ "src_endpoint": endpoint(signal.peer.as_deref()) });
        event.insert("evidences".into(), json!([evidence]));
    }
    unmapped(event, entry, signal, &["signal", "count", "peer"])
}

/// Adds what has no place in the class, with its place in the chain.
fn unmapped(
    mut event: Map<String, Value>,
    entry: &Entry<'_>,
    record: &impl serde::Serialize,
    taken: &[&str],
) -> Value {
    let mut rest = match serde_json::to_value(record) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    rest.retain(|name, _| !taken.contains(&name.as_str()));
    rest.insert("up_us".into(), json!(entry.up_us));
    rest.insert("prev".into(), json!(entry.prev));
    event.insert("unmapped".into(), Value::Object(rest));
    Value::Object(event)
}

/// The caller, who can be unknown: the class asks for one.
fn user(request: &Request<'_>) -> Value {
    let (user, other, unknown) = (1, 99, 0);
    let kind = match request.subject_kind.as_deref() {
        Some("user") => user,
        Some("client") => other,
        _ => unknown,
    };
    let mut caller = Map::new();
    match &request.subject {
        Some(subject) => caller.insert("uid".into(), json!(&**subject)),
        None => caller.insert("name".into(), json!("unknown")),
    };
    caller.insert("type_id".into(), json!(kind));
    if kind == other {
        // The schema has a name for it only where it means an account of the system.
        caller.insert("type".into(), json!("Service"));
    }
    if let Some(token) = &request.token {
        caller.insert("credential_uid".into(), json!(&**token));
    }
    Value::Object(caller)
}

/// The place, which can be an address, a part of one, a pseudonym, or unknown.
fn endpoint(peer: Option<&str>) -> Value {
    match peer {
        Some(peer) if peer.parse::<IpAddr>().is_ok() => json!({ "ip": peer }),
        Some(peer) => json!({ "uid": peer }),
        None => json!({ "name": "unknown" }),
    }
}

#[cfg(test)]
mod tests {
    use gateless_core::Timestamp;

    use super::*;
    use crate::boot::BootId;
    use crate::hash::LineHash;
    use crate::record::{Protocol, Text};

    fn entry(event: Event<'static>) -> Entry<'static> {
        Entry {
            version: Entry::VERSION,
            seq: 7,
            time: Timestamp::from_millis(1_795_000_000_123),
            up_us: 9,
            instance: Text::from("orders-1"),
            boot: BootId::parse("9744c580000000000000000000000001").unwrap(),
            event,
            prev: LineHash::ZERO,
        }
    }

    fn metadata() -> Value {
        json!({
            "version": "1.2.0",
            "product": { "name": "gateless", "vendor_name": "gateless" },
            "uid": "9744c580000000000000000000000001:7",
            "sequence": 7,
            "log_provider": "orders-1",
        })
    }

    const ZERO: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    #[test]
    fn a_served_request_is_api_activity() {
        let request = Request {
            method: Text::from("GET"),
            route: Some(Text::from("/orders/{id}")),
            status: Some(200),
            issuer: Some(Text::from("https://idp.example.com")),
            subject: Some(Text::from("k:subject")),
            subject_kind: Some(Text::from("user")),
            client: Some(Text::from("k:client")),
            token: Some(Text::from("k:token")),
            peer: Some(Text::from("192.0.2.7")),
            trace: Some("0af7651916cd43dd8448eb211c80319c".into()),
            duration_us: Some(2500),
            latency_us: 1200,
            ..Request::new(Protocol::Http, Outcome::Allowed)
        };
        let mut expected = metadata();
        expected["correlation_uid"] = json!("0af7651916cd43dd8448eb211c80319c");
        assert_eq!(
            ocsf(&entry(Event::Request(Box::new(request)))).unwrap(),
            json!({
                "category_uid": 6, "class_uid": 6003, "activity_id": 2, "type_uid": 600_302,
                "severity_id": 1, "status_id": 1, "time": 1_795_000_000_123_i64,
                "metadata": expected,
                "actor": {
                    "user": { "uid": "k:subject", "type_id": 1, "credential_uid": "k:token" },
                    "idp": { "name": "https://idp.example.com", "uid": "https://idp.example.com" },
                    "app_uid": "k:client",
                },
                "api": { "operation": "GET /orders/{id}", "service": { "name": "orders-1" } },
                "src_endpoint": { "ip": "192.0.2.7" },
                "http_request": { "http_method": "GET" },
                "http_response": { "code": 200 },
                "duration": 2,
                "unmapped": {
                    "route": "/orders/{id}", "protocol": "http", "outcome": "allowed", "latency_us": 1200,
                    "issuer": "https://idp.example.com", "subject_kind": "user", "client": "k:client",
                    "duration_us": 2500, "up_us": 9, "prev": ZERO,
                },
            })
        );
    }

    #[test]
    fn a_refused_credential_is_a_failed_authentication() {
        let request = Request {
            method: Text::from("POST"),
            status: Some(401),
            code: Some(Text::from("token_invalid")),
            reason: Some(Text::from("expired")),
            ..Request::new(Protocol::Http, Outcome::Denied)
        };
        assert_eq!(
            ocsf(&entry(Event::Request(Box::new(request)))).unwrap(),
            json!({
                "category_uid": 3, "class_uid": 3002, "activity_id": 1, "type_uid": 300_201,
                "severity_id": 2, "status_id": 2, "time": 1_795_000_000_123_i64,
                "metadata": metadata(),
                "auth_protocol_id": 6, "logon_type_id": 3, "is_remote": true,
                "user": { "name": "unknown", "type_id": 0 },
                "service": { "name": "orders-1" },
                "src_endpoint": { "name": "unknown" },
                "http_request": { "http_method": "POST" },
                "http_response": { "code": 401 },
                "status_code": "token_invalid",
                "status_detail": "expired",
                "unmapped": {
                    "protocol": "http", "outcome": "denied", "latency_us": 0, "up_us": 9, "prev": ZERO,
                },
            })
        );
    }

    #[test]
    fn a_signal_is_a_detection_finding() {
        let signal = Signal {
            signal: SignalKind::RevokedToken,
            count: 3,
            within_secs: 60,
            issuer: None,
            subject: None,
            client: None,
            token: Some(Text::from("k:token")),
            peer: Some(Text::from("k:peer")),
            reason: None,
        };
        assert_eq!(
            ocsf(&entry(Event::Signal(signal))).unwrap(),
            json!({
                "category_uid": 2, "class_uid": 2004, "activity_id": 1, "type_uid": 200_401,
                "severity_id": 4, "status_id": 1, "time": 1_795_000_000_123_i64,
                "metadata": metadata(),
                "count": 3,
                "finding_info": {
                    "uid": "9744c580000000000000000000000001:7",
                    "title": "A revoked token was used",
                    "types": ["revoked_token"],
                },
                "evidences": [{ "src_endpoint": { "uid": "k:peer" } }],
                "unmapped": { "within_secs": 60, "token": "k:token", "up_us": 9, "prev": ZERO },
            })
        );
    }

    #[test]
    fn each_request_has_its_class_activity_and_status() {
        let grpc = Some(Text::from("orders.v1.Orders/List"));
        for (outcome, code, method, grpc, says) in [
            (
                Outcome::Denied,
                Some("credentials_missing"),
                "GET",
                None,
                (300_201, 2, 2),
            ),
            (
                Outcome::Denied,
                Some("scope_insufficient"),
                "PUT",
                None,
                (600_303, 2, 2),
            ),
            (
                Outcome::Unavailable,
                Some("token_invalid"),
                "DELETE",
                None,
                (600_304, 3, 2),
            ),
            (Outcome::Failed, None, "POST", None, (600_301, 3, 2)),
            (Outcome::Aborted, None, "TRACE", None, (600_399, 1, 0)),
            (Outcome::Panicked, None, "", None, (600_300, 3, 2)),
            (Outcome::Allowed, None, "POST", grpc, (600_399, 1, 1)),
        ] {
            let request = Request {
                method: Text::from(method),
                code: code.map(Text::from),
                grpc_method: grpc,
                ..Request::new(Protocol::Http, outcome)
            };
            let event = ocsf(&entry(Event::Request(Box::new(request)))).unwrap();
            let ids =
                ["type_uid", "severity_id", "status_id"].map(|it| event[it].as_u64().unwrap());
            assert_eq!(ids, [says.0, says.1, says.2], "{event}");
        }
        assert_eq!(ocsf(&entry(Event::Stop)), None);
    }
}
