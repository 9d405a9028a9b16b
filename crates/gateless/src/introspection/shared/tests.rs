use std::sync::LazyLock;

use gateless_testkit::{FakeClock, MemoryStore, StoreFault};
use proptest::prelude::*;
use rstest::rstest;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use super::*;

const SECRET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
const TOKEN: &str = "2YotnFZFEjr1zCsicMWpAA";
const JSON: &str = r#"{"active":true,"sub":"user-1","client_id":"web"}"#;
const ASKED_AT: Timestamp = Timestamp::from_millis(1_800_000_000_123);
const MINUTE: Duration = Duration::from_secs(60);

const PLACE: Place<'_> = Place {
    issuer: "https://idp.example.com",
    endpoint: "https://idp.example.com/introspect",
    client: "orders",
    signed: false,
};

fn memory() -> MemoryStore {
    MemoryStore::new(Arc::new(FakeClock::new()))
}

fn tier_of(store: &MemoryStore, secret: &[u8], place: Place<'_>) -> SharedTier {
    let answers = SharedAnswers::new(Arc::new(store.clone()), secret);
    answers.tier(place).unwrap()
}

fn tier(store: &MemoryStore) -> SharedTier {
    tier_of(store, SECRET, PLACE)
}

fn answer() -> SharedAnswer {
    SharedAnswer {
        asked_at: ASKED_AT,
        json: JSON.into(),
    }
}

async fn put(tier: &SharedTier) {
    tier.put(TOKEN, ASKED_AT, JSON, MINUTE).await.unwrap();
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// A tier whose keys are derived once for all cases.
fn some_tier() -> &'static SharedTier {
    static TIER: LazyLock<SharedTier> = LazyLock::new(|| tier(&memory()));
    &TIER
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

#[tokio::test]
async fn what_one_instance_was_told_another_finds() {
    let store = memory();
    put(&tier(&store)).await;
    let found = tier(&store).get(TOKEN).await;
    assert_eq!(found, Lookup::Found(answer()));
    assert_eq!(tier(&store).get("another").await, Lookup::Missing);
}

#[tokio::test]
async fn an_answer_is_kept_for_its_lifetime() {
    let clock = FakeClock::new();
    let store = MemoryStore::new(Arc::new(clock.clone()));
    let tier = tier(&store);
    put(&tier).await;
    clock.advance(MINUTE - Duration::from_millis(1));
    assert_eq!(tier.get(TOKEN).await, Lookup::Found(answer()));
    clock.advance(Duration::from_millis(1));
    assert_eq!(tier.get(TOKEN).await, Lookup::Missing);

    let too_short = Duration::from_micros(999);
    tier.put(TOKEN, ASKED_AT, JSON, too_short).await.unwrap();
    assert_eq!(store.puts(), 1);
}

#[rstest]
#[case::tf_16_issuer(SECRET, Place { issuer: "https://idp2.example.com", ..PLACE })]
#[case::tf_16_endpoint(SECRET, Place { endpoint: "https://idp.example.com/2", ..PLACE })]
#[case::tf_16_client(SECRET, Place { client: "billing", ..PLACE })]
#[case::tf_16_signed(SECRET, Place { signed: true, ..PLACE })]
#[case::tf_17_shifted(SECRET, Place {
    issuer: "https://idp.example.comhttps://idp.example.com/",
    endpoint: "introspect",
    ..PLACE
})]
#[case::tf_17_shifted_into_the_client(SECRET, Place {
    endpoint: "https://idp.example.com/",
    client: "introspectorders",
    ..PLACE
})]
#[case::secret(b"0123456789abcdefghijklmnopqrstuw", PLACE)]
#[tokio::test]
async fn another_place_or_secret_finds_nothing(#[case] secret: &[u8], #[case] place: Place<'_>) {
    let store = memory();
    put(&tier(&store)).await;
    assert_eq!(
        tier_of(&store, secret, place).get(TOKEN).await,
        Lookup::Missing
    );
    // Nor does it read what is put under its key by somebody who cannot seal for it.
    let (ours, other) = (tier(&store), tier_of(&store, secret, place));
    assert_ne!(ours.key(TOKEN), other.key(TOKEN));
    let sealed = ours.seal(&ours.key(TOKEN), ASKED_AT, JSON).unwrap();
    assert_eq!(other.open(&other.key(TOKEN), &sealed), None);
}

#[test]
fn another_secret_opens_nothing_even_under_the_same_key() {
    let (ours, other) = (some_tier(), tier_of(&memory(), &[7; 32], PLACE));
    let key = ours.key(TOKEN);
    let sealed = ours.seal(&key, ASKED_AT, JSON).unwrap();
    assert_eq!(ours.open(&key, &sealed), Some(answer()));
    assert_eq!(other.open(&key, &sealed), None);
}

