//! What is known of a request when it comes in. It is copied: a record must not keep the buffers of a connection.

use std::net::IpAddr;

use gateless_audit::Protocol;
use gateless_core::{Monotonic, Wire};
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderName, Method, Uri};

use crate::gate::Head;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

pub(super) struct Arrival {
    pub(super) at: Monotonic,
    pub(super) method: &'static str,
    pub(super) wire: Wire,
    pub(super) peer: Option<IpAddr>,
    /// Of gRPC, where it has the form of a method: `orders.v1.Orders/List`.
    grpc_method: Short<160>,
    trace: Short<64>,
    agent: Short<160>,
}

impl Arrival {
    pub(super) fn new(head: Head<'_>, peer: Option<IpAddr>, at: Monotonic) -> Self {
        let wire = Wire::of(head.headers);
        Self {
            at,
            method: method(head.method),
            wire,
            peer,
            grpc_method: match wire {
                Wire::Http => Short::EMPTY,
                _ => grpc_method(head.uri),
            },
            trace: field(head.headers, &TRACEPARENT),
            agent: field(head.headers, &USER_AGENT),
        }
    }

    pub(super) const fn protocol(&self) -> Protocol {
        match self.wire {
            Wire::Grpc => Protocol::Grpc,
            Wire::GrpcWeb | Wire::GrpcWebText => Protocol::GrpcWeb,
            _ => Protocol::Http,
        }
    }

    pub(super) fn grpc_method(&self) -> Option<&str> {
        str::from_utf8(self.grpc_method.bytes()?).ok()
    }

    /// The field `traceparent`, if there is exactly one.
    pub(super) fn trace(&self) -> Option<&[u8]> {
        self.trace.bytes()
    }

    /// The beginning of `User-Agent`.
    pub(super) fn agent(&self) -> Option<&[u8]> {
        self.agent.bytes()
    }
}

/// Methods that are registered; clients can write anything.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => "OTHER",
    }
}

/// The method that a gRPC path names. Nobody has matched it yet, so it has to have the form of one, with names that are no longer
/// than names are: a token that somebody put into the path has no such form.
fn grpc_method(uri: &Uri) -> Short<160> {
    let method = uri.path().strip_prefix('/').unwrap_or_default();
    let is_name = |name: &str| {
        let mut bytes = name.bytes();
        name.len() <= 63
            && bytes
                .next()
                .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
            && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    match method.split_once('/') {
        Some((service, name)) if is_name(name) && service.split('.').all(is_name) => {
            Short::whole(method.as_bytes())
        }
        _ => Short::EMPTY,
    }
}

fn field<const N: usize>(headers: &HeaderMap, name: &HeaderName) -> Short<N> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Short::beginning(value.as_bytes()),
        _ => Short::EMPTY,
    }
}

/// A few bytes, without an allocation.
struct Short<const N: usize> {
    len: u8,
    bytes: [u8; N],
}

impl<const N: usize> Short<N> {
    const EMPTY: Self = Self {
        len: 0,
        bytes: [0; N],
    };

    fn beginning(bytes: &[u8]) -> Self {
        let len = bytes.len().min(N).min(usize::from(u8::MAX));
        let mut short = Self::EMPTY;
        for (to, from) in short.bytes.iter_mut().zip(bytes) {
            *to = *from;
        }
        short.len = u8::try_from(len).unwrap_or(u8::MAX);
        short
    }

    /// Nothing, if it does not fit.
    fn whole(bytes: &[u8]) -> Self {
        if bytes.len() > N {
            return Self::EMPTY;
        }
        Self::beginning(bytes)
    }

    fn bytes(&self) -> Option<&[u8]> {
        let bytes = self.bytes.get(..self.len.into())?;
        (!bytes.is_empty()).then_some(bytes)
    }
}
