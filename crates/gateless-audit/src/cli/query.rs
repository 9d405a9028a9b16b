//! Which records match.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use gateless_core::Timestamp;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{Failed, files, show};
use crate::ocsf::ocsf;
use crate::pseudonym::PseudonymKey;
use crate::record::{Entry, Event, Text};

#[derive(Args, Debug)]
pub(super) struct Query {
    /// The id of a token (`jti`), its pseudonym, or `-`: then an id or a whole token is read from standard input.
    #[arg(long, value_name = "ID")]
    token_id: Option<String>,
    /// The issuer of the token. Pseudonyms depend on it.
    #[arg(long)]
    issuer: Option<String>,
    /// A subject, or its pseudonym.
    #[arg(long)]
    subject: Option<String>,
    /// A client, or its pseudonym.
    #[arg(long)]
    client: Option<String>,
    /// The secret that made pseudonyms. Several, if it was changed.
    #[arg(long, value_name = "ID=FILE")]
    pseudonyms: Vec<String>,
    /// Why a request was refused, exactly.
    #[arg(long)]
    reason: Option<String>,
    /// The code of a refusal.
    #[arg(long)]
    code: Option<String>,
    /// A route, or a gRPC method.
    #[arg(long)]
    route: Option<String>,
    /// `allowed`, `denied`, `unavailable`, `failed`, `panicked` or `aborted`.
    #[arg(long)]
    outcome: Option<String>,
    /// An HTTP status.
    #[arg(long)]
    status: Option<u16>,
    /// A trace: 32 hex digits.
    #[arg(long)]
    trace: Option<String>,
    /// Not before this time: RFC 3339, or so long ago: `2h`, `15m`.
    #[arg(long, value_parser = moment)]
    since: Option<Timestamp>,
    /// Not after this time.
    #[arg(long, value_parser = moment)]
    until: Option<Timestamp>,
    /// Stop after so many.
    #[arg(long)]
    limit: Option<u64>,
    /// Print a table for people.
    #[arg(long, conflicts_with = "ocsf")]
    table: bool,
    /// Print OCSF events. Records that are no events are left out.
    #[arg(long)]
    ocsf: bool,
    /// The current file of a log, a folder, or single files.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

/// The names that somebody can have in the records: his own, and all pseudonyms.
type Names = Option<Vec<String>>;

struct Wanted<'a> {
    query: &'a Query,
    token: Names,
    subject: Names,
    client: Names,
}

impl Query {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<ExitCode, Failed> {
        let keys = self.keys()?;
        let wanted = Wanted {
            query: self,
            token: self.token_names(&keys)?,
            subject: self.names(self.subject.as_deref(), &keys, PseudonymKey::subject)?,
            client: self.names(self.client.as_deref(), &keys, PseudonymKey::client)?,
        };
        let mut left = self.limit.unwrap_or(u64::MAX);
        let others = files::each_record(&files::of(&self.paths)?, |text, entry| {
            if left == 0 {
                return Ok(false);
            }
            if wanted.matches(entry) {
                let shown = if self.table {
                    Some(show::row(entry))
                } else if self.ocsf {
                    ocsf(entry).map(|event| show::json(&event))
                } else {
                    Some(show::record(text, entry))
                };
                if let Some(shown) = shown {
                    writeln!(out, "{shown}")?;
                    left -= 1;
                }
            }
            Ok(true)
        })?;
        if others > 0 {
            out.flush()?;
            eprintln!("gateless-audit: {others} lines are no records: see `verify`");
        }
        Ok(ExitCode::SUCCESS)
    }

    fn keys(&self) -> Result<Vec<PseudonymKey>, Failed> {
        let mut keys = Vec::new();
        for text in &self.pseudonyms {
            let failed = || Failed::says("--pseudonyms is ID=FILE");
            let (id, file) = text.split_once('=').ok_or_else(failed)?;
            let secret = Zeroizing::new(files::text(file.as_ref())?);
            let cut = secret.strip_suffix('\n').unwrap_or(&secret);
            let cut = cut.strip_suffix('\r').unwrap_or(cut);
            // A service may have read the file with its line feed, or without.
            let key = |secret: &str| {
                PseudonymKey::new(id, secret.as_bytes())
                    .map_err(|error| Failed::says(format!("--pseudonyms: {error}")))
            };
            keys.push(key(cut)?);
            if cut.len() < secret.len() {
                keys.push(key(&secret)?);
            }
        }
        Ok(keys)
    }

