//! A new configuration while serving: it bites at once, and one that cannot be used changes nothing.

use std::time::Duration;

use gateless::TokenFault;
use gateless::bearer::{Keys, ReloadError, TokenPolicy};
use gateless_testkit::{Fault, Recorder, SigningAlgorithm, TestIssuer};
use http::Request;
use rstest::rstest;
use tower::{Layer as _, Service as _, ServiceExt as _};

use crate::logs;
use crate::served::{COOLDOWN, HOUR, LIFETIME, Setup, policy};
use crate::support::{self, Protocol, Refusal, bearer, send};

type Change = fn(TokenPolicy) -> TokenPolicy;

fn discovery() -> Keys {
    Keys::discovery(HOUR)
}

#[rstest]
#[case::audience(|policy: TokenPolicy| TokenPolicy::new(policy.issuer(), "https://other.example.com").danger_allow_http_loopback(), TokenFault::AudienceMismatch)]
#[case::clients(|policy: TokenPolicy| policy.allowed_clients(["client-2"]), TokenFault::ClientNotAllowed)]
#[case::lifetime(|policy: TokenPolicy| policy.max_lifetime(Duration::from_secs(299)), TokenFault::LifetimeTooLong)]
#[case::algorithms(|policy: TokenPolicy| policy.algorithms([gateless::bearer::Algorithm::ES256]), TokenFault::AlgorithmNotAllowed)]
#[tokio::test]
async fn tj_17_a_new_policy_bites_at_once_also_on_tokens_that_are_remembered(
    #[case] change: Change,
    #[case] fault: TokenFault,
) {
    let setup = Setup::warm(discovery()).await;
    let token = setup.issuer.token().mint();
    for _ in 0..2 {
        setup.accepts(&token).await;
    }
    let old = setup.handle().epoch();
    let stricter = setup.builder(change(policy(&setup.issuer)), discovery());
    let new = setup.handle().reload(stricter).await.unwrap();
    assert!(new > old);
    assert_eq!(setup.handle().epoch(), new);
    support::refuses(&setup.auth, &Refusal::tok(fault), &token, |request| {
        request.header("authorization", bearer(&token))
    })
    .await;

    // And back: what was found out under the one is no answer under the other.
    let lax = setup.builder(policy(&setup.issuer), discovery());
    assert!(setup.handle().reload(lax).await.unwrap() > new);
    setup.accepts(&token).await;
}

#[tokio::test]
async fn tm_15_a_configuration_that_cannot_be_used_changes_nothing() {
    let setup = Setup::warm(discovery()).await;
    let token = setup.issuer.token().mint();
    setup.accepts(&token).await;
    let away = TestIssuer::serve().await.unwrap();
    away.set_fault(Fault::Status(503));
    let epoch = setup.handle().epoch();

    logs::capture();
    logs::take();
    let invalid = setup.builder(
        policy(&setup.issuer).leeway(Duration::from_secs(301)),
        discovery().lifetime(Duration::ZERO),
    );
    match setup.handle().reload(invalid).await {
        Err(ReloadError::Config(error)) => {
            let settings: Vec<_> = error.faults().iter().map(|fault| fault.setting()).collect();
            assert_eq!(settings, ["leeway", "lifetime"]);
        }
        other => panic!("{other:?}"),
    }
    let said = logs::take();
    assert!(
        said.contains("configuration not reloaded: the old one stays in place"),
        "{said}"
    );
    assert!(said.contains("ERROR") && said.contains("leeway"), "{said}");

    let unreachable = setup
        .builder(
            policy(&setup.issuer).max_lifetime(Duration::from_secs(1)),
            discovery(),
        )
        .issuer(policy(&away), discovery());
    match setup.handle().reload(unreachable).await {
        Err(ReloadError::KeysUnavailable(error)) => assert_eq!(error.issuers(), [away.issuer()]),
        other => panic!("{other:?}"),
    }
    let said = logs::take();
    assert!(
        said.contains("configuration not reloaded: the old one stays in place"),
        "{said}"
    );
    assert!(said.contains(away.issuer()), "{said}");

    assert_eq!(setup.handle().epoch(), epoch);
    assert_eq!(setup.handle().key_status().len(), 1);
    assert!(setup.handle().is_ready());
    setup.accepts(&token).await;
    setup.accepts_new().await;
    setup
        .refuses(
            &away.token().mint(),
            &Refusal::tok(TokenFault::IssuerUnknown),
        )
        .await;
    assert_eq!(setup.fetches(), 1);
}

