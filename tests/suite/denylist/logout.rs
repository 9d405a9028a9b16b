//! The way in for OpenID providers at which somebody signs out.

use gateless::bearer::Keys;
use gateless::denylist::{BackchannelLogout, BackchannelLogoutBuilder, LogoutPolicy};
use gateless::{Clock as _, RevocationId};
use gateless_testkit::{Fault, LogFault, TokenBuilder};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use rstest::rstest;
use serde_json::json;
use tokio::time::Instant;
use tower::ServiceExt as _;

use super::*;
use crate::logs;

const CLIENT: &str = "orders-web";
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const FORM: &str = "application/x-www-form-urlencoded";
/// What all tokens are told that are no good.
const REFUSED: &str = r#"{"error":"invalid_request"}"#;

/// What came back. Two of them are the same when nobody can tell the one from the other.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: StatusCode,
    headers: http::HeaderMap,
    body: String,
}

fn policy_of(issuer: &TestIssuer) -> LogoutPolicy {
    LogoutPolicy::new(issuer.issuer(), CLIENT)
}

fn keys_of(issuer: &TestIssuer) -> Keys {
    let policy = TokenPolicy::new(issuer.issuer(), AUDIENCE);
    Keys::fixed(crate::support::keys_of(issuer, &policy))
}

impl World {
    fn logout_builder(&self, instance: &Instance) -> BackchannelLogoutBuilder {
        let (policy, keys) = (policy_of(&self.issuer), keys_of(&self.issuer));
        BackchannelLogout::builder(instance.handle(), policy, keys)
            .clock(Arc::new(self.clock.clone()))
    }

    fn logout(&self, instance: &Instance) -> BackchannelLogout {
        self.logout_builder(instance).build().unwrap()
    }
}

/// A good logout token of a session, to be changed as a test needs it.
fn logout_token(issuer: &TestIssuer) -> TokenBuilder {
    issuer
        .token()
        .header("typ", "logout+jwt")
        .without("client_id")
        .audience(CLIENT)
        .expires_in(120)
        .session_id("session-1")
        .claim("events", json!({ EVENT: {} }))
}

fn of_session(issuer: &TestIssuer, session: &str) -> String {
    issuer.token().session_id(session).mint()
}

async fn send(logout: &BackchannelLogout, request: Request<Full<bytes::Bytes>>) -> Answer {
    let response = logout.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

async fn post(logout: &BackchannelLogout, form: impl Into<String>) -> Answer {
    let request = Request::post("/backchannel-logout").header("content-type", FORM);
    send(logout, request.body(Full::from(form.into())).unwrap()).await
}

async fn tell(logout: &BackchannelLogout, token: &str) -> Answer {
    post(logout, format!("logout_token={token}")).await
}

async fn signs_out(logout: &BackchannelLogout, token: &str) {
    let answer = tell(logout, token).await;
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, ""));
    assert_eq!(answer.headers["cache-control"], "no-store");
}

/// The provider is told to come again.
async fn is_told_to_come_again(logout: &BackchannelLogout, token: &str) {
    let answer = tell(logout, token).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let after = answer.headers["retry-after"].to_str().unwrap();
    assert!((1..=30).contains(&after.parse::<u64>().unwrap()), "{after}");
    assert_eq!(answer.headers["cache-control"], "no-store");
}

#[rstest]
#[case::both(Some("session-1"), Some("user-1"))]
#[case::session(Some("session-1"), None)]
#[case::subject(None, Some("user-1"))]
#[tokio::test(start_paused = true)]
async fn th_14_who_signs_out_is_refused_with_the_next_request(
    #[case] session: Option<&str>,
    #[case] subject: Option<&str>,
) {
    let world = World::new();
    let instance = world.instance().await;
    let mine = of_session(&world.issuer, "session-1");
    let other_session = of_session(&world.issuer, "session-2");
    let stranger = world.issuer.token().subject("user-2").mint();
    instance.accepts(&mine).await;

    let mut token = logout_token(&world.issuer);
    if session.is_none() {
        token = token.without("sid");
    }
    if subject.is_none() {
        token = token.without("sub");
    }
    signs_out(&world.logout(&instance), &token.mint()).await;
    instance.refuses(&mine).await;
    instance.accepts(&stranger).await;
    if session.is_some() {
        instance.accepts(&other_session).await;
    } else {
        instance.refuses(&other_session).await;
        world.pass(Duration::from_secs(2)).await;
        // Signed in again.
        instance
            .accepts(&of_session(&world.issuer, "session-3"))
            .await;
    }
}

