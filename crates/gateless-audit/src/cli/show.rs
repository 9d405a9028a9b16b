//! Texts for people. Whatever is in a log, only printable ASCII reaches the terminal.

use std::fmt::Write as _;

use crate::line;
use crate::record::time::Written;
use crate::record::{Entry, Event};

/// `text` with all else than printable ASCII written out.
pub(super) fn ascii(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            ' '..='~' => shown.push(char),
            _ => shown.extend(char.escape_unicode()),
        }
    }
    shown
}

/// A record as it stands in the log, or as it would be written if somebody else wrote it.
pub(super) fn record(text: &str, entry: &Entry<'_>) -> String {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    json(entry)
}

pub(super) fn json(value: &impl serde::Serialize) -> String {
    let mut line = Vec::new();
    line::write_json(value, &mut line);
    String::from_utf8(line).unwrap_or_default()
}

/// A value behind a name in a row: nothing in it looks like another name or the end of the value.
fn value(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            ' ' | '=' => shown.extend(char.escape_unicode()),
            _ => shown.push(char),
        }
    }
    shown
}

/// A record as a row.
pub(super) fn row(entry: &Entry<'_>) -> String {
    let mut row = format!("{} {:>8}", Written(entry.time), entry.seq);
    let mut word = |text: &str| {
        let _ = write!(row, " {}", if text.is_empty() { "-" } else { text });
    };
    match &entry.event {
        Event::Start(start) => {
            word("start");
            word(&entry.instance);
            word(&entry.boot.to_string());
            word(&start.software);
        }
        Event::Request(request) => {
            word(request.outcome.name());
            word(&request.status.map_or_else(String::new, |it| it.to_string()));
            word(&request.method);
            let place = request.grpc_method.as_ref().or(request.route.as_ref());
            word(place.map_or("", |it| it.as_str()));
            for (name, text) in [
                ("code", &request.code),
                ("reason", &request.reason),
                ("issuer", &request.issuer),
                ("subject", &request.subject),
                ("client", &request.client),
                ("token", &request.token),
                ("peer", &request.peer),
            ] {
                if let Some(text) = text {
                    word(&format!("{name}={}", value(text.as_str())));
                }
            }
            for flag in &request.flags {
                word(flag.name());
            }
        }
        Event::End(end) => {
            word("end");
            word(&format!("of={}", end.of));
            word(end.end.name());
        }
        Event::Repeated(repeated) => {
            word("repeated");
            word(&format!("of={}", repeated.of));
            word(&format!("count={}", repeated.count));
        }
        Event::Gap(gap) => {
            word("gap");
            word(&format!("lost={}", gap.lost));
            word(&format!("unserved={}", gap.unserved));
        }
        Event::Signal(signal) => {
            word("signal");
            word(signal.signal.name());
            word(&format!("count={}", signal.count));
            for (name, text) in [
                ("issuer", &signal.issuer),
                ("subject", &signal.subject),
                ("client", &signal.client),
                ("token", &signal.token),
                ("peer", &signal.peer),
                ("reason", &signal.reason),
            ] {
                if let Some(text) = text {
                    word(&format!("{name}={}", value(text.as_str())));
                }
            }
        }
        Event::Checkpoint(checkpoint) => {
            word("checkpoint");
            word(&format!("{}..{}", checkpoint.first, checkpoint.end));
            word(&checkpoint.key);
        }
        Event::Retired(retired) => {
            word("retired");
            word(&format!("files={}", retired.files));
        }
        Event::Stop => word("stop"),
    }
    ascii(&row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_a_row_cannot_look_like_another_one() {
        assert_eq!(value("x code=a"), "x\\u{20}code\\u{3d}a");
    }

    #[test]
    fn tl_01_nothing_but_printable_ascii_is_shown() {
        let shown = ascii("a\u{1b}[31m\r\n\u{202e}\u{9b}é~");
        assert_eq!(shown, "a\\u{1b}[31m\\u{d}\\u{a}\\u{202e}\\u{9b}\\u{e9}~");
    }
}