#[test]
fn tf_17_where_one_part_ends_and_the_next_begins_matters() {
    let store = memory();
    let place = |issuer, endpoint, client| Place {
        issuer,
        endpoint,
        client,
        signed: false,
    };
    let keys = [
        (place("a", "bc", ""), "d"),
        (place("ab", "c", ""), "d"),
        (place("abc", "", ""), "d"),
        (place("", "abc", ""), "d"),
        (place("", "", "abc"), "d"),
        (place("", "", ""), "abcd"),
        (place("a", "b", "c"), "d"),
        (place("a", "b", "cd"), ""),
    ]
    .map(|(place, token)| tier_of(&store, SECRET, place).key(token));
    for (at, key) in keys.iter().enumerate() {
        assert!(!keys[..at].contains(key), "case {at}");
    }
}

/// Computed by other means as well. Instances of an older and a newer build share a store: whoever changes the
/// structure changes its version.
#[test]
fn a_key_is_what_it_was() {
    let key = some_tier().key(TOKEN);
    let hex: String = key
        .as_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        hex,
        "e0c196b2b8b48d105c34306aebb7697568ea67b092affb4776d9002aebefa52b"
    );
}

#[tokio::test]
async fn every_single_changed_bit_or_missing_byte_is_refused() {
    let store = memory();
    let tier = tier(&store);
    put(&tier).await;
    let [(key, sealed)] = &store.contents()[..] else {
        panic!("one answer was put");
    };
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut forged = sealed.clone();
            forged[at] ^= 1 << bit;
            assert_eq!(tier.open(key, &forged), None, "bit {bit} of byte {at}");
        }
        assert_eq!(tier.open(key, &sealed[..at]), None, "{at} bytes");
    }
    let longer = [&sealed[..], &[0]].concat();
    store.put(key, longer, MINUTE).await.unwrap();
    assert_eq!(tier.get(TOKEN).await, Lookup::Failed(Failure::Unreadable));
}

#[tokio::test]
async fn an_answer_moved_to_another_token_is_refused() {
    let store = memory();
    let tier = tier(&store);
    put(&tier).await;
    let (_, sealed) = store.contents().pop().unwrap();
    store
        .put(&tier.key("another"), sealed, MINUTE)
        .await
        .unwrap();
    let moved = tier.get("another").await;
    assert_eq!(moved, Lookup::Failed(Failure::Unreadable));
    assert_eq!(tier.get(TOKEN).await, Lookup::Found(answer()));
}

#[tokio::test]
async fn tf_19_who_reads_the_store_sees_neither_token_nor_claims() {
    let store = memory();
    let tier = tier(&store);
    put(&tier).await;
    tier.put("another", ASKED_AT, r#"{"active":false}"#, MINUTE)
        .await
        .unwrap();
    let contents = store.contents();
    assert_eq!(contents.len(), 2);
    assert_eq!(contents[0].1.len(), contents[1].1.len(), "padded");
    for (key, sealed) in contents {
        for part in [
            TOKEN,
            "another",
            "active",
            "user-1",
            "web",
            "idp.example",
            "orders",
        ] {
            assert!(
                !contains(key.as_bytes(), part.as_bytes()),
                "{part} in a key"
            );
            assert!(!contains(&sealed, part.as_bytes()), "{part} in a value");
        }
        assert!(!contains(&sealed, &ASKED_AT.as_millis().to_be_bytes()));
        assert!(!contains(&sealed, &[0; 8]));
    }
}

#[test]
fn the_same_answer_is_sealed_differently_each_time() {
    let key = some_tier().key(TOKEN);
    let seal = || some_tier().seal(&key, ASKED_AT, JSON).unwrap();
    let (first, second) = (seal(), seal());
    assert_ne!(first[1..=NONCE], second[1..=NONCE]);
    assert_ne!(first[1 + NONCE..], second[1 + NONCE..]);
}

#[rstest]
#[case(StoreFault::Fail, Failure::Unavailable, Duration::ZERO)]
#[case(StoreFault::Hang, Failure::Slow, Duration::from_millis(100))]
#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_waited_for_no_longer_than_told(
    #[case] fault: StoreFault,
    #[case] failure: Failure,
    #[case] waits: Duration,
) {
    let store = memory();
    let tier = tier(&store);
    put(&tier).await;
    store.set_fault(fault);
    let start = Instant::now();
    assert_eq!(tier.get(TOKEN).await, Lookup::Failed(failure));
    assert_eq!(start.elapsed(), waits);
    let put = tier.put(TOKEN, ASKED_AT, JSON, MINUTE).await;
    assert_eq!(put, Err(failure));
    assert_eq!(start.elapsed(), 2 * waits);
    store.clear_fault();
    assert_eq!(tier.get(TOKEN).await, Lookup::Found(answer()));
}

#[tokio::test(start_paused = true)]
async fn the_time_out_can_be_set() {
    let store = memory();
    store.set_fault(StoreFault::Hang);
    let answers = SharedAnswers::new(Arc::new(store), SECRET).timeout(Duration::from_secs(2));
    let tier = answers.tier(PLACE).unwrap();
    let start = Instant::now();
    assert_eq!(tier.get(TOKEN).await, Lookup::Failed(Failure::Slow));
    assert_eq!(start.elapsed(), Duration::from_secs(2));
}

