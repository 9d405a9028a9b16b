//! The entries of `X-Forwarded-For` and `Forwarded`, and the addresses in them. Whatever is not exactly one is none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The elements of a list that may have quoted strings in it, the last one first.
///
/// From the right, because that is the side on which the proxy wrote that is trusted: an open quote further left, which a
/// client may well have sent, cannot swallow what was added behind it.
pub(super) struct FromTheRight<'a>(Option<&'a [u8]>);

impl<'a> FromTheRight<'a> {
    pub(super) const fn new(list: &'a [u8]) -> Self {
        Self(Some(list))
    }
}

impl<'a> Iterator for FromTheRight<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let list = self.0.take()?;
        let mut is_quoted = false;
        for (at, byte) in list.iter().enumerate().rev() {
            let (before, element) = (list.get(..at)?, list.get(at + 1..)?);
            match byte {
                b',' if !is_quoted => {
                    self.0 = Some(before);
                    return Some(element);
                }
                b'"' if !is_quoted => is_quoted = true,
                b'"' => is_quoted = is_escaped(before),
                _ => {}
            }
        }
        Some(list)
    }
}

/// Whether what comes after `before` is the second half of a quoted pair.
fn is_escaped(before: &[u8]) -> bool {
    let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\');
    backslashes.count() % 2 == 1
}

/// The node of the only `for` parameter of an element (RFC 7239 §4).
pub(super) fn forwarded_for(element: &[u8]) -> Option<&[u8]> {
    let mut found = None;
    let mut rest = element.trim_ascii();
    loop {
        // There may be semicolons with nothing in between.
        while let [b';' | b' ' | b'\t', behind @ ..] = rest {
            rest = behind;
        }
        if rest.is_empty() {
            return found;
        }
        let equals = rest.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (rest.get(..equals)?, rest.get(equals + 1..)?);
        let (value, behind) = match value {
            [b'"', quoted @ ..] => quoted_string(quoted)?,
            _ => value.split_at_checked(value.iter().take_while(|b| **b != b';').count())?,
        };
        rest = behind.trim_ascii_start();
        if !name.iter().all(is_token_char) || !matches!(rest, [] | [b';', ..]) {
            return None;
        }
        // Of two, each hop could believe another one.
        if name.eq_ignore_ascii_case(b"for") && found.replace(value).is_some() {
            return None;
        }
    }
}

/// `tchar`, RFC 9110 §5.6.2.
fn is_token_char(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

/// What stands before the closing quote, and behind it. Quoted pairs stay as they are: no address needs one.
fn quoted_string(quoted: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut is_pair = false;
    let end = quoted.iter().position(|byte| {
        let is_end = *byte == b'"' && !is_pair;
        is_pair = *byte == b'\\' && !is_pair;
        is_end
    })?;
    Some((quoted.get(..end)?, quoted.get(end + 1..)?))
}

/// An address with or without a port and a zone: `192.0.2.7`, `192.0.2.7:8080`, `2001:db8::7`, `[2001:db8::7]:8080`.
pub(super) fn address(node: &[u8]) -> Option<IpAddr> {
    let node = std::str::from_utf8(node.trim_ascii()).ok()?;
    if let Some(bracketed) = node.strip_prefix('[') {
        let (host, port) = bracketed.split_once(']')?;
        let is_whole = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return if is_whole { ipv6(host) } else { None };
    }
    match node.split_once(':') {
        None => ipv4(node),
        Some((host, port)) if !port.contains(':') => {
            if is_port(port) {
                ipv4(host)
            } else {
                None
            }
        }
        Some(_) => ipv6(node),
    }
}

fn ipv4(host: &str) -> Option<IpAddr> {
    host.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

fn ipv6(host: &str) -> Option<IpAddr> {
    let address = match host.split_once('%') {
        Some((address, zone)) if is_name(zone) => address,
        Some(_) => return None,
        None => host,
    };
    let address: Ipv6Addr = address.parse().ok()?;
    Some(address.to_canonical())
}

/// A number, or a name in its place that hides it (RFC 7239 §6.3).
fn is_port(port: &str) -> bool {
    match port.strip_prefix('_') {
        Some(name) => is_name(name),
        None => port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok(),
    }
}

fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
    !name.is_empty() && name.bytes().all(is_plain)
}
