//! The few bytes of protocol buffers and gRPC-Web that a refusal needs.
//!
//! Three nested messages of strings do not need a code generator; the test suite reads them back with tonic's own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

const LENGTH_DELIMITED: u8 = 2;

/// `google.rpc.Status` with a `google.rpc.ErrorInfo`, as the value of `grpc-status-details-bin`.
pub(crate) fn status_details(
    code: u8,
    message: &str,
    reason: &str,
    metadata: &[(&str, String)],
    retry_after_secs: Option<u64>,
) -> String {
    let mut info = Vec::new();
    text(&mut info, 1, reason);
    text(&mut info, 2, "gateless");
    for (key, value) in metadata {
        let mut entry = Vec::new();
        text(&mut entry, 1, key);
        text(&mut entry, 2, value);
        bytes(&mut info, 3, &entry);
    }

    let mut status = Vec::new();
    number(&mut status, 1, u64::from(code));
    text(&mut status, 2, message);
    any(
        &mut status,
        "type.googleapis.com/google.rpc.ErrorInfo",
        &info,
    );
    if let Some(secs) = retry_after_secs {
        let mut duration = Vec::new();
        number(&mut duration, 1, secs);
        let mut retry = Vec::new();
        bytes(&mut retry, 1, &duration);
        any(
            &mut status,
            "type.googleapis.com/google.rpc.RetryInfo",
            &retry,
        );
    }
    STANDARD_NO_PAD.encode(status)
}

/// A `google.protobuf.Any` in the `details` of a status.
fn any(status: &mut Vec<u8>, type_url: &str, value: &[u8]) {
    let mut any = Vec::new();
    text(&mut any, 1, type_url);
    bytes(&mut any, 2, value);
    bytes(status, 3, &any);
}

fn text(out: &mut Vec<u8>, field: u8, value: &str) {
    bytes(out, field, value.as_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    out.push(field << 3 | LENGTH_DELIMITED);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn number(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(field << 3);
    varint(out, value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

/// The trailers as a gRPC-Web frame: flag 0x80, length, and one `name: value` line each.
pub(crate) fn web_trailers<'a>(trailers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut block = String::new();
    for (name, value) in trailers {
        block.push_str(name);
        block.push(':');
        block.push_str(value);
        block.push_str("\r\n");
    }
    let length = u32::try_from(block.len()).expect("a handful of short trailers");
    let mut frame = vec![0x80];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(block.as_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_little_endian_groups_of_seven() {
        let encode = |value| {
            let mut out = Vec::new();
            varint(&mut out, value);
            out
        };
        assert_eq!(encode(0), [0]);
        assert_eq!(encode(127), [127]);
        assert_eq!(encode(300), [0xac, 0x02]);
        assert_eq!(encode(u64::MAX).len(), 10);
    }
}
