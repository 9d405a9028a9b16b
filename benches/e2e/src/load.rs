//! Requests as fast as they are answered: so many connections, on each of them one request after the other. Every answer
//! is looked at.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What is asked, in bytes that are ready to be sent.
pub(crate) struct Load {
    requests: Vec<Vec<u8>>,
    connections: usize,
}

/// What came back.
pub(crate) struct Seen {
    lasted: Duration,
    /// Nanoseconds, the shortest first.
    latencies: Vec<u64>,
}

impl Load {
    pub(crate) fn new(tokens: Vec<String>, connections: usize) -> Self {
        let requests = tokens.iter().map(|token| request("/orders", token));
        Self {
            requests: requests.collect(),
            connections,
        }
    }

    /// Asks for so long.
    ///
    /// # Errors
    ///
    /// When somebody answers anything but 200, or not at all.
    pub(crate) fn run(&self, to: SocketAddr, lasts: Duration) -> io::Result<Seen> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let local = tokio::task::LocalSet::new();
        // Tasks of one thread may share what they read without counting.
        local.block_on(&runtime, async {
            let requests: std::rc::Rc<[Vec<u8>]> = self.requests.clone().into();
            let mut streams = Vec::new();
            for _ in 0..self.connections {
                streams.push(connect(to).await?);
            }
            let start = Instant::now();
            let until = start + lasts;
            let apart = requests.len() / self.connections.max(1);
            let tasks = streams.into_iter().enumerate().map(|(place, stream)| {
                let requests = requests.clone();
                tokio::task::spawn_local(ask(stream, requests, place * apart, until))
            });
            let mut latencies = Vec::new();
            for task in tasks.collect::<Vec<_>>() {
                latencies.extend(task.await.map_err(io::Error::other)??);
            }
            let lasted = start.elapsed();
            latencies.sort_unstable();
            Ok(Seen { lasted, latencies })
        })
    }

    /// The status of one request with this token.
    pub(crate) fn status(to: SocketAddr, token: &str) -> io::Result<u16> {
        once(to, &request("/orders", token))
    }

    /// The status of an attempt to place an order.
    pub(crate) fn create(to: SocketAddr, token: &str) -> io::Result<u16> {
        let body = r#"{"item":"tea","quantity":2}"#;
        let length = body.len();
        let request = format!(
            "POST /orders HTTP/1.1\r\nhost: api.example.com\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        once(to, request.as_bytes())
    }
}

fn once(to: SocketAddr, request: &[u8]) -> io::Result<u16> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut stream = connect(to).await?;
        let mut answer = Answer::new();
        stream.write_all(request).await?;
        answer.read(&mut stream).await
    })
}

impl Seen {
    pub(crate) fn requests(&self) -> usize {
        self.latencies.len()
    }

    pub(crate) const fn lasted(&self) -> Duration {
        self.lasted
    }

    /// In µs: so many in a hundred took no longer.
    pub(crate) fn percentile(&self, of_hundred: usize) -> f64 {
        let place = self.latencies.len() * of_hundred / 100;
        self.latencies
            .get(place)
            .map_or(f64::NAN, |&nanos| nanos as f64 / 1_000.0)
    }
}

fn request(path: &str, token: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nhost: api.example.com\r\nuser-agent: orders-client/1.4\r\n\
         accept: application/json\r\nauthorization: Bearer {token}\r\n\r\n"
    )
    .into_bytes()
}

async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn ask(
    mut stream: TcpStream,
    requests: std::rc::Rc<[Vec<u8>]>,
    from: usize,
    until: Instant,
) -> io::Result<Vec<u64>> {
    let mut latencies = Vec::new();
    let mut answer = Answer::new();
    let mut sent = Instant::now();
    for request in requests.iter().cycle().skip(from % requests.len().max(1)) {
        stream.write_all(request).await?;
        let status = answer.read(&mut stream).await?;
        if status != 200 {
            return Err(invalid(format!("an answer has the status {status}")));
        }
        let now = Instant::now();
        let nanos = (now - sent).as_nanos();
        latencies.push(u64::try_from(nanos).unwrap_or(u64::MAX));
        if now >= until {
            break;
        }
        sent = now;
    }
    Ok(latencies)
}

/// As much of HTTP/1.1 as these servers use: a head, and as many bytes as it says.
struct Answer {
    buffer: Vec<u8>,
}

impl Answer {
    /// With room for more than any of these answers has, so that it is read with one call.
    fn new() -> Self {
        Self {
            buffer: Vec::with_capacity(16 * 1024),
        }
    }

    /// The status, once all of it is there. Nothing may come after it.
    async fn read(&mut self, stream: &mut TcpStream) -> io::Result<u16> {
        self.buffer.clear();
        loop {
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let Some(end) = self
                .buffer
                .windows(4)
                .position(|bytes| bytes == b"\r\n\r\n")
            else {
                continue;
            };
            let (head, rest) = self.buffer.split_at(end + 4);
            let head = str::from_utf8(head).map_err(|_| invalid("a head is no text"))?;
            let (status, length) = parse(head).ok_or_else(|| invalid("a head makes no sense"))?;
            let missing = length.saturating_sub(rest.len());
            if missing > 0 {
                let body = self.buffer.len();
                self.buffer.resize(body + missing, 0);
                let place = self.buffer.get_mut(body..).unwrap_or_default();
                stream.read_exact(place).await?;
            }
            return Ok(status);
        }
    }
}

fn parse(head: &str) -> Option<(u16, usize)> {
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then_some(value.trim())
    });
    Some((status, length?.parse().ok()?))
}

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_head_says_how_much_follows() {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nContent-Length: 12\r\n\r\n";
        assert_eq!(parse(head), Some((200, 12)));
        assert_eq!(
            parse("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
            None
        );
        assert_eq!(parse("nonsense"), None);
    }
}
