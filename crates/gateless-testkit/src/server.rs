//! The HTTP side of an issuer: discovery, key set and introspection on a socket of this machine.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::caching;
use crate::fault::{Fault, header_value};
use crate::introspection::Introspection;
use crate::payload::Payload;
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
        async move { answer(&site, request).await }
    });
    // An error here is a client that went away, or a fault that was asked for.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// An error in place of an answer closes the connection.
async fn answer(site: &Site, request: Request<Incoming>) -> io::Result<Response<Payload>> {
    if request.uri().path() == Introspection::PATH {
        if request.method() != Method::POST {
            return Ok(respond(StatusCode::METHOD_NOT_ALLOWED));
        }
        let _handling = site.introspection.endpoint.receive();
        let (good, fault) = site.introspection.answer(&site.keys, request).await;
        return send(good, fault);
    }
    let Some(document) = Document::at(request.uri().path()) else {
        return Ok(respond(StatusCode::NOT_FOUND));
    };
    if request.method() != Method::GET {
        return Ok(respond(StatusCode::METHOD_NOT_ALLOWED));
    }
    publish(site, document, &request).await
}

async fn publish<B>(
    site: &Site,
    document: Document,
    request: &Request<B>,
) -> io::Result<Response<Payload>> {
    let endpoint = site.endpoint(document);
    let _handling = endpoint.receive();
    let fault = endpoint.fault().await;
    // Read only now: keys may have been rotated while the request was left hanging.
    let instead = fault.as_ref().and_then(|it| it.content(document.empty()));
    let content = instead.unwrap_or_else(|| site.content(document).into());
    let fields = site.caching_fields(document, &content);
    let mut response = if fault.is_none() && caching::is_current(request.headers(), &fields) {
        site.caching.count_not_modified();
        respond(StatusCode::NOT_MODIFIED)
    } else {
        let content_type = HeaderValue::from_static(document.content_type());
        let mut good = Response::new(content);
        good.headers_mut().insert(CONTENT_TYPE, content_type);
        send(good, fault)?
    };
    response.headers_mut().extend(fields);
    Ok(response)
}

/// A good answer, as the fault has it.
fn send(good: Response<Bytes>, fault: Option<Fault>) -> io::Result<Response<Payload>> {
    let (mut head, content) = good.into_parts();
    let headers = &mut head.headers;
    let length = content.len();
    let payload = match fault {
        None | Some(Fault::Hang | Fault::Slow(_) | Fault::EmptySet) => Payload::Whole(content),
        Some(Fault::Status(code) | Fault::SlowStatus { status: code, .. }) => {
            head.status = StatusCode::from_u16(code).expect("vetted when the fault was set");
            Payload::Whole(content)
        }
        Some(Fault::Redirect(to)) => {
            head.status = StatusCode::FOUND;
            headers.insert(LOCATION, header_value(&to));
            Payload::Whole(content)
        }
        Some(Fault::Body(content_type, _)) => {
            headers.insert(CONTENT_TYPE, header_value(&content_type));
            Payload::Whole(content)
        }
        Some(Fault::Encoded { encoding, .. }) => {
            headers.insert(CONTENT_ENCODING, header_value(&encoding));
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            Payload::Whole(content)
        }
        Some(Fault::Truncated) => {
            headers.insert(CONTENT_LENGTH, length.into());
            Payload::Cut(content.slice(..length / 2))
        }
        Some(Fault::Drip { every }) => Payload::drip(content, every),
        Some(Fault::Endless) => {
            head.status = StatusCode::OK;
            Payload::Endless
        }
        Some(Fault::Disconnect) => return Err(io::ErrorKind::ConnectionAborted.into()),
    };
    Ok(Response::from_parts(head, payload))
}

fn respond(status: StatusCode) -> Response<Payload> {
    let mut response = Response::new(Payload::Whole(Bytes::new()));
    *response.status_mut() = status;
    response
}
