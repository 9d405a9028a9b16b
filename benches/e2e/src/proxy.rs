//! HAProxy in front of a service, with and without a look at tokens.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use aws_lc_rs::encoding::AsDer as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateless_bench::{AUDIENCE, Case, raw_key};
use gateless_testkit::TestIssuer;

use crate::Result;
use crate::process::Process;

const ADVICE: &str = "\
there is no haproxy of 2.5 or newer, which is what the service is compared with. Install it with
  Debian, Ubuntu:  apt-get install haproxy
  Fedora:          dnf install haproxy
  Alpine:          apk add haproxy
  macOS:           brew install haproxy";

/// Debian has it in `sbin`, and not everybody has that on the `PATH`.
const NAMES: [&str; 2] = ["haproxy", "/usr/sbin/haproxy"];

fn program() -> Option<(&'static str, String)> {
    NAMES.into_iter().find_map(|name| {
        let output = Command::new(name).arg("-v").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        Some((name, text))
    })
}

/// `HAProxy 2.6.12`.
pub(crate) fn version() -> Result<String> {
    let (_, text) = program().ok_or(ADVICE)?;
    let version = text.split_whitespace().nth(2).ok_or(ADVICE)?;
    let version = version.split('-').next().unwrap_or(version);
    Ok(format!("HAProxy {version}"))
}

/// Starts it in front of `inner`.
pub(crate) fn start(
    inner: SocketAddr,
    validates: Option<(Case, &TestIssuer)>,
    folder: &Path,
) -> Result<(Process, SocketAddr)> {
    let (program, _) = program().ok_or(ADVICE)?;
    let address = crate::free_port()?;
    let name = match validates {
        Some((case, _)) => format!("proxy-{}", case.algorithm().name()),
        None => "proxy".to_owned(),
    };
    let rules = match validates {
        Some((case, issuer)) => {
            let key = folder.join(format!("{name}.pem"));
            fs::write(&key, pem(case, issuer)?)?;
            rules(case, issuer.issuer(), &key)
        }
        None => String::new(),
    };
    let config = folder.join(format!("{name}.cfg"));
    fs::write(&config, text(address, inner, &rules))?;
    let mut process = Process::start(Command::new(program).arg("-db").arg("-f").arg(&config))?;
    process.accepts(address)?;
    Ok((process, address))
}

/// No logs, and connections to the service are kept and shared.
fn text(address: SocketAddr, inner: SocketAddr, rules: &str) -> String {
    format!(
        "global
    maxconn 1000
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 5s
    http-reuse always
frontend api
    bind {address}
{rules}    default_backend orders
backend orders
    server orders {inner}
"
    )
}

/// As the documentation of `jwt_verify` shows it, and the scope, which the service asks for as well.
fn rules(case: Case, issuer: &str, key: &Path) -> String {
    let algorithm = case.algorithm().name();
    let key: PathBuf = key.into();
    let lines = [
        "http-request deny deny_status 401 unless { req.hdr(authorization) -m found }".to_owned(),
        "http-request set-var(txn.bearer) http_auth_bearer".to_owned(),
        "http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')".to_owned(),
        "http-request set-var(txn.iss) var(txn.bearer),jwt_payload_query('$.iss')".to_owned(),
        "http-request set-var(txn.aud) var(txn.bearer),jwt_payload_query('$.aud')".to_owned(),
        "http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')".to_owned(),
        "http-request set-var(txn.scope) var(txn.bearer),jwt_payload_query('$.scope')".to_owned(),
        "http-request set-var(txn.now) date()".to_owned(),
        format!("http-request deny deny_status 401 unless {{ var(txn.alg) -m str {algorithm} }}"),
        format!("http-request deny deny_status 401 unless {{ var(txn.iss) -m str {issuer} }}"),
        format!("http-request deny deny_status 401 unless {{ var(txn.aud) -m str {AUDIENCE} }}"),
        "http-request deny deny_status 401 if { var(txn.exp),sub(txn.now) -m int lt 0 }".to_owned(),
        format!(
            "http-request deny deny_status 401 unless \
             {{ var(txn.bearer),jwt_verify(txn.alg,\"{}\") -m int 1 }}",
            key.display()
        ),
        "http-request deny deny_status 403 unless { var(txn.scope) -m sub orders:read }".to_owned(),
    ];
    lines.map(|line| format!("    {line}\n")).concat()
}

fn pem(case: Case, issuer: &TestIssuer) -> Result<String> {
    let der = raw_key(issuer, case).as_der()?;
    let text = STANDARD.encode(der.as_ref());
    let mut pem = "-----BEGIN PUBLIC KEY-----\n".to_owned();
    for line in text.as_bytes().chunks(64) {
        pem.push_str(str::from_utf8(line)?);
        pem.push('\n');
    }
    pem.push_str("-----END PUBLIC KEY-----\n");
    Ok(pem)
}
