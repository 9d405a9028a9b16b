//! Each section: what it takes, and what it says of what it does not.

use rstest::rstest;

use super::{BASE, faults, with};
use crate::Settings;

#[rstest]
#[case::audit(
    "[audit]\ninstance = \"a\"\nsink = \"stdout\"\nbackpressure = \"drop\"\nalso = [\"tracing\"]\nfold_window = \"off\""
)]
#[case::audit_file(
    "[audit]\ninstance = \"a\"\nsink = \"file\"\npath = \"/nowhere/audit.jsonl\"\nbackpressure = \"block 2s\"\nmode = \"0640\"\nkeep_files = 3"
)]
#[case::peer("[peer]\nproxies = 1\nnetworks = [\"10.0.0.0/8\"]\nipv6_prefix = 56")]
#[case::strip("[strip]\nalso = [\"x-tenant\"]")]
#[case::failures("[failures]\nquota = \"20/min\"\nmax_prefixes = 10")]
#[case::issuers(
    "[issuers.other.token]\nissuer = \"https://other.example\"\naudience = [\"a\", \"b\"]\n[issuers.other.keys]\nsource = \"jwks\"\nurl = \"https://other.example/keys\"\noutage = \"closed\""
)]
#[case::memory(
    "[denylist]\nstore = \"memory\"\noutage = \"danger_open\"\nwhen_full = \"revoke_everything\""
)]
#[case::file("[denylist]\nstore = \"file\"\npath = \"/nowhere/list\"\noutage = \"stale 1h\"")]
#[case::limits(
    "[limits]\nrequests = \"50/10s burst 5\"\nkey = [\"claim:tenant\", \"route\"]\ntier_claim = \"plan\"\n[limits.tiers]\ngold = \"unlimited\"\nsilver = [\"2/s\", \"9/h\"]"
)]
#[case::concurrency("[concurrency]\nmax = 3\nkey = [\"peer\"]\nshadow = true")]
#[case::off(
    "[limits]\nenabled = false\n[denylist]\nenabled = false\n[audit]\nenabled = false\n[failures]\nenabled = false"
)]
#[case::redis(
    "[redis]\nsentinels = [\"redis://a\", \"redis://b\"]\nmaster = \"m\"\n[limits]\nrequests = \"1/s\"\nshared = \"leased\"\nlease = 1\noutage = \"share 4\"\n[denylist]\nstore = \"redis\"\noutage = \"closed\"\nqueue_path = \"/nowhere/queue\""
)]
#[case::cluster("[redis]\ncluster = [\"redis://a\"]\nuser = \"u\"\npassword_env = \"PATH\"")]
fn what_is_right_is_taken(#[case] more: &str) {
    assert_eq!(faults(with(more)), [""; 0]);
}

