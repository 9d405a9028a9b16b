//! A client that sees what really comes over the wire.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use gateless_testkit::TestIssuer;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Far longer than anything here takes; reached only when something is broken.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A response as it came over the wire.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(field, value)| field.eq_ignore_ascii_case(name).then_some(value))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// One request on a connection of its own, read to the end of the connection.
///
/// # Errors
///
/// When no whole head of a response comes back.
pub(crate) async fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    fields: &str,
    body: &str,
) -> io::Result<Answer> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{fields}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let answer = timeout(DEADLINE, exchange).await??;
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.ok_or(ErrorKind::UnexpectedEof)? + 4);
    let head = String::from_utf8(head.to_vec()).unwrap();
    Ok(Answer {
        status: head[9..12].parse().unwrap(),
        body: body.to_vec(),
        head,
    })
}

pub(crate) fn address(issuer: &TestIssuer) -> SocketAddr {
    let url = issuer.jwks_url();
    let address = url.strip_prefix("http://").unwrap();
    address.strip_suffix("/jwks").unwrap().parse().unwrap()
}