#[tokio::test]
async fn te_07_an_issuer_that_is_away_loses_no_keys_by_a_reload() {
    let setup = Setup::warm(discovery()).await;
    setup.issuer.shutdown().await;
    setup.clock.advance(LIFETIME / 2);
    for max_lifetime in [600, 601] {
        let policy = policy(&setup.issuer).max_lifetime(Duration::from_secs(max_lifetime));
        let builder = setup.builder(policy, discovery());
        setup.handle().reload(builder).await.unwrap();
        setup.accepts_new().await;
    }
    // Nor do they become younger by it.
    assert_eq!(setup.status().age(), Some(LIFETIME / 2));
    assert_eq!(setup.fetches(), 1);
    let builder = setup.builder(
        policy(&setup.issuer),
        discovery().timeout(Duration::from_secs(4)),
    );
    assert!(setup.handle().reload(builder).await.is_err());
    setup.accepts_new().await;
}

/// The reload waits for another issuer, and has fetched what is thrown away meanwhile.
#[tokio::test]
async fn te_13_keys_that_are_purged_during_a_reload_do_not_come_back_with_it() {
    let setup = Setup::warm(discovery()).await;
    let other = TestIssuer::serve().await.unwrap();
    other.set_jwks_fault(Fault::Hang);
    let changed = setup
        .builder(policy(&setup.issuer), discovery().lifetime(LIFETIME / 2))
        .issuer(policy(&other), discovery());
    let handle = setup.handle().clone();
    let reloading = tokio::spawn(async move { handle.reload(changed).await });
    setup.until(|| other.requests().jwks == 1).await;
    assert_eq!(setup.fetches(), 2);
    let forged = setup.issuer.token().expires_in(3600).mint();

    setup.issuer.rotate();
    assert!(setup.handle().purge_keys(setup.issuer.issuer()));
    setup.fetched(3).await;
    other.clear_fault();
    reloading.await.unwrap().unwrap();
    setup
        .refuses(&forged, &Refusal::tok(TokenFault::KeyUnknown))
        .await;
    setup.accepts_new().await;

    // The next reload is none of that.
    let fetches = setup.fetches();
    let changed = setup.builder(policy(&setup.issuer), discovery());
    setup.handle().reload(changed).await.unwrap();
    setup.accepts_new().await;
    assert_eq!(setup.fetches(), fetches + 1);
}

#[tokio::test]
async fn changed_key_settings_are_fetched_with_before_they_are_in_place() {
    let setup = Setup::warm(discovery()).await;
    let token = setup.issuer.token().mint();
    setup.accepts(&token).await;
    let old = setup.handle().epoch();
    setup.issuer.set_jwks_fault(Fault::Hang);
    let changed = policy(&setup.issuer).allowed_clients(["client-2"]);
    let changed = setup.builder(changed, discovery().lifetime(LIFETIME / 2));
    let handle = setup.handle().clone();
    let reloading = tokio::spawn(async move { handle.reload(changed).await });
    setup.fetched(2).await;
    // Before: the old answers.
    assert!(!reloading.is_finished());
    assert_eq!(setup.handle().epoch(), old);
    setup.accepts(&token).await;
    setup.issuer.clear_fault();
    assert!(reloading.await.unwrap().unwrap() > old);
    // After: the new ones, and nobody waits for keys.
    let refusal = Refusal::tok(TokenFault::ClientNotAllowed);
    setup.refuses(&token, &refusal).await;
    let theirs = setup.issuer.token().client_id("client-2").mint();
    setup.accepts(&theirs).await;
    assert_eq!(setup.fetches(), 2);
    // The lifetime as it is now.
    setup.clock.advance(LIFETIME / 2 / 5 * 4);
    setup.accepts(&theirs).await;
    setup.renewed(3).await;
}

