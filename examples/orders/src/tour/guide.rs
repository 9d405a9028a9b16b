//! The steps as command lines.

use std::io;
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::{Call, Step, Subject, steps};

/// Prints the tour as lines to be pasted into a shell, with tokens that are good for an hour.
/// `records` is the file of records.
///
/// # Errors
///
/// When `out` cannot be written to.
pub fn print_guide(subject: Subject<'_>, records: &Path, out: &mut impl Write) -> io::Result<()> {
    let Subject {
        address,
        issuer,
        audience,
        limits,
    } = subject;
    let address = reachable(address);
    writeln!(out, "\nA guided tour. The tokens are good for an hour.\n")?;
    let opaque = steps::opaque_token(issuer, audience);
    let standing = steps::standing(issuer, audience, &opaque);
    for step in standing
        .into_iter()
        .chain(steps::revocation(issuer, audience))
        .chain(steps::limits(issuer, audience, limits))
    {
        writeln!(out, "# {}\n# expected: {}", step.title, step.expected)?;
        writeln!(out, "{}", curl(&step, address))?;
        if let Some(line) = grpcurl(&step, address) {
            writeln!(out, "# or, where grpcurl is installed:\n{line}")?;
        }
        writeln!(out)?;
    }
    let path = records.display();
    writeln!(
        out,
        "# what was recorded of all that, a line for each request"
    )?;
    writeln!(out, "tail -n 5 '{path}'")?;
    writeln!(
        out,
        "# and whether anybody has changed it since\ncargo run -p gateless-audit -- verify --live '{path}'\n"
    )?;
    writeln!(
        out,
        "# all of it at once, an outage, and a rotation of the issuer's keys: cargo run -p orders -- --tour"
    )
}

/// Where a client on this machine finds a server that listens on `address`.
pub(super) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// Every value stands between single quotes: none has one in it.
fn curl(step: &Step, address: SocketAddr) -> String {
    let credentials = credentials(step);
    match &step.call {
        Call::Get(path) => format!("curl -s -i 'http://{address}{path}'{credentials}"),
        Call::Post(path, body) => format!(
            "curl -s -i 'http://{address}{path}'{credentials} -H 'Content-Type: application/json' -d '{body}'"
        ),
        Call::Flood(path, most) => again(*most, &format!("'http://{address}{path}'{credentials}")),
        Call::Guess(path, most) => {
            let guess = "-H \"Authorization: Bearer guess-$i\"";
            again(*most, &format!("'http://{address}{path}' {guess}"))
        }
        Call::GrpcList | Call::GrpcCreate(_) => {
            let path = step.call.path();
            // An empty message in its frame. It is enough: what decides here is the token.
            format!(
                "printf '\\0\\0\\0\\0\\0' | curl -s -i --http2-prior-knowledge 'http://{address}{path}'{credentials} \
                 -H 'Content-Type: application/grpc' -H 'TE: trailers' --data-binary @- --output -"
            )
        }
    }
}

/// How often there was which status.
fn again(times: u32, what: &str) -> String {
    format!(
        "for i in $(seq {times}); do curl -s -o /dev/null -w '%{{http_code}}\\n' {what}; done | sort | uniq -c"
    )
}

fn grpcurl(step: &Step, address: SocketAddr) -> Option<String> {
    let message = match &step.call {
        Call::Get(_) | Call::Post(..) | Call::Flood(..) | Call::Guess(..) => return None,
        Call::GrpcList => "{}".to_owned(),
        Call::GrpcCreate(item) => format!(r#"{{"item":"{item}","quantity":1}}"#),
    };
    let protos = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");
    let method = step.call.path().trim_start_matches('/');
    Some(format!(
        "grpcurl -plaintext -import-path '{protos}' -proto orders/v1/orders.proto{} -d '{message}' {address} {method}",
        credentials(step)
    ))
}

fn credentials(step: &Step) -> String {
    let tokens = step.tokens.iter();
    tokens
        .map(|token| format!(" -H 'Authorization: Bearer {token}'"))
        .collect()
}
