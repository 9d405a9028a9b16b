//! Where settings come from, and what faults call them.

use std::ffi::OsString;

use gateless::introspection::Secret;
use rstest::rstest;

use super::{BASE, faults, with};
use crate::{Config, Settings};

/// A setting that cannot be used, from each place.
const TOO_LONG: &str = "400s";

#[rstest]
#[case::file(&["file"], "token.leeway of 400s is longer than the 300 s allowed (late.toml, line 2)")]
#[case::variable(&["file", "variable"], "GATELESS__TOKEN__LEEWAY of 400s is longer than the 300 s allowed")]
#[case::given(&["file", "variable", "given"], "LEEWAY of 400s is longer than the 300 s allowed")]
fn a_fault_is_called_what_it_was_called_where_it_comes_from(
    #[case] places: &[&str],
    #[case] says: &str,
) {
    let mut settings = Settings::new().toml("gateless.toml", BASE);
    for place in places {
        settings = match *place {
            "file" => settings.toml("late.toml", format!("[token]\nleeway = \"{TOO_LONG}\"")),
            "variable" => settings.environment([("GATELESS__TOKEN__LEEWAY", TOO_LONG)]),
            _ => settings.set("token.leeway", TOO_LONG, "LEEWAY"),
        };
    }
    assert_eq!(faults(settings), [says]);
}

#[rstest]
#[case::later_file(with("").toml("b", "[token]\nleeway = \"1s\""))]
#[case::variable(with("").toml("b", "[token]\nleeway = \"400s\"").environment([("GATELESS__TOKEN__LEEWAY", "1s")]))]
#[case::given(with("").set("token.leeway", "1s", "LEEWAY").environment([("GATELESS__TOKEN__LEEWAY", "400s")]))]
fn what_wins_is_all_that_counts(#[case] settings: Settings) {
    let config = Config::read(settings).unwrap();
    assert!(format!("{config:?}").contains("leeway: 1s"), "{config:?}");
}

#[test]
fn variables_of_others_are_left_alone() {
    let settings = with("").environment([
        ("PATH", "/bin"),
        ("GATELESS_ENV", "x"),
        ("gateless__a", "x"),
    ]);
    assert_eq!(faults(settings), [""; 0]);
}

#[test]
fn all_of_a_configuration_can_be_variables() {
    let settings = Settings::new().environment([
        ("GATELESS__TOKEN__ISSUER", "https://idp.example.com"),
        ("GATELESS__TOKEN__AUDIENCE", "urn:orders, urn:other"),
        ("GATELESS__KEYS__SOURCE", "discovery"),
        ("GATELESS__KEYS__OUTAGE", "stale 1h"),
        ("GATELESS__KEYS__ALLOW_PRIVATE_ADDRESSES", "true"),
        ("GATELESS__AUDIT__INSTANCE", "orders"),
        ("GATELESS__AUDIT__SINK", "tracing"),
        ("GATELESS__AUDIT__BACKPRESSURE", "block 2s"),
        ("GATELESS__AUDIT__CAPACITY", "100"),
        ("GATELESS__LIMITS__REQUESTS", "20/s, 100000/day"),
        ("GATELESS__LIMITS__TIER_CLAIM", "plan"),
        ("GATELESS__LIMITS__TIERS__PARTNER", "200/s"),
    ]);
    assert_eq!(faults(settings), [""; 0]);
}

#[rstest]
#[case::key(
    "GATELESS__TOKEN__ISUER",
    "GATELESS__TOKEN__ISUER is unknown: token.issuer is meant?"
)]
#[case::section(
    "GATELESS__TOKENS__ISSUER",
    "GATELESS__TOKENS__ISSUER is unknown: token.issuer is meant?"
)]
#[case::far("GATELESS__SOMETHING", "GATELESS__SOMETHING is unknown")]
#[case::nothing("GATELESS__", "GATELESS__ is unknown")]
#[case::value_for_a_section("GATELESS__TOKEN", "GATELESS__TOKEN is a section, and has no value")]
#[case::secret(
    "GATELESS__INTROSPECTION__CLIENT_SECRET",
    "GATELESS__INTROSPECTION__CLIENT_SECRET would be a secret in clear: \
     set introspection.client_secret_file or introspection.client_secret_env"
)]
fn an_unknown_variable_is_a_fault(#[case] name: &str, #[case] says: &str) {
    let told = faults(with("").environment([(name, "hush")]));
    assert!(told.contains(&says.to_owned()), "{told:?}");
    assert!(!told.concat().contains("hush"), "{told:?}");
}

#[cfg(unix)]
#[test]
fn what_is_not_text_is_named_and_not_shown() {
    use std::os::unix::ffi::OsStringExt as _;
    let value = OsString::from_vec(b"hush\xff".to_vec());
    let told = faults(
        with("")
            .environment([("GATELESS__TOKEN__LEEWAY".into(), value)] as [(OsString, OsString); 1]),
    );
    assert_eq!(told, ["GATELESS__TOKEN__LEEWAY is not UTF-8 text"]);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let told = faults(Settings::new().toml_file("/nowhere/gateless.toml"));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("/nowhere/gateless.toml cannot be read: "),
        "{told:?}"
    );
}