    fn names(
        &self,
        name: Option<&str>,
        keys: &[PseudonymKey],
        pseudonym: impl Fn(&PseudonymKey, &str, &str) -> String,
    ) -> Result<Names, Failed> {
        let Some(name) = name else {
            return Ok(None);
        };
        if jwt(name).is_some() {
            return Err(Failed::says(
                "this looks like a token: others see arguments, so give `--token-id -` and the token on standard input",
            ));
        }
        // A long name is cut in a record.
        let mut names = vec![Text::from(name).to_string()];
        match &self.issuer {
            Some(issuer) => names.extend(keys.iter().map(|key| pseudonym(key, issuer, name))),
            None if keys.is_empty() => {}
            None => return Err(Failed::says("a pseudonym needs --issuer too")),
        }
        Ok(Some(names))
    }

    fn token_names(&self, keys: &[PseudonymKey]) -> Result<Names, Failed> {
        if self.token_id.as_deref() != Some("-") {
            return self.names(self.token_id.as_deref(), keys, PseudonymKey::token);
        }
        if keys.is_empty() {
            return Err(Failed::says("a token is found with --pseudonyms only"));
        }
        let mut text = Zeroizing::new(String::new());
        let read = io::stdin().lock().read_line(&mut text);
        read.map_err(|error| Failed::says(format!("standard input: {error}")))?;
        token(text.trim(), self.issuer.as_deref(), keys).map(Some)
    }
}

/// The pseudonyms of a token that somebody has, or of its id.
fn token(text: &str, issuer: Option<&str>, keys: &[PseudonymKey]) -> Result<Vec<String>, Failed> {
    if text.is_empty() {
        return Err(Failed::says("standard input holds no token"));
    }
    if let Some((signed, claims)) = jwt(text) {
        let claim = |name| claims.get(name).and_then(serde_json::Value::as_str);
        // The stage may have named it by its digest, and under the issuer that it is configured for.
        let issuers: BTreeSet<_> = claim("iss").into_iter().chain(issuer).collect();
        if issuers.is_empty() {
            return Err(Failed::says(
                "the token names no issuer: --issuer is needed",
            ));
        }
        let digest: [u8; 32] = Sha256::digest(signed).into();
        let mut names = Vec::new();
        for key in keys {
            for issuer in &issuers {
                names.extend(claim("jti").map(|id| key.token(issuer, id)));
                names.push(key.token_digest(issuer, &digest));
            }
        }
        return Ok(names);
    }
    let Some(issuer) = issuer else {
        return Err(Failed::says(
            "a token that does not name its issuer needs --issuer too",
        ));
    };
    let digest: [u8; 32] = Sha256::digest(text).into();
    let of = |key: &PseudonymKey| [key.token(issuer, text), key.token_digest(issuer, &digest)];
    Ok(keys.iter().flat_map(of).collect())
}

/// The part of a JWT that is signed, and its claims. Nothing is verified: it only says what to look for.
fn jwt(text: &str) -> Option<(&str, serde_json::Map<String, serde_json::Value>)> {
    let (signed, signature) = text.rsplit_once('.')?;
    let (_, claims) = signed.split_once('.')?;
    if signature.is_empty() || claims.contains('.') {
        return None;
    }
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    Some((signed, serde_json::from_slice(&claims).ok()?))
}

