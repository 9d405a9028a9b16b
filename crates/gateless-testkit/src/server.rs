//! The HTTP side of an issuer: discovery and key set on a socket of this machine.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::fault::Fault;
use crate::site::{Document, Site};

/// A running server. Dropping it stops it, and with it every connection.
pub(crate) struct Server {
    address: SocketAddr,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Server {
    /// Serves `site` in a task of the current runtime.
    pub(crate) fn start(listener: TcpListener, address: SocketAddr, site: Arc<Site>) -> Self {
        Self {
            address,
            task: Mutex::new(Some(tokio::spawn(accept(listener, site)))),
        }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it; afterwards the port is closed.
    pub(crate) async fn stop(&self) {
        if let Some(task) = self.take() {
            task.abort();
            // Cancelled is what it is meant to be.
            let _ = task.await;
        }
    }

    fn take(&self) -> Option<JoinHandle<()>> {
        self.task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(task) = self.take() {
            task.abort();
        }
    }
}

/// The connections belong to this future, so that none of them outlives it: not even one that is left hanging.
async fn accept(listener: TcpListener, site: Arc<Site>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { connections.spawn(converse(stream, Arc::clone(&site))); }
                // Out of file descriptors, most likely: let the process close some.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(stream: TcpStream, site: Arc<Site>) {
    let service = service_fn(|request| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(answer(&site, &request).await) }
    });
    // An error here is a client that went away, or a fault that was asked for.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer<B>(site: &Site, request: &Request<B>) -> Response<Payload> {
    let Some(document) = Document::at(request.uri().path()) else {
        return respond(StatusCode::NOT_FOUND, Payload::whole(Bytes::new()));
    };
    if request.method() != Method::GET {
        return respond(StatusCode::METHOD_NOT_ALLOWED, Payload::whole(Bytes::new()));
    }

    let fault = site.endpoint(document).receive().await;
    // Read only now: keys may have been rotated while the request was left hanging.
    let content = Bytes::from(site.content(document));
    let length = content.len();
    let mut response = match fault {
        None | Some(Fault::Hang | Fault::Slow(_)) => {
            respond(StatusCode::OK, Payload::whole(content))
        }
        Some(Fault::Status(code)) => respond(
            StatusCode::from_u16(code).expect("vetted when the fault was set"),
            Payload::whole(content),
        ),
        Some(Fault::Redirect(to)) => {
            let mut response = respond(StatusCode::FOUND, Payload::whole(content));
            response.headers_mut().insert(LOCATION, header(&to));
            response
        }
        Some(Fault::EmptySet) => {
            let empty = Bytes::from_static(document.empty().as_bytes());
            respond(StatusCode::OK, Payload::whole(empty))
        }
        Some(Fault::Truncated) => {
            let half = content.slice(..length / 2);
            let mut response = respond(StatusCode::OK, Payload::cut_after(half));
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
            response
        }
        Some(Fault::Body(content_type, body)) => {
            let mut response = respond(StatusCode::OK, Payload::whole(body.into()));
            let content_type = header(&content_type);
            response.headers_mut().insert(CONTENT_TYPE, content_type);
            return response;
        }
    };
    let content_type = HeaderValue::from_static(document.content_type());
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn respond(status: StatusCode, payload: Payload) -> Response<Payload> {
    let mut response = Response::new(payload);
    *response.status_mut() = status;
    response
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("vetted when the fault was set")
}

/// A body that is sent whole, or breaks off.
struct Payload {
    content: Option<Bytes>,
    then: Then,
}

enum Then {
    End,
    /// What was written has to leave first: hyper does not flush in front of an error.
    Flush,
    Break,
}

impl Payload {
    const fn whole(content: Bytes) -> Self {
        Self {
            content: Some(content),
            then: Then::End,
        }
    }

    const fn cut_after(content: Bytes) -> Self {
        Self {
            content: Some(content),
            then: Then::Flush,
        }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(content) = self.content.take() {
            return Poll::Ready(Some(Ok(Frame::data(content))));
        }
        match self.then {
            Then::End => Poll::Ready(None),
            Then::Flush => {
                self.then = Then::Break;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Then::Break => Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into()))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.content, &self.then) {
            (content, Then::End) => {
                SizeHint::with_exact(content.as_ref().map_or(0, |it| it.len() as u64))
            }
            _ => SizeHint::default(),
        }
    }
}