/// Each of them, told apart by nothing.
#[tokio::test(start_paused = true)]
async fn th_17_what_is_wrong_with_a_token_is_not_said() {
    let world = World::new();
    let instance = world.instance().await;
    let logout = world.logout(&instance);
    let issuer = &world.issuer;
    let forger = TestIssuer::builder()
        .clock(Arc::new(world.clock.clone()))
        .build();
    let good = || logout_token(issuer);
    let twice = |more: &str| {
        let now = world.clock.wall().as_secs();
        let claims = json!({
            "iss": ISSUER, "aud": CLIENT, "iat": now, "exp": now + 120, "jti": "twice",
            "sid": "session-1", "events": { EVENT: {} },
        });
        let claims = claims.to_string();
        let claims = format!("{},{more}}}", claims.strip_suffix('}').unwrap());
        good().raw_claims(claims).mint()
    };
    let signed = good().mint();
    let (start, _) = signed.rsplit_once('.').unwrap();
    let id_token = || issuer.token().audience(CLIENT).session_id("session-1");
    let kid = issuer.kids().remove(0);
    let tokens = [
        ("garbage", "garbage".to_owned()),
        ("no signature", format!("{start}.")),
        (
            "another's signature",
            format!(
                "{start}.{}",
                forger.token().mint().rsplit_once('.').unwrap().1
            ),
        ),
        (
            "forged",
            logout_token(&forger)
                .key_id(forger.kids().remove(0))
                .header("kid", kid)
                .mint(),
        ),
        ("unknown key", logout_token(&forger).mint()),
        ("alg none", good().header("alg", "none").unsigned().mint()),
        (
            "typ of an access token",
            good().header("typ", "at+jwt").mint(),
        ),
        ("typ JWT", good().header("typ", "JWT").mint()),
        ("no typ", good().without_header("typ").mint()),
        ("access token", of_session(issuer, "session-1")),
        (
            "ID token",
            id_token().header("typ", "JWT").claim("nonce", "n-1").mint(),
        ),
        (
            "ID token without a type",
            id_token().without_header("typ").mint(),
        ),
        ("nonce", good().claim("nonce", "n-1").mint()),
        ("no events", good().without("events").mint()),
        (
            "other events",
            good()
                .claim("events", json!({ "https://example.com": {} }))
                .mint(),
        ),
        ("wrong aud", good().audience("other-web").mint()),
        (
            "wrong iss",
            good().claim("iss", "https://other.example.com").mint(),
        ),
        ("no iss", good().without("iss").mint()),
        ("expired", good().issued_in(-300).expires_in(-31).mint()),
        ("too old", good().issued_in(-601).mint()),
        ("no exp", good().without("exp").mint()),
        ("no jti", good().without("jti").mint()),
        ("a number for sid", good().claim("sid", 7).mint()),
        ("nobody", good().without("sid").without("sub").mint()),
        ("sid twice", twice(r#""sid":"session-2""#)),
        ("sub and sub", twice(r#""sub":"user-1","sub":"user-2""#)),
    ];
    let expected = post(&logout, "").await;
    assert_eq!(expected.status, StatusCode::BAD_REQUEST);
    assert_eq!(expected.body, REFUSED);
    for (what, token) in &tokens {
        logs::capture();
        logs::take();
        assert_eq!(tell(&logout, token).await, expected, "{what}");
        let logs = logs::take();
        assert!(logs.contains("code="), "{what}: {logs}");
        for secret in ["session-1", "user-1", token] {
            assert!(!logs.contains(secret), "{what}: {logs}");
        }
    }
    let good = good().mint();
    for form in [
        format!("logout_token={good}&logout_token={good}"),
        format!("logout_token={good}&%6cogout_token={good}"),
        format!("token={good}"),
        format!("logout_token={good}%"),
        "logout_token=".to_owned(),
    ] {
        assert_eq!(post(&logout, form).await, expected);
    }
    assert_eq!(world.log.appends(), 0);
    instance.accepts(&of_session(issuer, "session-1")).await;
    signs_out(&logout, &good).await;
}

#[tokio::test(start_paused = true)]
async fn th_21_a_logout_token_opens_nothing() {
    let world = World::new();
    let instance = world.instance().await;
    let typed = Refusal::tok(TokenFault::TypeNotAllowed);
    // With all that an access token has.
    for token in [
        logout_token(&world.issuer).mint(),
        logout_token(&world.issuer)
            .audience(AUDIENCE)
            .client_id("client-1")
            .mint(),
    ] {
        instance.refuses_as(&token, &typed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn th_15_a_replay_does_not_revoke_again_what_was_taken_back() {
    let world = World::new();
    let instance = world.instance().await;
    let logout = world.logout(&instance);
    let (mine, token) = (
        of_session(&world.issuer, "session-1"),
        logout_token(&world.issuer).mint(),
    );
    signs_out(&logout, &token).await;
    signs_out(&logout, &token).await;
    assert_eq!(world.log.appends(), 1);
    instance.refuses(&mine).await;

    let id = RevocationId::session(ISSUER, "session-1");
    instance.handle().unrevoke(id).await.unwrap();
    for _ in 0..3 {
        signs_out(&logout, &token).await;
        instance.accepts(&mine).await;
        // Up to the end that it names, and the leeway.
        world.pass(Duration::from_secs(49)).await;
    }
    world.pass(Duration::from_secs(3)).await;
    assert_eq!(tell(&logout, &token).await.status, StatusCode::BAD_REQUEST);
    instance.accepts(&mine).await;

    // One that says it anew does.
    signs_out(&logout, &logout_token(&world.issuer).mint()).await;
    instance.refuses(&mine).await;
}

#[tokio::test(start_paused = true)]
async fn th_15_ids_of_two_issuers_are_two() {
    let world = World::new();
    let instance = world.instance().await;
    let other = TestIssuer::builder()
        .issuer("https://other.example.com")
        .clock(Arc::new(world.clock.clone()))
        .build();
    let logout = world.logout_builder(&instance);
    let logout = logout.issuer(policy_of(&other), keys_of(&other));
    let logout = logout.build().unwrap();
    for issuer in [&other, &world.issuer] {
        let token = logout_token(issuer).token_id("logout-1").mint();
        signs_out(&logout, &token).await;
    }
    assert_eq!(world.log.appends(), 2);
    instance
        .refuses(&of_session(&world.issuer, "session-1"))
        .await;
}

#[tokio::test(start_paused = true)]
async fn th_16_an_issuer_signs_out_only_its_own() {
    let world = World::new();
    let instance = world.instance().await;
    let other = TestIssuer::builder()
        .issuer("https://other.example.com")
        .clock(Arc::new(world.clock.clone()))
        .build();
    let logout = world.logout_builder(&instance);
    let logout = logout.issuer(policy_of(&other), keys_of(&other));
    let logout = logout.build().unwrap();
    let mine = of_session(&world.issuer, "session-1");

    let theirs = logout_token(&other);
    signs_out(&logout, &theirs.clone().mint()).await;
    signs_out(&logout, &logout_token(&other).without("sid").mint()).await;
    instance.accepts(&mine).await;
    // Nor with a name that is not its own: the keys are not those of that issuer.
    let claimed = theirs.claim("iss", ISSUER).mint();
    assert_eq!(tell(&logout, &claimed).await.body, REFUSED);
    instance.accepts(&mine).await;
    signs_out(&logout, &logout_token(&world.issuer).mint()).await;
    instance.refuses(&mine).await;
}

#[tokio::test(start_paused = true)]
async fn th_16_each_issuer_has_a_policy_of_its_own() {
    let world = World::new();
    let instance = world.instance().await;
    let other = TestIssuer::builder()
        .issuer("https://other.example.com")
        .clock(Arc::new(world.clock.clone()))
        .build();
    let lenient = LogoutPolicy::new(other.issuer(), "other-web").optional_type();
    let logout = world.logout_builder(&instance);
    let logout = logout.issuer(lenient, keys_of(&other)).build().unwrap();
    let untyped = |issuer| logout_token(issuer).without_header("typ");
    let of_other = untyped(&other).audience("other-web").mint();
    signs_out(&logout, &of_other).await;
    for token in [untyped(&other), untyped(&world.issuer)] {
        assert_eq!(tell(&logout, &token.mint()).await.body, REFUSED);
    }
}

/// Where nobody knows whether it is stored, it is refused all the same.
#[rstest]
#[case(LogFault::Fail, false)]
#[case(LogFault::Hang, true)]
#[tokio::test(start_paused = true)]
async fn th_02_what_cannot_be_stored_is_told_and_works_when_it_comes_again(
    #[case] fault: LogFault,
    #[case] may_be_stored: bool,
) {
    let world = World::new();
    let instance = world.instance().await;
    let logout = world.logout(&instance);
    let mine = of_session(&world.issuer, "session-1");
    let token = logout_token(&world.issuer).mint();
    world.log.set_fault(fault);
    is_told_to_come_again(&logout, &token).await;
    is_told_to_come_again(&logout, &token).await;
    match may_be_stored {
        true => instance.refuses(&mine).await,
        false => instance.accepts(&mine).await,
    }
    world.log.clear_fault();
    signs_out(&logout, &token).await;
    instance.refuses(&mine).await;
}

/// An issuer whose keys are fetched, by a socket: in real time.
struct Remote {
    world: World,
    issuer: TestIssuer,
    instance: Instance,
    logout: BackchannelLogout,
}

impl Remote {
    async fn new() -> Self {
        let world = World::new();
        let issuer = TestIssuer::builder().clock(Arc::new(world.clock.clone()));
        let issuer = issuer.serve().await.unwrap();
        let instance = world.instance().await;
        let policy = policy_of(&issuer).danger_allow_http_loopback();
        let keys = Keys::discovery(OnOutage::FailClosed).timeout(Duration::from_secs(3));
        let logout = BackchannelLogout::builder(instance.handle(), policy, keys)
            .clock(Arc::new(world.clock.clone()))
            .build()
            .unwrap();
        Self {
            world,
            issuer,
            instance,
            logout,
        }
    }
}

#[tokio::test]
async fn th_14_a_key_that_is_not_there_is_fetched() {
    let remote = Remote::new().await;
    let Remote { issuer, logout, .. } = &remote;
    // The first one of all.
    signs_out(logout, &logout_token(issuer).mint()).await;
    assert_eq!(issuer.requests().jwks, 1);
    issuer.rotate();
    signs_out(logout, &logout_token(issuer).mint()).await;
    assert_eq!(issuer.requests().jwks, 2);
    issuer.rotate();
    let token = logout_token(issuer).mint();
    // It may be good: the issuer is not asked again so soon.
    is_told_to_come_again(logout, &token).await;
    assert_eq!(issuer.requests().jwks, 2);
    remote.world.clock.advance(Duration::from_secs(30));
    signs_out(logout, &token).await;
    remote.world.clock.advance(Duration::from_secs(1));
    signs_out(logout, &logout_token(issuer).mint()).await;
    assert_eq!(issuer.requests().jwks, 3);
    assert_eq!(remote.world.log.appends(), 4);
}

#[tokio::test]
async fn th_17_made_up_keys_are_asked_for_once_in_a_while() {
    let remote = Remote::new().await;
    let Remote { issuer, logout, .. } = &remote;
    logout.ready().await.unwrap();
    let made_up = |number| logout_token(issuer).header("kid", format!("made-up-{number}"));
    assert_eq!(tell(logout, &made_up(0).mint()).await.body, REFUSED);
    for number in 0..50 {
        is_told_to_come_again(logout, &made_up(number).mint()).await;
    }
    assert_eq!(issuer.requests().jwks, 2);
    // What no key could help is not worth asking for.
    remote.world.clock.advance(Duration::from_secs(31));
    let access = of_session(issuer, "session-1");
    assert_eq!(tell(logout, &access).await.body, REFUSED);
    assert_eq!(issuer.requests().jwks, 2);
}

#[tokio::test]
async fn th_02_without_keys_the_provider_is_told_to_come_again() {
    let remote = Remote::new().await;
    let Remote { issuer, logout, .. } = &remote;
    issuer.set_fault(Fault::Status(500));
    let token = logout_token(issuer).mint();
    is_told_to_come_again(logout, &token).await;
    is_told_to_come_again(logout, &token).await;
    // What is no good with any key is told so even now.
    assert_eq!(tell(logout, "garbage").await.body, REFUSED);
    assert_eq!(
        tell(logout, &of_session(issuer, "session-1")).await.body,
        REFUSED
    );
    assert_eq!(logout.ready().await.unwrap_err().issuers().len(), 1);
    assert_eq!(remote.world.log.appends(), 0);

    issuer.clear_fault();
    remote.world.clock.advance(Duration::from_secs(31));
    signs_out(logout, &token).await;
    assert_eq!(logout.key_status().len(), 1);
    // A key that cannot be asked about is no fault of the token.
    let known = logout_token(issuer).issued_in(605).expires_in(700);
    let known = known.mint();
    issuer.set_fault(Fault::Status(500));
    issuer.rotate();
    remote.world.clock.advance(Duration::from_secs(31));
    is_told_to_come_again(logout, &logout_token(issuer).mint()).await;
    // Keys that are too old are none.
    remote.world.clock.advance(Duration::from_secs(601));
    is_told_to_come_again(logout, &known).await;
    assert_eq!(remote.world.log.appends(), 1);
}

#[tokio::test]
async fn th_17_a_flood_waits_for_nothing_and_holds_nobody_up() {
    let remote = Remote::new().await;
    let Remote { issuer, logout, .. } = &remote;
    logout.ready().await.unwrap();
    let good = logout_token(issuer).mint();
    issuer.set_fault(Fault::Hang);
    let made_up = logout_token(issuer).header("kid", "made-up").mint();
    let begin = Instant::now();
    let flood: Vec<_> = (0..64)
        .map(|_| {
            let (logout, token) = (logout.clone(), made_up.clone());
            tokio::spawn(async move { (tell(&logout, &token).await.status, begin.elapsed()) })
        })
        .collect();
    sleep(Duration::from_millis(100)).await;
    signs_out(logout, &good).await;
    assert!(begin.elapsed() < Duration::from_millis(900));
    let mut waited = 0;
    for one in flood {
        let (status, time) = one.await.unwrap();
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        waited += usize::from(time > Duration::from_millis(2500));
    }
    assert_eq!(waited, 16);
    assert_eq!(remote.world.log.appends(), 1);
    drop(remote.instance);
}

#[tokio::test(start_paused = true)]
async fn only_forms_are_taken_and_only_by_post() {
    let world = World::new();
    let instance = world.instance().await;
    let logout = world.logout(&instance);
    let token = logout_token(&world.issuer).mint();
    let form = format!("logout_token={token}");
    let request = Request::builder()
        .method(Method::GET)
        .uri(format!("/?{form}"));
    let answer = send(&logout, request.body(Full::from("")).unwrap()).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.headers["allow"], "POST");
    let request = Request::post("/").header("content-type", "application/json");
    let answer = send(&logout, request.body(Full::from(form.clone())).unwrap()).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let long = format!("{form}&more={}", "a".repeat(40_000));
    let answer = post(&logout, long).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(world.log.appends(), 0);
    // What else stands in the form is not looked at (§2.5).
    let answer = post(&logout, format!("more=a&{form}")).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn tl_02_who_signed_out_is_not_logged() {
    let world = World::new();
    let instance = world.instance().await;
    let logout = world.logout(&instance);
    let canary = logout_token(&world.issuer)
        .session_id("canary")
        .subject("canary")
        .token_id("canary")
        .mint();
    logs::capture();
    logs::take();
    signs_out(&logout, &canary).await;
    let logs = logs::take();
    assert!(logs.contains("somebody has signed out"), "{logs}");
    assert!(logs.contains(ISSUER), "{logs}");
    assert!(!logs.contains("canary"), "{logs}");
}

#[tokio::test(start_paused = true)]
async fn every_unusable_setting_is_named_at_once() {
    let world = World::new();
    let instance = world.instance().await;
    let no_client = LogoutPolicy::new("https://other.example.com", "");
    let es256 = policy_of(&world.issuer).algorithms([gateless::bearer::Algorithm::ES256]);
    let error = world
        .logout_builder(&instance)
        .issuer(no_client, keys_of(&world.issuer).cooldown(Duration::ZERO))
        .issuer(es256, keys_of(&world.issuer))
        .build()
        .unwrap_err();
    let named: Vec<_> = (error.faults().iter())
        .map(gateless::ConfigFault::setting)
        .collect();
    assert_eq!(named, ["client_id", "cooldown", "issuer"]);
}