impl Wanted<'_> {
    fn matches(&self, entry: &Entry<'_>) -> bool {
        let query = self.query;
        if query.since.is_some_and(|since| entry.time < since)
            || query.until.is_some_and(|until| entry.time > until)
        {
            return false;
        }
        let is = |wanted: &Option<String>, is: Option<&Text<'_>>| match wanted {
            Some(wanted) => is.is_some_and(|is| **is == **wanted),
            None => true,
        };
        let is_one = |wanted: &Names, is: Option<&Text<'_>>| match wanted {
            Some(names) => is.is_some_and(|is| names.iter().any(|name| **is == **name)),
            None => true,
        };
        match &entry.event {
            Event::Request(request) => {
                let places = [request.route.as_ref(), request.grpc_method.as_ref()];
                let trace = request.trace.as_ref().map(|trace| trace.to_string());
                is_one(&self.token, request.token.as_ref())
                    && is_one(&self.subject, request.subject.as_ref())
                    && is_one(&self.client, request.client.as_ref())
                    && is(&query.issuer, request.issuer.as_ref())
                    && is(&query.reason, request.reason.as_ref())
                    && is(&query.code, request.code.as_ref())
                    && (query.route.is_none() || places.iter().any(|it| is(&query.route, *it)))
                    && query
                        .outcome
                        .as_deref()
                        .is_none_or(|it| request.outcome.name() == it)
                    && query.status.is_none_or(|it| request.status == Some(it))
                    && (query.trace.is_none() || query.trace == trace)
            }
            Event::Signal(signal) if !self.is_about_requests() => {
                is_one(&self.token, signal.token.as_ref())
                    && is_one(&self.subject, signal.subject.as_ref())
                    && is_one(&self.client, signal.client.as_ref())
                    && is(&query.issuer, signal.issuer.as_ref())
                    && is(&query.reason, signal.reason.as_ref())
            }
            _ => {
                let names = [&self.token, &self.subject, &self.client];
                !self.is_about_requests()
                    && names.iter().all(|it| it.is_none())
                    && query.issuer.is_none()
                    && query.reason.is_none()
            }
        }
    }

    /// Whether something is asked for that only requests have.
    const fn is_about_requests(&self) -> bool {
        let query = self.query;
        query.code.is_some()
            || query.route.is_some()
            || query.outcome.is_some()
            || query.status.is_some()
            || query.trace.is_some()
    }
}

/// RFC 3339, or how long ago.
fn moment(text: &str) -> Result<Timestamp, &'static str> {
    const HOW: &str =
        "neither a time such as 2026-11-22T20:09:11Z nor how long ago, such as 15m, 2h or 7d";
    if let Ok(time) = crate::record::time::parse(text) {
        return Ok(time);
    }
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or(HOW)?;
    let secs = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(HOW),
    };
    let number: u64 = number.parse().map_err(|_| HOW)?;
    let ago = std::time::Duration::from_secs(number.saturating_mul(secs));
    Ok(super::now().saturating_sub(ago))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_looked_for_by_its_id_or_by_its_digest() {
        let key = PseudonymKey::new("k", &[7; 32]).unwrap();
        let keys = [key.clone()];
        let idp = "https://idp.example.com";
        let jwt = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        let with_id = jwt(r#"{"iss":"https://idp.example.com","jti":"1"}"#);
        let names = token(&with_id, Some("https://other.example.com"), &keys).unwrap();
        assert!(names.contains(&key.token(idp, "1")));
        assert!(names.contains(&key.token("https://other.example.com", "1")));
        // A stage that remembers no ids has its digest.
        let (signed, _) = with_id.rsplit_once('.').unwrap();
        let digest = key.token_digest(idp, &Sha256::digest(signed).into());
        assert!(names.contains(&digest) && names.len() == 4);
        let without = jwt(r#"{"iss":"https://idp.example.com"}"#);
        let (signed, _) = without.rsplit_once('.').unwrap();
        let digest = key.token_digest(idp, &Sha256::digest(signed).into());
        assert_eq!(token(&without, None, &keys).unwrap(), [digest]);
        let opaque = token("opaque", Some(idp), &keys).unwrap();
        assert!(opaque.contains(&key.token_digest(idp, &Sha256::digest("opaque").into())));
        assert!(opaque.contains(&key.token(idp, "opaque")));
        assert!(token("opaque", None, &keys).is_err());
        assert!(token(&jwt("{}"), None, &keys).is_err());
        assert!(token("", Some(idp), &keys).is_err());
    }

    #[test]
    fn a_time_is_a_moment_or_how_long_ago() {
        assert_eq!(
            moment("1970-01-01T01:00:00.5+01:00"),
            Ok(Timestamp::from_millis(500))
        );
        for (text, secs) in [("90s", 90), ("15m", 900), ("2h", 7200), ("7d", 604_800)] {
            let ago = super::super::now().since(moment(text).unwrap()).as_secs();
            assert!((secs..secs + 5).contains(&ago), "{text}: {ago}");
        }
        for text in ["", "h", "2", "2w", "-2h", "é", "2026-11-22"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
