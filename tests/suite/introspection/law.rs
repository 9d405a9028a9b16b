//! The law of the cache: an answer that is remembered gets the verdict that it would get if it were asked for again.

use std::time::Duration;

use gateless::introspection::{AnswerCache, Introspection, SharedAnswers};
use gateless::{Principal, Rejection, Timestamp};
use gateless_testkit::{FakeClock, MemoryStore};
use http::Request;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Map, Value, json};
use tracing::subscriber::{NoSubscriber, set_default};

use super::{World, known};
use crate::support::{AUDIENCE, bearer, send};

/// What the server says of the one token, with times relative to now.
#[derive(Clone, Debug)]
struct Said {
    active: Value,
    members: Map<String, Value>,
    exp: Option<i64>,
    nbf: Option<i64>,
    iat: Option<i64>,
}

impl Said {
    fn answer(&self) -> Value {
        let now = FakeClock::START.as_secs();
        let mut answer = self.members.clone();
        answer.insert("active".into(), self.active.clone());
        for (name, at) in [("exp", self.exp), ("nbf", self.nbf), ("iat", self.iat)] {
            if let Some(at) = at {
                answer.insert(name.into(), (now + at).into());
            }
        }
        Value::Object(answer)
    }
}

fn member(
    name: &'static str,
    values: Vec<Value>,
) -> impl Strategy<Value = Option<(String, Value)>> {
    let values = proptest::sample::select(values);
    // Mostly the first of them, which is good.
    let first = prop::bool::weighted(0.3);
    (values.clone(), first).prop_map(move |(value, is_odd)| {
        let missing = json!("missing");
        match (name, is_odd) {
            ("aud", false) => Some((name.to_owned(), json!(AUDIENCE))),
            ("sub", false) => Some((name.to_owned(), json!("user-1"))),
            (_, false) => None,
            (_, true) => (value != missing).then(|| (name.to_owned(), value)),
        }
    })
}

fn said() -> impl Strategy<Value = Said> {
    let active = prop_oneof![
        12 => Just(json!(true)),
        1 => Just(json!(false)),
        1 => Just(json!("true")),
        1 => Just(Value::Null),
    ];
    let members = (
        member(
            "aud",
            vec![
                json!("missing"),
                json!("b"),
                json!([AUDIENCE, "b"]),
                json!(7),
            ],
        ),
        member("sub", vec![json!("missing"), json!("user-2"), json!("")]),
        member("client_id", vec![json!("client-1"), json!("client-2")]),
        member(
            "scope",
            vec![json!("a"), json!("a b"), json!("a a"), json!(1)],
        ),
        member(
            "token_type",
            vec![json!("Bearer"), json!("DPoP"), json!("N_A")],
        ),
        member("act", vec![json!({"sub": "x"}), json!("x")]),
    );
    let members = members.prop_map(|(one, two, three, four, five, six)| {
        let members = [one, two, three, four, five, six];
        members.into_iter().flatten().collect()
    });
    let exp = prop_oneof![1 => Just(None), 9 => (-40_i64..90).prop_map(Some)];
    let nbf = prop::option::weighted(0.3, -10_i64..70);
    let iat = prop::option::weighted(0.6, -60_i64..50);
    (active, members, exp, nbf, iat).prop_map(|(active, members, exp, nbf, iat)| Said {
        active,
        members,
        exp,
        nbf,
        iat,
    })
}

/// The settings that a verdict depends on, and those that it must not depend on.
#[derive(Clone, Debug)]
struct Settings {
    leeway: u64,
    max_lifetime: u64,
    clients: bool,
    single_audience: bool,
    lifetime: u64,
    refused_lifetime: u64,
}

fn settings() -> impl Strategy<Value = Settings> {
    let lifetimes = (1_u64..90_000, 0_u64..=5_000);
    (
        0_u64..40,
        20_u64..200,
        any::<bool>(),
        any::<bool>(),
        lifetimes,
    )
        .prop_map(
            |(leeway, max_lifetime, clients, single_audience, (lifetime, refused_lifetime))| {
                Settings {
                    leeway,
                    max_lifetime,
                    clients,
                    single_audience,
                    lifetime,
                    refused_lifetime,
                }
            },
        )
}

