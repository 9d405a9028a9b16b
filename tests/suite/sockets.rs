//! Servers on a real socket, and clients that write whatever they like.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Far longer than anything here takes; reached only when something is broken.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Serves HTTP/1.1 and HTTP/2 from a task of the current runtime.
pub(crate) async fn serve(router: Router) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// Writes `request` as it is, and reads until the server closes the connection.
pub(crate) async fn exchange(address: SocketAddr, request: impl AsRef<[u8]>) -> String {
    let answer = exchange_bytes(address, request).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// The same, for answers that are no text.
pub(crate) async fn exchange_bytes(address: SocketAddr, request: impl AsRef<[u8]>) -> Vec<u8> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // A server that has seen enough answers and closes before it has read everything.
        let _ = stream.write_all(request.as_ref()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answer
    };
    timeout(DEADLINE, exchange).await.expect("no answer")
}

/// The status of the first response in what [`exchange`] returns.
pub(crate) fn status(answer: &str) -> Option<u16> {
    answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

/// What [`exchange_bytes`] returns, as a response: one, with a body that ends with the connection.
pub(crate) fn parse(answer: &[u8]) -> Response<Bytes> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.expect("a whole head"));
    let head = std::str::from_utf8(head).unwrap();
    let mut response = Response::builder().status(status(head).expect("HTTP/1.1"));
    for line in head.split("\r\n").skip(1) {
        let (name, value) = line.split_once(": ").expect("a field");
        response = response.header(name, value);
    }
    response.body(body[4..].to_vec().into()).unwrap()
}

/// Frames of HTTP/2 (RFC 9113 §4.1) that no client library would write.
pub(crate) struct Frames(Vec<u8>);

impl Frames {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;

    /// One request on the first stream: these fields, in this order, and an empty message of gRPC.
    pub(crate) fn request(fields: &[(&str, &str)]) -> Self {
        let mut frames = Self(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec());
        frames.push(Self::SETTINGS, 0, 0, &[]);
        let mut block = Vec::new();
        for (name, value) in fields {
            // A literal that is not indexed, with a name of its own (RFC 7541 §6.2.2).
            block.push(0);
            for text in [name, value] {
                push_length(&mut block, text.len());
                block.extend_from_slice(text.as_bytes());
            }
        }
        frames.push(Self::HEADERS, Self::END_HEADERS, 1, &block);
        frames.push(Self::DATA, Self::END_STREAM, 1, &[0; 5]);
        frames
    }

    fn push(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        self.0.extend_from_slice(&length[1..]);
        self.0.extend_from_slice(&[kind, flags]);
        self.0.extend_from_slice(&stream.to_be_bytes());
        self.0.extend_from_slice(payload);
    }

    /// Writes them, and reads until the stream ends, or the connection. How, in a word.
    pub(crate) async fn exchange(&self, address: SocketAddr) -> &'static str {
        let exchange = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(&self.0).await.unwrap();
            let mut head = [0; 9];
            while stream.read_exact(&mut head).await.is_ok() {
                let [l1, l2, l3, kind, flags, s1, s2, s3, s4] = head;
                let length = u32::from_be_bytes([0, l1, l2, l3]) as usize;
                let mut payload = vec![0; length];
                if stream.read_exact(&mut payload).await.is_err() {
                    break;
                }
                let is_ours = u32::from_be_bytes([s1, s2, s3, s4]) == 1;
                match kind {
                    Self::RST_STREAM if is_ours => return "reset",
                    Self::GOAWAY => return "gone",
                    Self::HEADERS | Self::DATA if is_ours && flags & Self::END_STREAM != 0 => {
                        return "answered";
                    }
                    _ => {}
                }
            }
            "closed"
        };
        timeout(DEADLINE, exchange).await.expect("no answer")
    }
}

/// An integer with a prefix of seven bits (RFC 7541 §5.1).
fn push_length(block: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(127) else {
        return block.push(length.to_le_bytes()[0]);
    };
    block.push(127);
    while rest >= 128 {
        block.push((rest % 128).to_le_bytes()[0] | 128);
        rest /= 128;
    }
    block.push(rest.to_le_bytes()[0]);
}

/// A connection that speaks HTTP/2 from its first byte on.
#[derive(Clone)]
pub(crate) struct Http2(http2::SendRequest<Body>);

impl Http2 {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Bytes> {
        let mut sender = self.0.clone();
        let answer = async {
            sender.ready().await.unwrap();
            let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
            Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
        };
        timeout(DEADLINE, answer).await.expect("no answer")
    }
}