#[tokio::test]
async fn the_largest_answer_is_bounded_on_both_ways() {
    let store = memory();
    let tier = tier(&store);
    let largest = "x".repeat(MAX_JSON);
    tier.put(TOKEN, ASKED_AT, &largest, MINUTE).await.unwrap();
    let (key, sealed) = store.contents().pop().unwrap();
    assert_eq!(sealed.len(), MAX_SEALED);
    assert!(sealed.len() <= 65_536);
    assert!(matches!(tier.get(TOKEN).await, Lookup::Found(_)));

    let larger = "x".repeat(MAX_JSON + 1);
    tier.put("another", ASKED_AT, &larger, MINUTE)
        .await
        .unwrap();
    assert_eq!(store.puts(), 1);
    // Sealed with the right keys, by somebody with another limit: not even opened.
    let sealed = tier.seal(&key, ASKED_AT, &larger).unwrap();
    assert_eq!(tier.open(&key, &sealed), None);
}

#[test]
fn what_cannot_be_used_is_named() {
    let answers = |length| SharedAnswers::new(Arc::new(memory()), vec![7; length]);
    let problems = |answers: &SharedAnswers| {
        let mut faults = ConfigError::collect();
        answers.check(&mut faults);
        assert_eq!(answers.tier(PLACE).is_ok(), faults.faults().is_empty());
        assert!(
            faults
                .faults()
                .iter()
                .all(|fault| fault.setting() == "shared_answers")
        );
        faults.faults().len()
    };
    assert_eq!(problems(&answers(32)), 0);
    assert_eq!(problems(&answers(31)), 1);
    assert_eq!(problems(&answers(0)), 1);
    assert_eq!(problems(&answers(32).timeout(Duration::ZERO)), 1);
    assert_eq!(problems(&answers(32).timeout(Duration::from_secs(5))), 0);
    assert_eq!(
        problems(&answers(32).timeout(Duration::from_millis(5001))),
        1
    );
    assert_eq!(problems(&answers(0).timeout(Duration::ZERO)), 2);
}

#[test]
fn tl_02_nothing_prints_secret_token_or_claims() {
    let answers = SharedAnswers::new(Arc::new(memory()), SECRET);
    let store = "MemoryStore { values: 0, fault: None, .. }";
    assert_eq!(
        format!("{answers:?}"),
        format!("SharedAnswers {{ store: {store}, timeout: 100ms, .. }}")
    );
    assert_eq!(
        format!("{:?}", answers.tier(PLACE).unwrap()),
        format!("SharedTier {{ store: {store}, timeout: 100ms, .. }}")
    );
    assert_eq!(
        format!("{:?}", Lookup::Found(answer())),
        "Found(SharedAnswer { asked_at: Timestamp(1800000000123), .. })"
    );
}

#[test]
fn failures_have_names_for_counters() {
    let all = [Failure::Unavailable, Failure::Slow, Failure::Unreadable];
    assert_eq!(
        all.map(Failure::name),
        ["unavailable", "slow", "unreadable"]
    );
}

proptest! {
    #[test]
    fn what_is_put_comes_back(
        token in ".{0,64}",
        json in prop_oneof![".{0,200}", "[a-z]{490,520}"],
        millis in any::<i64>(),
    ) {
        let store = memory();
        let tier = tier(&store);
        let asked_at = Timestamp::from_millis(millis);
        let found = runtime().block_on(async {
            tier.put(&token, asked_at, &json, MINUTE).await.unwrap();
            tier.get(&token).await
        });
        prop_assert_eq!(found, Lookup::Found(SharedAnswer { asked_at, json: json.into() }));
    }

    #[test]
    fn every_single_changed_byte_is_refused(
        json in ".{0,600}",
        place in any::<prop::sample::Index>(),
        change in 1_u8..,
    ) {
        let key = some_tier().key(TOKEN);
        let mut sealed = some_tier().seal(&key, ASKED_AT, &json).unwrap();
        *place.get_mut(&mut sealed) ^= change;
        prop_assert_eq!(some_tier().open(&key, &sealed), None);
    }

    #[test]
    fn bytes_of_somebody_else_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
        let versioned = [&[VERSION], &bytes[..]].concat();
        let key = some_tier().key(TOKEN);
        prop_assert_eq!(some_tier().open(&key, &bytes), None);
        prop_assert_eq!(some_tier().open(&key, &versioned), None);
    }

    #[test]
    fn tf_17_two_structures_never_share_a_key(
        one in ("[ab]{0,3}", "[ab]{0,3}", "[ab]{0,3}", any::<bool>(), "[ab]{0,3}"),
        other in ("[ab]{0,3}", "[ab]{0,3}", "[ab]{0,3}", any::<bool>(), "[ab]{0,3}"),
    ) {
        let key = |(issuer, endpoint, client, signed, token): &(String, String, String, bool, String)| {
            let place = Place { issuer, endpoint, client, signed: *signed };
            let place = place.begin(Hmac::new(&[7; 64].into()));
            let mut index = place;
            append(&mut index, token);
            index.finalize().into_bytes()
        };
        prop_assert_eq!(one == other, key(&one) == key(&other));
    }
}