/// Each with the one setting that is at fault, and a part of what is said.
#[rstest]
#[case::no_backpressure(
    "[audit]\ninstance = \"a\"\nsink = \"stdout\"",
    "audit.backpressure",
    "\"refuse\""
)]
#[case::no_path(
    "[audit]\ninstance = \"a\"\nsink = \"file\"\nbackpressure = \"drop\"",
    "audit.path",
    "is missing"
)]
#[case::path_of_stdout(
    "[audit]\ninstance = \"a\"\nsink = \"stdout\"\npath = \"x\"\nbackpressure = \"drop\"",
    "audit.path",
    "of no use"
)]
#[case::mode(
    "[audit]\ninstance = \"a\"\nsink = \"file\"\npath = \"x\"\nmode = \"0666\"\nbackpressure = \"drop\"",
    "audit.mode",
    "0o666"
)]
#[case::heartbeat(
    "[audit]\ninstance = \"a\"\nsink = \"stdout\"\nheartbeat = \"1ms\"\nbackpressure = \"drop\"",
    "audit.heartbeat",
    "a second and a day"
)]
#[case::seal(
    "[audit]\ninstance = \"a\"\nsink = \"stdout\"\nseal_key_file = \"/nowhere\"\nbackpressure = \"drop\"",
    "audit.seal_key_file",
    "cannot be read"
)]
#[case::networks(
    "[peer]\nproxies = 1\nnetworks = [\"ten\"]\n[failures]\nquota = \"1/s\"",
    "peer.networks",
    "ten"
)]
#[case::forwarded("[peer]\nforwarded = true", "peer.forwarded", "without proxies")]
#[case::quota("[failures]\nquota = \"20\"", "failures.quota", "\"20/s\"")]
#[case::no_quota(
    "[failures]\nquota = \"0/min burst 1\"",
    "failures.quota",
    "lets nobody through"
)]
#[case::section("[failures]", "failures.quota", "is missing")]
#[case::unused("[token.cache]\n", "token.cache", "where a value is wanted")]
#[case::twice(
    "[issuers.a.token]\nissuer = \"https://idp.example.com\"\naudience = \"a\"\n[issuers.a.keys]\nsource = \"discovery\"\noutage = \"closed\"",
    "token.issuer",
    "twice"
)]
#[case::of_another(
    "[issuers.a.token]\nissuer = \"https://a.example\"\naudience = \"a\"\nleeway = \"1h\"\n[issuers.a.keys]\nsource = \"discovery\"\noutage = \"closed\"",
    "issuers.a.token.leeway",
    "300 s"
)]
#[case::keys_of_another(
    "[issuers.a.token]\nissuer = \"https://a.example\"\naudience = \"a\"\n[issuers.a.keys]\nsource = \"jwks\"\noutage = \"closed\"",
    "issuers.a.keys.url",
    "is missing"
)]
#[case::no_outage("[denylist]\nstore = \"memory\"", "denylist.outage", "\"stale 1h\"")]
#[case::skew(
    "[denylist]\nstore = \"memory\"\noutage = \"closed\"\nclock_skew = \"1h\"",
    "denylist.clock_skew",
    "300 s"
)]
#[case::queue(
    "[denylist]\nstore = \"memory\"\noutage = \"closed\"\nqueue_path = \"x\"",
    "denylist.queue_path",
    "of no use"
)]
#[case::tier(
    "[limits]\nrequests = \"1/s\"\n[limits.tiers]\na = \"1/s\"",
    "limits.tier_claim",
    "never told"
)]
#[case::key(
    "[limits]\nrequests = \"1/s\"\nkey = \"who\"",
    "limits.key",
    "\"caller\""
)]
#[case::no_key("[limits]\nrequests = \"1/s\"\nkey = []", "limits.key", "is empty")]
#[case::nobody_at_once("[concurrency]\nmax = 1\nkey = []", "concurrency.key", "is empty")]
#[case::place(
    "[audit]\ninstance = \"a\"\nbackpressure = \"refuse\"\nsink = \"stdout\"\n[peer]\nproxies = 1\nnetworks = [\"ten\"]",
    "peer.networks",
    "ten"
)]
#[case::cost("[limits]\nrequests = \"1/s\"\ncost = 2", "limits.cost", "")]
#[case::name(
    "[limits]\nrequests = \"1/s\"\nname = \"a b\"",
    "limits.name",
    "letters"
)]
#[case::negative(
    "[limits]\nrequests = \"1/s\"\nmax_keys = -1",
    "limits.max_keys",
    "is -1, not a whole number"
)]
#[case::no_redis(
    "[limits]\nrequests = \"1/s\"\nshared = \"exact\"\noutage = \"closed\"",
    "limits.shared",
    "redis"
)]
#[case::two_servers(
    "[redis]\nurl = \"redis://a\"\ncluster = [\"redis://a\"]",
    "redis.url",
    "exclude each other"
)]
#[case::no_server("[redis]\nprefix = \"a\"", "redis.url", "is missing")]
#[case::no_master("[redis]\nsentinels = [\"redis://a\"]", "redis.master", "is missing")]
#[case::in_part(
    "[redis]\ncluster = [\"redis://a\", \"rediss://b\"]",
    "redis.cluster",
    "in part"
)]
#[case::deadline(
    "[redis]\nurl = \"redis://a\"\nconnect_deadline = \"2m\"",
    "redis.connect_deadline",
    "60 s"
)]
#[case::concurrency("[concurrency]\nkey = [\"caller\"]", "concurrency.max", "is missing")]
#[case::routes(
    "[routes]\nopenapi = \"/nowhere.json\"",
    "routes.openapi",
    "cannot be read"
)]
#[case::no_routes("[routes]", "routes", "names no document")]
#[case::no_secret(
    "[introspection]\noutage = \"closed\"\nclient_id = \"a\"",
    "introspection.client_secret_file",
    "is missing"
)]
#[case::secret(
    "[introspection]\noutage = \"closed\"\nclient_id = \"a\"\nclient_secret_env = \"NOT_SET_ANYWHERE\"",
    "introspection.client_id",
    "NOT_SET_ANYWHERE is not set"
)]
#[case::assertion(
    "[introspection]\noutage = \"closed\"\nclient_id = \"a\"\nclient_secret_env = \"PATH\"\nclient_key_id = \"a\"",
    "introspection.client_key_id",
    "private_key_jwt"
)]
#[case::issuer_of_opaque_tokens(
    "[introspection]\noutage = \"closed\"\nsource = \"url\"\nurl = \"https://a.example\"\nissuer = \"http://a.example\"\nclient_id = \"a\"\nclient_secret_env = \"PATH\"",
    "introspection.issuer",
    "not an https URL"
)]
#[case::endpoint(
    "[introspection]\noutage = \"closed\"\nsource = \"url\"\nurl = \"http://a.example\"\nclient_id = \"a\"\nclient_secret_env = \"PATH\"",
    "introspection.url",
    "https"
)]
#[case::refused(
    "[introspection]\noutage = \"closed\"\ncache_refused_lifetime = \"1h\"\nclient_id = \"a\"\nclient_secret_env = \"PATH\"",
    "introspection.cache",
    "5 s"
)]
fn what_is_wrong_is_named(#[case] more: &str, #[case] setting: &str, #[case] says: &str) {
    let told = faults(with(more));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with(&format!("{setting} ")), "{told:?}");
    assert!(told[0].contains(says), "{told:?}");
}

