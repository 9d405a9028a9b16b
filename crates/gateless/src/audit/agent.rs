//! What kind of client a request says that it comes from.
//!
//! Clients say what they like, so this is a hint for whoever reads records. It is one of a closed set of names: no text of a client
//! gets into a record, and a metric could count them.

/// A family, and how a word of the field tells it.
type Family = (&'static str, &'static [Word]);

/// A word of the field, in small letters.
enum Word {
    Is(&'static str),
    Begins(&'static str),
    Ends(&'static str),
}
use Word::{Begins, Ends, Is};

/// The first one of which there is a word. The order matters: Edge says that it is Chrome, and Chrome that it is Safari; gRPC
/// names the language or the HTTP client below it; a crawler says that it is a browser, and a library what it runs on.
const FAMILIES: &[Family] = &[
    (
        "bot",
        &[
            Ends("bot"),
            Begins("googlebot"),
            Begins("adsbot"),
            Ends("spider"),
            Ends("crawler"),
            Is("slurp"),
            Begins("facebookexternalhit"),
            Is("mediapartners-google"),
            Is("ia_archiver"),
        ],
    ),
    ("postman", &[Begins("postman")]),
    ("grpc", &[Begins("grpc"), Is("tonic")]),
    ("php", &[Is("php"), Is("guzzlehttp"), Is("symfony")]),
    ("curl", &[Is("curl"), Is("libcurl"), Is("libcurl-agent")]),
    ("wget", &[Is("wget"), Is("wget2")]),
    ("okhttp", &[Is("okhttp")]),
    ("edge", &[Is("edg"), Is("edge"), Is("edga"), Is("edgios")]),
    ("opera", &[Is("opr"), Is("opera"), Is("opios"), Is("opt")]),
    ("firefox", &[Is("firefox"), Is("fxios")]),
    (
        "chrome",
        &[
            Is("chrome"),
            Is("chromium"),
            Is("crios"),
            Is("headlesschrome"),
        ],
    ),
    ("safari", &[Is("safari")]),
    (
        "python",
        &[
            Begins("python"),
            Is("aiohttp"),
            Begins("urllib"),
            Is("httpie"),
        ],
    ),
    (
        "node",
        &[
            Is("node"),
            Begins("node-"),
            Is("undici"),
            Is("axios"),
            Is("got"),
        ],
    ),
    ("go", &[Is("go"), Begins("go-http"), Begins("go-resty")]),
    ("ruby", &[Is("ruby"), Is("faraday"), Is("rest-client")]),
    ("dotnet", &[Begins("dotnet"), Is("restsharp")]),
    ("rust", &[Is("reqwest"), Is("hyper"), Is("ureq")]),
    (
        "java",
        &[
            Is("java"),
            Begins("java-"),
            Begins("apache-http"),
            Is("reactornetty"),
            Is("dalvik"),
        ],
    ),
];

/// How much of a field is looked at. The longest of browsers have about 250 bytes.
const LOOKED_AT: usize = 512;

/// The family of a client by its field `User-Agent`, or `other`.
pub(super) fn family(user_agent: &[u8]) -> &'static str {
    let looked_at = user_agent.get(..LOOKED_AT).unwrap_or(user_agent);
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let words = looked_at.split(|byte| !is_word(byte));
    let ranks = words.filter_map(|word| {
        let mut families = FAMILIES.iter();
        families.position(|(_, tells)| tells.iter().any(|tells| tells.is_told_by(word)))
    });
    let first = ranks.min().and_then(|rank| FAMILIES.get(rank));
    first.map_or("other", |(name, _)| name)
}

impl Word {
    fn is_told_by(&self, word: &[u8]) -> bool {
        let (part, text) = match self {
            Is(text) => (Some(word), text),
            Begins(text) => (word.get(..text.len()), text),
            Ends(text) => {
                let start = word.len().checked_sub(text.len());
                (start.and_then(|start| word.get(start..)), text)
            }
        };
        part.is_some_and(|part| part.eq_ignore_ascii_case(text.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("curl", "curl/8.5.0")]
    #[case("curl", "libcurl-agent/1.0")]
    #[case(
        "curl",
        "curl/7.68.0 (x86_64-pc-linux-gnu) libcurl/7.68.0 OpenSSL/1.1.1f zlib/1.2.11"
    )]
    #[case("wget", "Wget/1.21.4")]
    #[case("wget", "Wget2/2.1.0")]
    #[case("grpc", "grpc-go/1.62.1")]
    #[case("grpc", "grpc-java-netty/1.58.0")]
    #[case("grpc", "grpc-java-okhttp/1.58.0")]
    #[case("grpc", "grpc-python/1.62.0 grpc-c/39.0.0 (linux; chttp2)")]
    #[case("grpc", "grpc-node-js/1.10.1")]
    #[case(
        "grpc",
        "grpc-dotnet/2.61.0 (.NET 8.0.3; CLR 8.0.3; net8.0; linux; x64)"
    )]
    #[case("grpc", "orders/1.0 tonic/0.14.2")]
    #[case("grpc", "grpcurl/v1.8.9 grpc-go/1.57.0")]
    #[case(
        "chrome",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0.0.0 Safari/537.36"
    )]
    #[case(
        "chrome",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/122.0.6261.62 Mobile/15E148 Safari/604.1"
    )]
    #[case(
        "chrome",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/122.0.0.0 Safari/537.36"
    )]
    #[case(
        "firefox",
        "Mozilla/5.0 (X11; Linux x86_64; rv:123.0) Gecko/20100101 Firefox/123.0"
    )]
    #[case(
        "firefox",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 14_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/123.0 Mobile/15E148 Safari/605.1.15"
    )]
    #[case(
        "safari",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_3) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.3 Safari/605.1.15"
    )]
    #[case(
        "safari",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.3 Mobile/15E148 Safari/604.1"
    )]
    #[case(
        "edge",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0.0.0 Safari/537.36 Edg/122.0.0.0"
    )]
    #[case(
        "edge",
        "Mozilla/5.0 (Linux; Android 10; Pixel 3 XL) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0.6261.64 Mobile Safari/537.36 EdgA/121.0.2277.138"
    )]
    #[case(
        "edge",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/64.0.3282.140 Safari/537.36 Edge/18.17763"
    )]
    #[case(
        "opera",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/121.0.0.0 Safari/537.36 OPR/107.0.0.0"
    )]
    #[case("opera", "Opera/9.80 (Windows NT 6.1) Presto/2.12.388 Version/12.18")]
    #[case("okhttp", "okhttp/4.12.0")]
    #[case("java", "Java/17.0.10")]
    #[case("java", "Java-http-client/21.0.2")]
    #[case("java", "Apache-HttpClient/4.5.14 (Java/17.0.10)")]
    #[case("java", "ReactorNetty/1.1.16")]
    #[case("python", "python-requests/2.31.0")]
    #[case("python", "Python-urllib/3.11")]
    #[case("python", "Python/3.11 aiohttp/3.9.3")]
    #[case("python", "python-httpx/0.27.0")]
    #[case("go", "Go-http-client/2.0")]
    #[case("go", "go-resty/2.11.0 (https://github.com/go-resty/resty)")]
    #[case("node", "node")]
    #[case("node", "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)")]
    #[case("node", "undici")]
    #[case("node", "axios/1.6.7")]
    #[case("ruby", "Ruby")]
    #[case("ruby", "Faraday v2.9.0")]
    #[case("ruby", "rest-client/2.1.0 (linux x86_64) ruby/3.2.2p53")]
    #[case("php", "GuzzleHttp/7")]
    #[case("php", "Symfony HttpClient (Curl)")]
    #[case("dotnet", "RestSharp/110.2.0.0")]
    #[case("dotnet", "dotnet/8.0")]
    #[case("rust", "reqwest/0.12.0")]
    #[case("rust", "ureq/2.9.6")]
    #[case("rust", "orders hyper/1.2")]
    #[case("postman", "PostmanRuntime/7.36.3")]
    #[case(
        "postman",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Postman/10.23.5 Chrome/114.0.5735.289 Electron/25.8.4 Safari/537.36"
    )]
    #[case(
        "bot",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
    )]
    #[case(
        "bot",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/116.0.1938.76 Safari/537.36"
    )]
    #[case("bot", "Googlebot-Image/1.0")]
    #[case(
        "bot",
        "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)"
    )]
    #[case(
        "bot",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)"
    )]
    #[case("bot", "AdsBot-Google (+http://www.google.com/adsbot.html)")]
    #[case("other", "")]
    #[case("other", "curly/1.0")]
    #[case("other", "Mozilla/5.0")]
    #[case("other", "golang-migrate/4")]
    #[case("other", "robotics/1.0")]
    fn a_client_is_told_by_what_it_says(#[case] expected: &str, #[case] user_agent: &str) {
        assert_eq!(family(user_agent.as_bytes()), expected);
        let loud = user_agent.to_ascii_uppercase();
        assert_eq!(family(loud.as_bytes()), expected, "{loud}");
    }

    #[test]
    fn a_long_field_is_looked_at_in_part() {
        let field = |padding: usize| format!("{} curl", " ".repeat(padding));
        assert_eq!(family(field(507).as_bytes()), "curl");
        assert_eq!(family(field(508).as_bytes()), "other");
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_family_of_the_set(bytes: Vec<u8>) {
            let name = family(&bytes);
            let is_known = FAMILIES.iter().any(|(known, _)| *known == name);
            prop_assert!(is_known || name == "other");
        }
    }
}
