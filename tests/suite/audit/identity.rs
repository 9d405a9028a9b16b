//! Who a record names, and how.

use gateless::audit::{Disclosure, PseudonymKey};
use gateless::{
    Actor, Peer, PeerAddress, Principal, PrincipalKind, PrincipalParts, ScopeSet, Timestamp,
    TokenDigest,
};
use tower::service_fn;

use super::*;

const ISSUER: &str = "https://idp.example.com";

fn caller() -> PrincipalParts {
    PrincipalParts {
        subject: Some("canary-alice".into()),
        client_id: Some("shop".into()),
        token_id: Some("canary-jti".into()),
        session_id: Some("canary-session".into()),
        kind: PrincipalKind::User,
        scopes: ScopeSet::parse("orders:read orders:write").unwrap(),
        audience: ["canary-audience".into()].into(),
        actors: [Actor {
            issuer: None,
            subject: "canary-agent".into(),
        }]
        .into(),
        key_id: Some("key-1".into()),
        claims: r#"{"email":"canary@example.com","tenant":"canary-tenant"}"#.into(),
        ..PrincipalParts::new(ISSUER, Timestamp::MAX)
    }
}

/// The record of a request of `caller`.
async fn record(world: &World, caller: PrincipalParts) -> Value {
    let principal = Principal::assert_authenticated(caller);
    let service = service_fn(move |request: Request<String>| {
        let trail = gateless::audit::Trail::of(request.extensions()).unwrap();
        trail.authenticated(&principal);
        async { Ok::<_, Infallible>(Response::new(String::new())) }
    });
    let mut request = Request::get("/canary-path?canary=query")
        .header("authorization", "Bearer canary-token")
        .header("cookie", "canary-cookie")
        .header("x-canary", "canary-field")
        .header("user-agent", "curl/8.5.0 canary-agent")
        .header(
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        )
        .body("canary-body".to_owned())
        .unwrap();
    request
        .extensions_mut()
        .insert(PeerAddress("2001:db8:1:2:3:4:5:6".parse().unwrap()));
    drop(world.audit.layer(service).oneshot(request).await.unwrap());
    world.written("request").await.pop().unwrap()
}

fn key() -> PseudonymKey {
    PseudonymKey::new("key-2026", b"an old song nobody knows").unwrap()
}

fn naming(set: impl FnOnce(AuditLogBuilder) -> AuditLogBuilder) -> World {
    World::of(Shelf::new(), Backpressure::FailRequest, |builder| {
        set(builder.pseudonyms(key()))
    })
}

#[tokio::test]
async fn tl_17_subjects_are_pseudonyms_unless_the_service_says_otherwise() {
    let world = naming(|builder| builder);
    let by_default = record(&world, caller()).await;
    assert_eq!(by_default["subject"], key().subject(ISSUER, "canary-alice"));
    assert_eq!(
        by_default["actors"],
        serde_json::json!([key().subject(ISSUER, "canary-agent")])
    );
    assert_eq!(by_default["client"], "shop");
    assert_eq!(by_default["peer"], "2001:db8:1:2::");
    assert_eq!(by_default["trace"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(by_default["agent"], "curl");
    assert_eq!(by_default["key"], "key-1");

    let pseudonyms = naming(|builder| {
        builder
            .clients(Disclosure::Pseudonym)
            .peers(Disclosure::Pseudonym)
    });
    let hidden = record(&pseudonyms, caller()).await;
    assert_eq!(hidden["client"], key().client(ISSUER, "shop"));
    assert_eq!(hidden["peer"], key().peer("2001:db8:1:2::"));

    let nothing = naming(|builder| {
        builder
            .subjects(Disclosure::Omitted)
            .clients(Disclosure::Omitted)
            .peers(Disclosure::Omitted)
    });
    let nothing = record(&nothing, caller()).await;
    for name in ["subject", "actors", "client", "peer"] {
        assert_eq!(nothing.get(name), None, "{nothing:#}");
    }
    assert_eq!(nothing["issuer"], ISSUER);

    let plain = naming(|builder| {
        builder
            .subjects(Disclosure::Plain)
            .peer(Peer::connection().ipv6_prefix(128))
    });
    let plain = record(&plain, caller()).await;
    assert_eq!(plain["subject"], "canary-alice");
    assert_eq!(plain["actors"], serde_json::json!(["canary-agent"]));
    assert_eq!(plain["peer"], "2001:db8:1:2:3:4:5:6");
}

/// Nothing that a token or a client says gets into a record but what has a field, and no field is free text.
#[tokio::test]
async fn tl_04_no_secret_and_no_claim_is_in_a_record() {
    let world = naming(|builder| builder);
    record(&world, caller()).await;
    let lines = world.shelf.lines().concat();
    assert!(!lines.contains("canary"), "{lines}");
}

/// "Was this token ever used?": who has the key and the token can ask, and nobody can read the log.
#[tokio::test]
async fn tl_05_tokens_are_named_under_a_secret_key() {
    let world = naming(|builder| builder);
    let with_id = record(&world, caller()).await;
    let handle = world.audit.handle();
    assert_eq!(
        with_id["token"],
        handle.pseudonyms().token(ISSUER, "canary-jti")
    );
    let digest = [7; 32];
    let opaque = PrincipalParts {
        token_id: None,
        token_digest: Some(TokenDigest::new(digest)),
        ..caller()
    };
    let without_id = record(&world, opaque).await;
    assert_eq!(
        without_id["token"],
        handle.pseudonyms().token_digest(ISSUER, &digest)
    );

    let rotated = PseudonymKey::new("key-2027", b"a new song nobody knows").unwrap();
    let later = naming(|builder| builder.pseudonyms(rotated.clone()));
    let renamed = record(&later, caller()).await;
    assert_eq!(renamed["token"], rotated.token(ISSUER, "canary-jti"));
    assert_ne!(renamed["token"], with_id["token"]);
    assert_eq!(later.shelf.records()[0]["pseudonyms"], "key-2027");
}

#[tokio::test]
async fn tl_05_without_a_key_names_end_with_the_process() {
    let records =
        [World::new(), World::new()].map(|world| async move { record(&world, caller()).await });
    let [one, other] = records;
    let (one, other) = (one.await, other.await);
    assert_ne!(one["subject"], other["subject"]);
    assert_ne!(one["token"], other["token"]);
}
