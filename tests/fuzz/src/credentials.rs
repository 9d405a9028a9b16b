//! Where a token stands in a request: each line of the input is a header field or the query of one request.
//!
//! Nobody gets in without a token of ours in one place, and in that one only.

use std::sync::LazyLock;

use bytes::Bytes;
use gateless::bearer::{BearerAuth, Credentials, CsrfDefence};
use http::{HeaderName, HeaderValue, Request};
use http_body_util::Full;

use crate::Target;
use crate::kit;
use crate::token::is_known;

pub(crate) const TARGET: Target = Target {
    name: "credentials",
    run,
    made,
    words: &[
        "A",
        "C",
        "H",
        "Q",
        "O",
        "\n",
        "Bearer ",
        "bearer ",
        "BEARER  ",
        "Bearer",
        "Basic ",
        "DPoP ",
        "session=",
        "access_token=",
        "; ",
        ";",
        "&",
        "=",
        ",",
        "\t",
        "\u{a0}",
        "https://app.example.com",
        "\"",
    ],
    rounds: 6_000,
};

static AUTH: LazyLock<BearerAuth> = LazyLock::new(|| {
    let credentials = Credentials::new()
        .header(HeaderName::from_static("x-token"))
        .cookie(
            "session",
            CsrfDefence::Origins(vec!["https://app.example.com".into()]),
        )
        .danger_query_parameter("access_token");
    kit::auth().credentials(credentials).build().unwrap()
});

/// Checks what comes of a request with these fields.
pub(crate) fn run(data: &[u8]) -> bool {
    let Some(request) = read(data) else {
        return false;
    };
    let reading = Reading::of(&request);
    let answer = kit::send(&*AUTH, request);
    let Some(caller) = answer.caller() else {
        // An answer to credentials in a query is private as all refusals are: the same few.
        is_known(&answer, false);
        assert!(!reading.is_clear(), "a good token in one place is refused");
        return false;
    };
    assert_eq!(
        reading.subject(),
        Some(caller),
        "let in without a token of ours, or with more than one"
    );
    assert!(
        reading.authorizations <= 1,
        "two credentials, and one of them was chosen"
    );
    assert!(
        !reading.has_cookie || reading.has_origin,
        "a cookie from nobody knows where"
    );
    true
}

fn read(data: &[u8]) -> Option<Request<Full<Bytes>>> {
    let mut request = Request::post("/orders");
    for line in data.split(|byte| *byte == b'\n') {
        let Some((kind, value)) = line.split_first() else {
            continue;
        };
        let name = match kind {
            b'A' => "authorization",
            b'C' => "cookie",
            b'H' => "x-token",
            b'O' => "origin",
            b'Q' => {
                let query = std::str::from_utf8(value).ok()?;
                let uri: http::Uri = format!("/orders?{query}").parse().ok()?;
                request = request.uri(uri);
                continue;
            }
            _ => continue,
        };
        request = request.header(name, HeaderValue::from_bytes(value).ok()?);
    }
    Some(request.body(Full::default()).unwrap())
}

/// The request as the manual has it, read plainly.
struct Reading {
    /// What stands in each place where a token may stand, token or not.
    presented: Vec<Vec<u8>>,
    authorizations: usize,
    has_cookie: bool,
    /// Exactly one, and ours.
    has_origin: bool,
    /// `Authorization` with something else in it.
    has_other_scheme: bool,
}

impl Reading {
    fn of<B>(request: &Request<B>) -> Self {
        let values = |name: &str| -> Vec<&[u8]> {
            let values = request.headers().get_all(name).iter();
            values.map(HeaderValue::as_bytes).collect()
        };
        let mut presented: Vec<Vec<u8>> = Vec::new();
        let mut has_other_scheme = false;
        let authorizations = values("authorization");
        for value in &authorizations {
            let (scheme, token) = value.split_at(value.len().min("Bearer ".len()));
            if scheme.eq_ignore_ascii_case(b"Bearer ") {
                let spaces = token.iter().take_while(|byte| **byte == b' ').count();
                presented.push(token[spaces..].to_vec());
            } else {
                has_other_scheme = true;
            }
        }
        presented.extend(values("x-token").iter().map(|value| value.to_vec()));
        let cookies = values("cookie").join(&b';');
        let session: Vec<_> = cookies
            .split(|byte| *byte == b';')
            .filter_map(|pair| pair.trim_ascii().strip_prefix(b"session="))
            .collect();
        presented.extend(session.iter().map(|value| value.to_vec()));
        let query = request.uri().query().unwrap_or_default().split('&');
        let query = query.filter_map(|pair| pair.strip_prefix("access_token="));
        presented.extend(query.map(|value| value.as_bytes().to_vec()));
        Self {
            presented,
            authorizations: authorizations.len(),
            has_cookie: !session.is_empty(),
            has_origin: values("origin") == [b"https://app.example.com"],
            has_other_scheme,
        }
    }

    /// Whose token it is that stands in one place, and in no other.
    fn subject(&self) -> Option<&'static str> {
        let [only] = &self.presented[..] else {
            return None;
        };
        let mut subjects = kit::good_tokens().iter().zip(["user-1", "client-1"]);
        subjects
            .find(|(good, _)| *good.as_bytes() == **only)
            .map(|(_, subject)| subject)
    }

    /// Nothing speaks against it.
    fn is_clear(&self) -> bool {
        self.subject().is_some()
            && (!self.has_cookie || self.has_origin)
            && !self.has_other_scheme
            && self.authorizations <= 1
    }
}

fn made() -> Vec<Vec<u8>> {
    let [good, other] = kit::good_tokens() else {
        panic!("two of them");
    };
    let (signed, _) = good.rsplit_once('.').unwrap();
    let unsigned = format!("{signed}.");
    [
        format!("ABearer {good}"),
        format!("Abearer  {good}"),
        format!("H{good}"),
        format!("Ca=b; session={good}; c=d\nOhttps://app.example.com"),
        format!("Ca=b; session={good}; c=d"),
        format!("Qaccess_token={good}&a=b"),
        format!("ABearer {good}\nQaccess_token={good}"),
        format!("ABearer {good}\nABasic eDp5"),
        format!("ADPoP {good}"),
        "ABearer".to_owned(),
        format!("H{other}"),
        format!("H{good}\nH{good}"),
        format!("H{good}\nQaccess_token={good}"),
        format!("Qaccess_token={good}&access_token={other}"),
        format!("Csession={good}\nCsession={good}\nOhttps://app.example.com"),
        format!("Csession={good}\nOhttps://app.example.com\nOhttps://evil.example.com"),
        format!("Csession={good}\nOhttps://app.example.com.evil.example.com"),
        format!("ABasic eDp5\nCsession={good}\nOhttps://app.example.com"),
        format!("Cxsession={good}; session=\"{good}\"\nOhttps://app.example.com"),
        format!("ABearer\t{good}"),
        format!("ABearer {good}, Bearer {good}"),
        format!("ABearer {good}A"),
        format!("H{}", good.replace('.', "..")),
        format!("Qaccess_token={unsigned}"),
    ]
    .map(String::into_bytes)
    .into()
}