#[rstest]
#[case(
    "source = \"discovery\"",
    "source = \"file\"\npath = \"/nowhere.json\"",
    "keys.outage is of no use with source = \"file\""
)]
#[case("outage = \"closed\"", "", "keys.outage is missing")]
#[case("source = \"discovery\"", "source = \"jwks\"", "keys.url is missing")]
#[case(
    "source = \"discovery\"",
    "source = \"discovery\"\nurl = \"https://a\"",
    "keys.url is of no use"
)]
#[case(
    "source = \"discovery\"",
    "source = \"discovery\"\ncooldown = \"1ms\"",
    "keys.cooldown is shorter"
)]
#[case(
    "issuer = ",
    "profile = \"strict\"\nissuer = ",
    "token.profile is \"strict\", not \"rfc9068\" or \"lax\""
)]
#[case(
    "issuer = ",
    "cache = false\ncache_max_tokens = 3\nissuer = ",
    "token.cache_max_tokens is of no use"
)]
#[case(
    "issuer = ",
    "cache_max_bytes = 3\nissuer = ",
    "token.cache has less than 64 KiB"
)]
#[case(
    "issuer = ",
    "max_token_len = 0\nissuer = ",
    "token.max_token_len is zero"
)]
#[case(
    "\"https://idp.example.com\"",
    "\"http://127.0.0.1:1\"",
    "token.issuer http://127.0.0.1:1 is not an https URL"
)]
#[case("\"https://orders.example.com\"", "[]", "token.audience is empty")]
fn tokens_and_keys(#[case] from: &str, #[case] to: &str, #[case] says: &str) {
    let told = faults(Settings::new().toml("g", BASE.replace(from, to)));
    assert!(told.iter().any(|fault| fault.starts_with(says)), "{told:?}");
}

#[test]
fn without_keys_all_tokens_are_asked_about() {
    let (tokens, _) = BASE.split_once("[keys]").unwrap();
    let asked =
        "[introspection]\noutage = \"closed\"\nclient_id = \"a\"\nclient_secret_env = \"PATH\"";
    assert_eq!(
        faults(Settings::new().toml("g", format!("{tokens}\n{asked}"))),
        [""; 0]
    );
    let off = format!("{tokens}\n{asked}\nenabled = false");
    assert_eq!(
        faults(Settings::new().toml("g", off)),
        ["keys is missing, and introspection is off: no token could be accepted"]
    );
    let told = faults(Settings::new().toml("g", tokens));
    assert!(told[0].starts_with("keys.source is missing"), "{told:?}");
}

/// Somebody's `${VARIABLE:-}` is no wish for an empty list.
#[rstest]
#[case("STRIP__ALSO", "[strip]\nalso = [\"x-tenant\"]", "strip.also")]
#[case(
    "LIMITS__KEY",
    "[limits]\nrequests = \"1/s\"\nkey = [\"peer\"]",
    "limits.key"
)]
fn a_variable_without_items_empties_no_list(
    #[case] name: &str,
    #[case] section: &str,
    #[case] path: &str,
    #[values("", " ", ",")] value: &str,
) {
    let name = format!("GATELESS__{name}");
    let told = faults(with(section).environment([(&name, value)]));
    assert!(
        told.iter()
            .any(|fault| fault.starts_with(&name) || fault.starts_with(path)),
        "{told:?}"
    );
}

/// What the parser of URLs makes nothing of can still be a password.
#[rstest]
fn tl_02_no_password_in_a_broken_address_is_repeated(
    #[values(
        "https://orders:hush/7@idp.example.com",
        "http://orders:hush@[idp",
        "https://orders:hush@idp.example.com:99999"
    )]
    address: &str,
) {
    let place = format!(
        "[introspection]\noutage = \"closed\"\nclient_id = \"a\"\nclient_secret_env = \"PATH\"\nsource = \"url\"\nurl = \"{address}\""
    );
    let keys = BASE.replace(
        "source = \"discovery\"",
        &format!("source = \"jwks\"\nurl = \"{address}\""),
    );
    let issuer = BASE.replace("https://idp.example.com", address);
    for settings in [
        with(&place),
        Settings::new().toml("g", keys),
        Settings::new().toml("g", issuer),
    ] {
        let told = faults(settings);
        assert_ne!(told, [""; 0]);
        assert!(!told.iter().any(|fault| fault.contains("hush")), "{told:?}");
    }
}

#[test]
fn a_variable_that_means_a_tier_in_capital_letters_makes_no_second_one() {
    let section =
        "[limits]\nrequests = \"1/s\"\ntier_claim = \"plan\"\n[limits.tiers]\nGold = \"200/s\"";
    assert_eq!(faults(with(section)), [""; 0]);
    let told = faults(with(section).environment([("GATELESS__LIMITS__TIERS__GOLD", "1/s")]));
    assert!(told[0].contains("capital letters"), "{told:?}");
}
