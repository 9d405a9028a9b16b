use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use gateless_core::Timestamp;
use rstest::rstest;

use super::proto::{
    AnyValue, ExportLogsPartialSuccess, ExportLogsServiceRequest, KeyValue, LogRecord, Value,
};
use super::*;
use crate::also::Aside;
use crate::chain::Chain;
use crate::clock::testing::Manual;
use crate::record::{Event, Gap, Outcome, Protocol, Request, Signal, SignalKind};

/// What a server got.
struct Got {
    line: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// What it answers; nothing at all if there is no status.
#[derive(Clone, Default)]
struct Reply {
    status: Option<u16>,
    headers: &'static str,
    body: Vec<u8>,
}

impl Reply {
    fn of(status: u16) -> Self {
        Self {
            status: Some(status),
            ..Self::default()
        }
    }
}

/// A real server that answers as told, and is gone after that.
fn collector(replies: Vec<Reply>) -> (SocketAddr, Receiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (got, gets) = channel();
    thread::spawn(move || {
        let mut hangs = Vec::new();
        for reply in replies {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = got.send(receive(&stream));
            let Some(status) = reply.status else {
                hangs.push(stream);
                continue;
            };
            let (headers, length) = (reply.headers, reply.body.len());
            let head = format!(
                "HTTP/1.1 {status} -\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            // Whoever has read enough goes away.
            let _ = stream.write_all(&reply.body);
        }
        drop(listener);
        // What hangs does so until the test is over.
        while got.send(Got::nothing()).is_ok() {
            thread::yield_now();
        }
    });
    (address, gets)
}

impl Got {
    fn nothing() -> Self {
        Self {
            line: String::new(),
            headers: BTreeMap::new(),
            body: Vec::new(),
        }
    }
}

fn receive(stream: &TcpStream) -> Got {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        let Some((name, value)) = header.trim().split_once(": ") else {
            break;
        };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    Got {
        line: line.trim().to_owned(),
        headers,
        body,
    }
}

fn sink(address: SocketAddr, clock: &Arc<Manual>) -> OtlpSink {
    let mut sink = OtlpSink::http(format!("http://{address}"))
        .service_name("orders")
        .header("x-api-key", "key-3f1c")
        .clock(clock.clone());
    sink.open(BootId::random()).unwrap();
    sink
}

fn batch(events: Vec<Event<'_>>) -> Batch {
    let mut chain = Chain::new("orders-1", BootId::random());
    let mut batch = Batch::new();
    let now = Timestamp::from_millis(1_750_000_000_123);
    for event in events {
        chain.append(event, now, Duration::ZERO, &mut batch);
    }
    batch
}

fn text(value: &AnyValue) -> String {
    match &value.value {
        Some(Value::Text(text)) => text.clone(),
        Some(Value::Int(number)) => number.to_string(),
        None => panic!("no value"),
    }
}

fn table(attributes: &[KeyValue]) -> BTreeMap<&str, String> {
    let pairs = attributes.iter();
    pairs
        .map(|pair| (&*pair.key, text(pair.value.as_ref().unwrap())))
        .collect()
}

#[test]
fn a_record_arrives_with_all_that_a_collector_asks_for() {
    let (address, gets) = collector(vec![Reply::of(200)]);
    let clock = Manual::new();
    let request = Request {
        method: "GET".into(),
        route: Some("/orders/{id}".into()),
        status: Some(403),
        code: Some("scope_insufficient".into()),
        peer: Some("192.0.2.7".into()),
        subject: Some("ps_1".into()),
        trace: Some("0af7651916cd43dd8448eb211c80319c".into()),
        ..Request::new(Protocol::Http, Outcome::Denied)
    };
    let allowed = Request::new(Protocol::Grpc, Outcome::Allowed);
    let gap = Gap {
        sink: None,
        lost: 3,
        unserved: 0,
        since: Timestamp::EPOCH,
    };
    let signal = Signal {
        signal: SignalKind::RevokedToken,
        count: 2,
        within_secs: 60,
        issuer: None,
        subject: Some("ps_1".into()),
        client: None,
        token: None,
        peer: None,
        reason: None,
    };
    let batch = batch(vec![
        Event::Request(Box::new(request)),
        Event::Request(Box::new(allowed)),
        Event::Gap(gap),
        Event::Signal(signal),
    ]);
    let mut sink = sink(address, &clock);
    sink.write(&batch).unwrap();
    assert_eq!(sink.lost(), 0);

    let got = gets.recv().unwrap();
    assert_eq!(got.line, "POST /v1/logs HTTP/1.1");
    assert_eq!(got.headers["content-type"], "application/x-protobuf");
    assert_eq!(got.headers["x-api-key"], "key-3f1c");
    let request = ExportLogsServiceRequest::decode(&*got.body).unwrap();
    let logs = &request.resource_logs[0];
    let resource = table(&logs.resource.as_ref().unwrap().attributes);
    assert_eq!(resource["service.name"], "orders");
    assert_eq!(resource["service.instance.id"], "orders-1");
    assert_eq!(logs.scope_logs[0].scope.as_ref().unwrap().name, "gateless");
    let records = &logs.scope_logs[0].log_records;
    let expected = [
        ("gateless.audit.request", 13, "WARN"),
        ("gateless.audit.request", 9, "INFO"),
        ("gateless.audit.gap", 17, "ERROR"),
        ("gateless.audit.signal", 17, "ERROR"),
    ];
    assert_eq!(records.len(), expected.len());
    for ((record, line), (name, number, severity)) in
        records.iter().zip(batch.lines()).zip(expected)
    {
        assert_eq!(text(record.body.as_ref().unwrap()), line);
        assert_eq!(record.event_name, name);
        assert_eq!(record.severity_number, number);
        assert_eq!(record.severity_text, severity);
        assert_eq!(record.time_unix_nano, 1_750_000_000_123_000_000);
        assert_eq!(record.observed_time_unix_nano, 1_795_378_151_123_000_000);
    }
    let trace = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128;
    assert_eq!(records[0].trace_id, trace.to_be_bytes());
    let attributes = table(&records[0].attributes);
    for (name, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/orders/{id}"),
        ("http.response.status_code", "403"),
        ("error.type", "scope_insufficient"),
        ("client.address", "192.0.2.7"),
        ("user.id", "ps_1"),
        ("gateless.outcome", "denied"),
        ("gateless.audit.seq", "0"),
    ] {
        assert_eq!(attributes[name], value, "{name}");
    }
    assert_eq!(table(&records[2].attributes)["gateless.lost"], "3");
}

/// The numbers of the fields, as the `.proto` files of OTLP 1 have them: what we decode ourselves could be wrong twice.
#[test]
fn fields_have_the_numbers_of_otlp() {
    let record = LogRecord {
        time_unix_nano: 1,
        severity_number: 9,
        severity_text: "I".to_owned(),
        body: Some("b".into()),
        attributes: vec![KeyValue {
            key: "k".to_owned(),
            value: Some(5.into()),
        }],
        trace_id: vec![7],
        observed_time_unix_nano: 2,
        event_name: "e".to_owned(),
    };
    let expected: &[&[u8]] = &[
        &[1 << 3 | 1, 1, 0, 0, 0, 0, 0, 0, 0],
        &[2 << 3, 9],
        &[3 << 3 | 2, 1, b'I'],
        // body: AnyValue { string_value = 1 }
        &[5 << 3 | 2, 3, 1 << 3 | 2, 1, b'b'],
        // attributes: KeyValue { key = 1, value = 2: AnyValue { int_value = 3 } }
        &[6 << 3 | 2, 7, 1 << 3 | 2, 1, b'k', 2 << 3 | 2, 2, 3 << 3, 5],
        &[9 << 3 | 2, 1, 7],
        &[11 << 3 | 1, 2, 0, 0, 0, 0, 0, 0, 0],
        &[12 << 3 | 2, 1, b'e'],
    ];
    assert_eq!(record.encode_to_vec(), expected.concat());
}

#[rstest]
#[case::too_many(429)]
#[case::bad_gateway(502)]
#[case::unavailable(503)]
#[case::gateway_timeout(504)]
fn tl_06_a_collector_that_is_busy_gets_the_batch_again_when_it_said(#[case] status: u16) {
    let busy = Reply {
        headers: "retry-after: 7\r\n",
        ..Reply::of(status)
    };
    let (address, gets) = collector(vec![busy, Reply::of(200)]);
    let clock = Manual::new();
    let mut sink = sink(address, &clock);
    let batch = batch(vec![Event::Stop]);
    let error = sink.write(&batch).unwrap_err();
    assert!(error.to_string().contains(&status.to_string()), "{error}");
    clock.pass(Duration::from_millis(6_999));
    let error = sink.write(&batch).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    clock.pass(Duration::from_millis(1));
    sink.write(&batch).unwrap();
    let bodies = [gets.recv().unwrap(), gets.recv().unwrap()];
    let bodies = bodies.map(|got| ExportLogsServiceRequest::decode(&*got.body).unwrap());
    let lines = bodies.map(|body| {
        let records = &body.resource_logs[0].scope_logs[0].log_records;
        text(records[0].body.as_ref().unwrap())
    });
    assert_eq!(lines[0], lines[1]);
    assert_eq!(sink.lost(), 0);
}

#[test]
fn a_collector_cannot_ask_for_more_than_five_minutes() {
    let busy = Reply {
        headers: "retry-after: 999999999999\r\n",
        ..Reply::of(503)
    };
    let (address, _gets) = collector(vec![busy, Reply::of(200)]);
    let clock = Manual::new();
    let mut sink = sink(address, &clock);
    let batch = batch(vec![Event::Stop]);
    sink.write(&batch).unwrap_err();
    clock.pass(MAX_RETRY_AFTER);
    sink.write(&batch).unwrap();
}

#[rstest]
#[case::bad_request(400)]
#[case::unauthorized(401)]
#[case::too_large(413)]
#[case::not_implemented(501)]
#[case::moved(307)]
fn tl_06_what_is_refused_for_good_is_counted_and_does_not_come_again(#[case] status: u16) {
    let refused = Reply {
        headers: "location: http://127.0.0.1:1/\r\n",
        ..Reply::of(status)
    };
    let (address, _gets) = collector(vec![refused]);
    let mut sink = sink(address, &Manual::new());
    sink.write(&batch(vec![Event::Stop, Event::Stop])).unwrap();
    assert_eq!(sink.lost(), 2);
    assert_eq!(sink.lost(), 0);
}

#[rstest]
#[case::some(2, 2)]
#[case::none(0, 0)]
#[case::more_than_there_are(99, 3)]
#[case::nonsense(-1, 0)]
fn tl_06_what_is_taken_in_part_is_counted(#[case] rejected: i64, #[case] lost: u64) {
    let response = ExportLogsServiceResponse {
        partial_success: Some(ExportLogsPartialSuccess {
            rejected_log_records: rejected,
        }),
    };
    let reply = Reply {
        body: response.encode_to_vec(),
        ..Reply::of(200)
    };
    let (address, _gets) = collector(vec![reply]);
    let mut sink = sink(address, &Manual::new());
    let batch = batch(vec![Event::Stop, Event::Stop, Event::Stop]);
    sink.write(&batch).unwrap();
    assert_eq!(sink.lost(), lost);
}

#[test]
fn an_answer_that_is_nonsense_or_too_long_is_still_a_yes() {
    let response = ExportLogsServiceResponse {
        partial_success: Some(ExportLogsPartialSuccess {
            rejected_log_records: 1,
        }),
    };
    // Behind 96 KiB of a field that nobody knows.
    let mut long = vec![15 << 3 | 2, 0x80, 0x80, 0x06];
    long.resize(4 + (96 << 10), 0);
    long.extend(response.encode_to_vec());
    assert_eq!(ExportLogsServiceResponse::decode(&*long), Ok(response));
    for body in [b"nonsense".to_vec(), long] {
        let reply = Reply {
            body,
            ..Reply::of(200)
        };
        let (address, _gets) = collector(vec![reply]);
        let mut sink = sink(address, &Manual::new());
        sink.write(&batch(vec![Event::Stop])).unwrap();
        assert_eq!(sink.lost(), 0);
    }
}

#[test]
fn tl_06_a_collector_that_is_slow_or_gone_is_an_error() {
    let (address, _gets) = collector(vec![Reply::default()]);
    let mut sink = OtlpSink::http(format!("http://{address}")).timeout(Duration::from_millis(50));
    sink.open(BootId::random()).unwrap();
    let batch = batch(vec![Event::Stop]);
    let error = sink.write(&batch).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    let error = sink.write(&batch).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotConnected, "{error}");
    assert!(!error.to_string().contains("127.0.0.1"), "{error}");
    assert_eq!(sink.lost(), 0);
}

#[test]
fn tl_06_beside_the_first_sink_what_a_collector_refuses_is_counted_too() {
    let (address, gets) = collector(vec![Reply::of(400), Reply::of(200)]);
    let aside = Aside::spawn(sink(address, &Manual::new()), 8).unwrap();
    aside.offer(Arc::new(batch(vec![Event::Stop, Event::Stop])));
    aside.offer(Arc::new(batch(vec![Event::Stop])));
    gets.recv().unwrap();
    gets.recv().unwrap();
    assert_eq!(aside.close(Duration::from_secs(60)), 2);
}

#[test]
fn a_sink_may_be_dropped_within_a_runtime() {
    let (address, _gets) = collector(Vec::new());
    let sink = sink(address, &Manual::new());
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(async move { drop(sink) });
}

#[rstest]
#[case::no_url(OtlpSink::http("collector"), "endpoint")]
#[case::plain(OtlpSink::http("http://collector.example.com"), "endpoint")]
#[case::almost_loopback(OtlpSink::http("http://127.0.0.1.example.com"), "endpoint")]
#[case::credentials(OtlpSink::http("https://u:secret@collector.example.com"), "endpoint")]
#[case::query(OtlpSink::http("https://collector.example.com?key=secret"), "endpoint")]
#[case::header(good().header("x-api-key", "secret\n"), "header")]
#[case::timeout(good().timeout(Duration::ZERO), "timeout")]
#[case::long_timeout(good().timeout(Duration::from_secs(61)), "timeout")]
#[case::service_name(good().service_name(""), "service_name")]
#[case::root_certificate(good().root_certificate("secret"), "root_certificate")]
fn unusable_settings_are_named(#[case] mut sink: OtlpSink, #[case] setting: &str) {
    let error = sink.check().unwrap_err();
    let named: Vec<_> = error.faults().iter().map(|fault| fault.setting()).collect();
    assert_eq!(named, [setting]);
    let says = format!(
        "{error} {} {sink:?}",
        sink.open(BootId::random()).unwrap_err()
    );
    assert!(!says.contains("secret"), "{says}");
}

fn good() -> OtlpSink {
    OtlpSink::http("https://collector.example.com")
}

#[test]
fn plain_http_goes_to_other_hosts_only_when_that_is_said() {
    let sink = OtlpSink::http("http://collector.example.com").danger_allow_http();
    sink.check().unwrap();
}

#[rstest]
#[case("https://c.example.com", "https://c.example.com/v1/logs")]
#[case("https://c.example.com/", "https://c.example.com/v1/logs")]
#[case("https://c.example.com/otlp/", "https://c.example.com/otlp/v1/logs")]
#[case("https://c.example.com/v1/logs", "https://c.example.com/v1/logs")]
fn the_path_is_that_of_logs(#[case] endpoint: &str, #[case] url: &str) {
    let mut faults = ConfigError::collect();
    let made = logs_url(endpoint, false, &mut faults).unwrap();
    assert_eq!(made.as_str(), url);
}

#[test]
fn a_key_does_not_print() {
    let sink = good().header("authorization", "Bearer secret");
    let printed = format!("{sink:?}");
    assert!(printed.contains("authorization"), "{printed}");
    assert!(!printed.contains("secret"), "{printed}");
}