/// How the clocks go on, in milliseconds: time passes, or somebody moves the wall as well.
fn steps() -> impl Strategy<Value = Vec<(u64, Option<i64>)>> {
    let step = prop_oneof![0_u64..1_500, 0_u64..40_000];
    let wall = prop::option::weighted(0.2, -60_000_i64..120_000);
    prop::collection::vec((step, wall), 1..8)
}

fn layer(world: &World, settings: &Settings) -> gateless::introspection::IntrospectionBuilder {
    let mut policy = world
        .policy()
        .leeway(Duration::from_secs(settings.leeway))
        .max_lifetime(Duration::from_secs(settings.max_lifetime));
    if settings.clients {
        policy = policy.allowed_clients(["client-1"]);
    }
    if settings.single_audience {
        policy = policy.single_audience();
    }
    let cache = AnswerCache::new()
        .lifetime(Duration::from_millis(settings.lifetime))
        .refused_lifetime(Duration::from_millis(settings.refused_lifetime));
    let builder = world.asking(policy, world.endpoint(), known());
    builder.answer_cache(cache)
}

/// Who it is, or why not.
type Verdict = Result<(Option<String>, Option<String>, String, Timestamp), Option<Rejection>>;

async fn verdict(layer: &Introspection, token: &str) -> Verdict {
    let request = Request::get("/").header("authorization", bearer(token));
    let answer = send(layer, request.body(String::new()).unwrap()).await;
    let [reached] = &answer.reached[..] else {
        return Err(answer.rejection);
    };
    let principal = Principal::of(&reached.extensions).unwrap();
    Ok((
        principal.subject().map(str::to_owned),
        principal.client_id().map(str::to_owned),
        principal.scopes().to_string(),
        principal.expires_at(),
    ))
}

async fn holds(
    world: &World,
    said: &Said,
    settings: &Settings,
    steps: &[(u64, Option<i64>)],
) -> Result<u64, TestCaseError> {
    world.clock.set_wall(FakeClock::START);
    let token = world.issuer.opaque_token().answer(said.answer()).mint();
    let uncached = layer(world, settings).without_answer_cache();
    let uncached = uncached.build().unwrap();
    let cached = layer(world, settings).build().unwrap();
    let store = MemoryStore::new(std::sync::Arc::new(world.clock.clone()));
    let shared = || {
        let store = SharedAnswers::new(std::sync::Arc::new(store.clone()), [7; 32]);
        layer(world, settings)
            .shared_answers(store)
            .build()
            .unwrap()
    };
    let fleet = [shared(), shared()];
    let mut passed = 0;
    for (number, (pass, wall)) in [(0, None)].iter().chain(steps).enumerate() {
        world.advance(Duration::from_millis(*pass));
        if let Some(wall) = wall {
            let start = FakeClock::START.as_millis();
            world.clock.set_wall(Timestamp::from_millis(start + wall));
        }
        let expected = verdict(&uncached, &token).await;
        passed += u64::from(expected.is_ok());
        for layer in [&cached, &cached, &fleet[number % 2]] {
            let found = verdict(layer, &token).await;
            prop_assert_eq!(&found, &expected, "after step {}", number);
        }
    }
    Ok(passed)
}

#[test]
fn tf_14_tf_15_tf_27_tf_28_a_remembered_answer_is_judged_as_one_that_is_asked_for() {
    // Others in this process have everything logged.
    let _silent = set_default(NoSubscriber::default());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let world = runtime.block_on(World::new());
    let passed = std::cell::Cell::new(0);
    let config = Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let laws = (said(), settings(), steps());
    // Chance may refuse nearly all of one round, which would say little about the others.
    for _ in 0..5 {
        let outcome = TestRunner::new(config.clone()).run(&laws, |(said, settings, steps)| {
            let holds = holds(&world, &said, &settings, &steps);
            passed.set(passed.get() + runtime.block_on(holds)?);
            Ok(())
        });
        outcome.unwrap();
        if passed.get() > 50 {
            break;
        }
    }
    assert!(passed.get() > 50, "most are refused: {}", passed.get());
}