#[tokio::test]
async fn tj_17_who_waits_for_keys_is_decided_by_the_configuration_it_began_with() {
    let setup = Setup::new(discovery()).await;
    setup.issuer.set_jwks_fault(Fault::Hang);
    let token = setup.issuer.token().mint();
    let request = Request::get("/").header("authorization", bearer(&token));
    let service = setup.auth.layer(Recorder::new());
    let waits = tokio::spawn(service.oneshot(request.body(String::new()).unwrap()));
    setup.fetched(1).await;
    let changed = policy(&setup.issuer).allowed_clients(["client-2"]);
    let changed = setup.builder(changed, discovery());
    // The store is the same, so there is nothing to wait for.
    setup.handle().reload(changed).await.unwrap();
    assert!(!waits.is_finished());
    setup.issuer.clear_fault();
    assert_eq!(waits.await.unwrap().unwrap().status(), 200);
    let refusal = Refusal::tok(TokenFault::ClientNotAllowed);
    setup.refuses(&token, &refusal).await;
}

#[tokio::test]
async fn every_clone_and_every_mounted_service_sees_the_new_configuration() {
    let setup = Setup::warm(discovery()).await;
    let token = setup.issuer.token().mint();
    let clone = setup.auth.clone();
    let mut mounted = setup.auth.layer(Recorder::new());
    let request = || {
        let request = Request::get("/").header("authorization", bearer(&token));
        request.body(String::new()).unwrap()
    };
    assert_eq!(mounted.call(request()).await.unwrap().status(), 200);
    let other = TestIssuer::builder()
        .clock(std::sync::Arc::new(setup.clock.clone()))
        .serve()
        .await
        .unwrap();
    let builder = setup.builder(policy(&other), discovery());
    clone.handle().reload(builder).await.unwrap();

    let refusal = Refusal::tok(TokenFault::IssuerUnknown);
    for auth in [&setup.auth, &clone] {
        send(auth, request())
            .await
            .refused(Protocol::Http, &refusal);
    }
    assert_eq!(mounted.call(request()).await.unwrap().status(), 401);
    setup.accepts(&other.token().mint()).await;
    assert_eq!(setup.handle().epoch(), clone.handle().epoch());
    // The old issuer is nobody here any more.
    assert!(!setup.handle().purge_keys(setup.issuer.issuer()));
    setup.clock.advance(COOLDOWN);
    let stranger = setup.issuer.token().algorithm(SigningAlgorithm::Es256);
    setup
        .refuses(&stranger.header("kid", "x").mint(), &refusal)
        .await;
    setup.settle().await;
    assert_eq!(setup.fetches(), 1);
}

#[tokio::test]
async fn the_optional_layer_is_reloaded_and_remains_optional() {
    let setup = Setup::warm(discovery()).await;
    let builder = |policy: TokenPolicy| setup.builder(policy, discovery());
    let optional = builder(policy(&setup.issuer)).build_optional().unwrap();
    let token = setup.issuer.token().mint();
    let ask = |token: Option<&str>| {
        let mut request = Request::get("/");
        if let Some(token) = token {
            request = request.header("authorization", bearer(token));
        }
        request.body(String::new()).unwrap()
    };
    send(&optional, ask(Some(&token))).await.passed();
    let changed = policy(&setup.issuer).allowed_clients(["client-2"]);
    optional.handle().reload(builder(changed)).await.unwrap();
    let refusal = Refusal::tok(TokenFault::ClientNotAllowed);
    send(&optional, ask(Some(&token)))
        .await
        .refused(Protocol::Http, &refusal);
    send(&optional, ask(None)).await.passed();
}