#[test]
fn errors_of_syntax_say_where_and_do_not_hide_others() {
    let text = "[token]\nissuer = \"https://idp.example.com\"\naudience = \nleeway = \"soon\"\n";
    let told = faults(Settings::new().toml("gateless.toml", text));
    assert!(
        told[0].starts_with("gateless.toml line 3, column "),
        "{told:?}"
    );
    let last = "token.leeway is \"soon\", not a time such as \"30s\", \"10m\" or \"1h\" (gateless.toml, line 4)";
    assert!(told.contains(&last.to_owned()), "{told:?}");
    // What could not be read is not said to be missing.
    assert!(!told.concat().contains("missing"), "{told:?}");
}

#[test]
fn many_faults_are_told_at_once() {
    let text = r#"
        [audit]
        sink = "printer"
        backpressure = "refuse"
        capacity = 0

        [token]
        issuer = "http://idp.example.com"
        audience = ""
        leeway = "400s"
        max_lifetime = 30
        algorithms = ["none"]

        [keys]
        source = "discovery"

        [denylist]
        store = "file"
        outage = "maybe"
        fresh_for = "1s"

        [limits]
        requests = ["200000/s"]
        shared = "exact"

        [redis]
        url = "http://user:hush@redis.example.com"

        [ratelimit]
    "#;
    let settings = Settings::new()
        .toml("g", text)
        .environment([("GATELESS__CONCURRENCY__MAX", "0")]);
    assert_eq!(
        faults(settings),
        [
            "audit.instance is missing: it takes a text",
            "audit.sink is \"printer\", not \"file\", \"stdout\" or \"tracing\" (g, line 3)",
            "token.algorithms is a list, not names of algorithms, such as [\"RS256\", \"ES256\", \"EdDSA\"] (g, line 12)",
            "token.max_lifetime is 30, not a time such as \"30s\", \"10m\" or \"1h\" (g, line 11)",
            "keys.outage is missing: it takes \"closed\" to refuse with 503, or \"stale 1h\" to go on for so long with what is known",
            "denylist.path is missing: it takes a path",
            "denylist.outage is \"maybe\", not \"closed\" to refuse with 503, \"stale 1h\" to go on for so long with what is known, \
             or \"danger_open\" to let pass what may be revoked (g, line 19)",
            "limits.outage is missing: it takes \"closed\" to refuse with 503, \"share 4\" for a fourth of each quota at each of \
             at most four instances, or \"danger_open\" to count nothing",
            "redis.url has a password in it, which is for password_file or password_env (g, line 27)",
            "ratelimit is no section of this configuration (g, line 29)",
            "audit.capacity is not between 1 and 1,048,576 records (g, line 5)",
            "token.issuer http://idp.example.com is not an https URL (g, line 8)",
            "token.audience is empty (g, line 9)",
            "token.leeway of 400s is longer than the 300 s allowed (g, line 10)",
            "denylist.fresh_for is below 2 s: a slow answer of the log would be an outage (g, line 20)",
            "limits.requests of 200000 in 1 s is more than 100,000 a second (g, line 23)",
            "GATELESS__CONCURRENCY__MAX is zero: nobody would get through",
        ]
    );
}

#[test]
fn secrets_are_printed_nowhere() {
    let more = "[introspection]\noutage = \"closed\"\nclient_id = \"orders\"\n[redis]\n[denylist]\nstore = \"redis\"\noutage = \"closed\"";
    let settings = with(more)
        .secret(
            "introspection.client_secret",
            Secret::new("hush-1"),
            "CLIENT_SECRET",
        )
        .set(
            "redis.url",
            "redis://user:hush-2@redis.example.com",
            "REDIS_URL",
        )
        .environment([("GATELESS__TOKEN__LEEWAY", "1s")]);
    let printed = format!("{settings:?} {:#?}", settings.clone());
    let config = Config::read(settings).unwrap();
    let printed = format!("{printed} {config:?} {config:#?}");
    assert!(!printed.contains("hush"), "{printed}");
}

#[rstest]
#[case("client_secret = \"hush\"")]
#[case("client_secret_file = [\"hush\"]")]
#[case("client_secret_file = 5\nclient_secret_env = \"a@hush\"\nclient_id = [\"hush\", 5]")]
#[case("url = 5\ntimeout = \"https://user:hush@idp.example.com\"")]
fn secrets_in_the_wrong_place_are_not_repeated(#[case] wrong: &str) {
    let more = format!("[introspection]\noutage = \"closed\"\n{wrong}");
    let told = faults(with(&more)).concat();
    assert!(!told.is_empty());
    assert!(
        !told.replace("names hush", "").contains(":hush") && !told.contains("\"hush"),
        "{told}"
    );
}
