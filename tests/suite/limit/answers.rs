//! What callers see: refusals in every protocol, and what is left of a quota.

use std::collections::HashSet;

use gateless::limit::LimitKey;
use gateless::{Quota, Rejection};
use serde_json::Value;

use super::*;
use crate::support::Refusal;

#[tokio::test]
async fn tk_18_tk_19_a_refusal_in_every_protocol() {
    let world = World::new();
    let instance = world.instance(LimitKey::caller(), &[Quota::per_minute(2)]);
    let token = token_of("user-1").mint();
    assert_eq!(instance.admits(2, &token).await, 2);
    for protocol in Protocol::ALL {
        let answer = instance.send(protocol, &token).await;
        // 30 s, and up to a fifth on top.
        let secs = answer
            .rejection
            .as_ref()
            .and_then(Rejection::retry_after_secs);
        let secs = secs.unwrap();
        assert!((30..=36).contains(&secs), "{secs}");
        answer.refused(protocol, &Refusal::rate("requests", secs));
        answer.keeps(&token);
        answer.keeps("user-1-with-a-long-name");
    }
}

#[tokio::test]
async fn tk_19_callers_who_are_refused_together_do_not_come_back_together() {
    let world = World::new();
    let instance = world.instance(LimitKey::caller(), &[Quota::per_hour(1)]);
    let mut told = HashSet::new();
    for n in 0..40 {
        let token = token_of(&format!("user-{n}")).mint();
        assert_eq!(instance.admits(1, &token).await, 1);
        let answer = instance.send(Protocol::Http, &token).await;
        let secs: u64 = answer.headers["retry-after"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!((3600..=4320).contains(&secs));
        told.insert(secs);
    }
    assert!(told.len() > 20, "{told:?}");
}

#[tokio::test]
async fn tk_19_whoever_comes_back_when_told_to_passes() {
    let world = World::new();
    let instance = world.instance(LimitKey::caller(), &[Quota::per_second(3).burst(1)]);
    let token = token_of("user-1").mint();
    for _ in 0..20 {
        assert_eq!(instance.admits(1, &token).await, 1);
        let answer = instance.send(Protocol::Http, &token).await;
        let secs: u64 = answer.headers["retry-after"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(secs >= 1);
        world.advance(secs * 1000);
    }
}

#[tokio::test]
async fn tk_17_the_fields_tell_callers_about_their_own_quotas_and_nobody_elses() {
    let world = World::new();
    let quotas = [
        Quota::per_second(10).named("second"),
        Quota::per_hour(3).named("hour"),
    ];
    let builder = world
        .builder(LimitKey::caller(), &quotas)
        .rate_limit_fields();
    let instance = world.instance_of(builder);
    let (one, two) = (token_of("user-1").mint(), token_of("user-2").mint());
    let field = |answer: &Answer, name: &str| {
        let mut values = answer.headers.get_all(name).iter();
        let value = values.next().unwrap().to_str().unwrap().to_owned();
        assert!(values.next().is_none());
        value
    };
    for (token, left) in [(&one, 2), (&one, 1), (&two, 2), (&one, 0)] {
        let answer = instance.send(Protocol::Http, token).await;
        answer.passed();
        assert_eq!(
            field(&answer, "ratelimit-policy"),
            "\"second\";q=10;w=1, \"hour\";q=3;w=3600"
        );
        let reset = 1200 * (3 - left);
        assert_eq!(
            field(&answer, "ratelimit"),
            format!("\"hour\";r={left};t={reset}")
        );
    }
    for protocol in Protocol::ALL {
        let answer = instance.send(protocol, &one).await;
        let secs = answer
            .rejection
            .as_ref()
            .and_then(Rejection::retry_after_secs);
        let secs = secs.unwrap();
        assert_eq!(
            field(&answer, "ratelimit"),
            format!("\"hour\";r=0;t={secs}")
        );
        assert!(field(&answer, "ratelimit-policy").starts_with("\"second\""));
        if protocol == Protocol::Http {
            let problem: Value = serde_json::from_slice(&answer.body).unwrap();
            let expected = "https://iana.org/assignments/http-problem-types#quota-exceeded";
            assert_eq!(problem["type"], expected);
            assert_eq!(problem["violated-policies"], serde_json::json!(["hour"]));
            assert_eq!(problem["code"], "rate_exceeded");
        }
    }
}

#[tokio::test]
async fn in_shadow_nobody_is_refused_and_what_would_have_been_is_told() {
    let world = World::new();
    let builder = world.builder(LimitKey::caller(), &[Quota::per_minute(1)]);
    let instance = world.instance_of(builder.named("trial").shadow());
    let token = token_of("user-1").mint();
    let first = instance.send(Protocol::Http, &token).await;
    assert!(!first.logs.contains("would have been refused"));
    for protocol in Protocol::ALL {
        let answer = instance.send(protocol, &token).await;
        answer.passed();
        assert!(
            answer.logs.contains("would have been refused"),
            "{}",
            answer.logs
        );
        assert!(answer.logs.contains("trial"), "{}", answer.logs);
        answer.keeps(&token);
    }
}
