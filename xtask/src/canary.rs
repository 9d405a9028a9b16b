//! That no token comes out of the tests: neither in what they print nor in the audit files that they leave.
//!
//! Found is what has the form of a signed JWT, and what the testkit mints as an opaque token.

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::step::Failure;

/// How opaque tokens of `gateless-testkit` begin, and how many characters come after that at least.
const OPAQUE: (&str, usize) = ("gateless-test-opaque-", 40);

/// How many places are named.
const NAMED: usize = 20;

/// Looks through files, and folders with all that is in them.
pub(crate) fn search(paths: &[PathBuf]) -> Result<(), Failure> {
    let mut places = Vec::new();
    let (mut files, mut bytes) = (0u64, 0u64);
    for path in paths {
        let searched = each_file(path, &mut |file| {
            files += 1;
            bytes += search_file(file, &mut places)?;
            Ok(())
        });
        searched.map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    }
    if places.is_empty() {
        eprintln!("    none in {files} files, {} KiB", bytes >> 10);
        return Ok(());
    }
    let more = places.len().saturating_sub(NAMED);
    places.truncate(NAMED);
    if more > 0 {
        places.push(format!("and {more} more"));
    }
    let places = places.join("\n  ");
    Err(Failure::new(format!("there is a token in\n  {places}")))
}

fn each_file(path: &Path, see: &mut impl FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    if !path.is_dir() {
        return see(path);
    }
    for entry in fs::read_dir(path)? {
        each_file(&entry?.path(), see)?;
    }
    Ok(())
}

/// Returns how many bytes were looked at.
fn search_file(path: &Path, places: &mut Vec<String>) -> io::Result<u64> {
    let mut reader = BufReader::new(fs::File::open(path)?);
    let (mut line, mut bytes, mut number) = (Vec::new(), 0, 0u64);
    loop {
        line.clear();
        match reader.read_until(b'\n', &mut line)? {
            0 => return Ok(bytes),
            read => bytes += read as u64,
        }
        number += 1;
        if has_token(&String::from_utf8_lossy(&line)) {
            places.push(format!("{}:{number}", path.display()));
        }
    }
}

/// Whether a line has a token in it, whatever stands around it.
fn has_token(line: &str) -> bool {
    let is_token = |c: char| is_base64url(c) || c == '.';
    let words = line.split(|c| !is_token(c));
    words.into_iter().any(has_jwt) || has_opaque(line)
}

fn has_jwt(word: &str) -> bool {
    let parts: Vec<_> = word.split('.').collect();
    parts.windows(3).any(|three| match three {
        [header, claims, signature] => {
            // Something may stick to its front, such as the `n` of an escaped line feed.
            let mut begins = header.match_indices("ey").map(|(begin, _)| begin);
            !signature.is_empty()
                && is_object(claims)
                && begins.any(|begin| header.get(begin..).is_some_and(is_object))
        }
        _ => false,
    })
}

fn has_opaque(line: &str) -> bool {
    let (prefix, least) = OPAQUE;
    line.match_indices(prefix).any(|(begin, _)| {
        let rest = line.get(begin + prefix.len()..).unwrap_or_default();
        rest.chars().take_while(|c| is_base64url(*c)).count() >= least
    })
}

const fn is_base64url(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

/// Whether it is an object of JSON, in base64url.
fn is_object(part: &str) -> bool {
    let bytes = decode(part).filter(|bytes| bytes.starts_with(b"{\""));
    let value = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    matches!(value, Some(Value::Object(_)))
}

fn decode(part: &str) -> Option<Vec<u8>> {
    let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::new());
    for digit in part.bytes() {
        let digit = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(digit)) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            let [.., byte] = (bits >> count).to_be_bytes();
            bytes.push(byte);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"alg":"none"}`, `{"sub":"alice"}`, and a signature.
    const TOKEN: &str = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl";

    fn opaque() -> String {
        format!("{}{}", OPAQUE.0, "x-Y_9".repeat(9))
    }

    #[test]
    fn a_token_is_found_whatever_stands_around_it() {
        for token in [TOKEN, &opaque()] {
            for line in [
                token.to_owned(),
                format!("authorization: Bearer {token}\n"),
                format!("{{\"token\":\"{token}\"}}"),
                format!("Credentials {{ text: {:?} }}", Some(token)),
                format!("{:?}", format!("a\n{token}\n")),
                format!("/orders?access_token={token}&x=y"),
                format!("\u{1b}[2m{token}\u{1b}[0m"),
                format!("a.b.{token}.c"),
            ] {
                assert!(has_token(&line), "{line}");
            }
        }
    }

    #[test]
    fn what_only_looks_a_little_like_a_token_is_none() {
        let (head, tail) = TOKEN.split_at(30);
        let (claims, signature) = TOKEN.rsplit_once('.').unwrap();
        for line in [
            "",
            "crate::module.method.call",
            "version 1.2.3, RFC 7519.4.1 and eyes.eyelid.eyebrow",
            // A hash, a signature and a chain of them, in base64url.
            "dbM9u1qYzP4HyAFt3aOZK2wVv6Qe0nJrLxEaWcTiSfk",
            "eyJhbGciOiJub25lIn0",
            "eyJhbGciOiJub25lIn0.eyJhbGciOiJub25lIn0",
            // Numbers are no objects: `1.2.3`.
            "MQ.Mg.Mw",
            "eyJhbGciOiJub25lIn0.c29tZSB0ZXh0.c2lnbmF0dXJl",
            "c29tZSB0ZXh0.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl",
            // Nobody can use it without its end; what is split is not put together.
            &format!("{claims}."),
            head,
            tail,
            signature,
            OPAQUE.0,
            "gateless-test-opaque-token",
        ] {
            assert!(!has_token(line), "{line}");
        }
    }

    #[test]
    fn the_place_is_named_and_the_token_is_not() {
        let folder = std::env::temp_dir().join(format!("xtask-canary-{}", std::process::id()));
        let below = folder.join("audit").join("test");
        fs::create_dir_all(&below).unwrap();
        fs::write(folder.join("output.log"), "nothing\nat all\n").unwrap();
        fs::write(below.join("audit.jsonl"), "{}\n").unwrap();
        let paths = [folder.join("output.log"), folder.join("audit")];
        assert!(search(&paths).is_ok());

        fs::write(below.join("audit.jsonl"), format!("{{}}\n{TOKEN}\n")).unwrap();
        let says = search(&paths).unwrap_err().to_string();
        assert!(says.ends_with("audit.jsonl:2"), "{says}");
        assert!(!says.contains("eyJ"), "{says}");
        assert!(search(&[folder.join("away")]).is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}
