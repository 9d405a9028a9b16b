use gateless_core::{Renderer, Wire, acr, scope, scopes};
use http_body_util::Full;
use rstest::rstest;
use tower::service_fn;

use super::*;
use crate::TestIssuer;

/// A service with one route that reads tokens without checking them, and is wrong in one respect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    LetsStrangersIn,
    ForgetsTheScope,
    AsksForAnother,
    MatchesPrefixes,
    HasNoSuchRoute,
    OpensAnotherMethod,
    KnowsNothingByAnotherMethod,
    HidesTheChallenge,
    IgnoresAcr,
    RefusesAll,
}

fn requirement() -> Requirement {
    Requirement::all([
        Requirement::all(scopes!["read", "list"]),
        Requirement::acr([acr!("phr")]),
        Requirement::max_age(Duration::from_secs(60)),
        Requirement::kind(gateless_core::PrincipalKind::Client),
        Requirement::claim(["realm", "roles"], "admin"),
    ])
}

use std::time::Duration;

async fn check(flaw: Flaw) -> Result<usize, RouteFaults> {
    let base = TestIssuer::new().token();
    let declaration = Declaration::new(
        Route::Http {
            method: Method::POST,
            path: "/orders/{id}".into(),
        },
        requirement(),
    );
    let now = Timestamp::from_secs(base.now());
    let service = service_fn(move |request: Request<Full<Bytes>>| async move {
        Ok::<_, std::convert::Infallible>(answer(flaw, &request, now))
    });
    RouteCheck::new(base).run(&[declaration], service).await
}

fn answer(flaw: Flaw, request: &Request<Full<Bytes>>, now: Timestamp) -> Response<Full<Bytes>> {
    let refuse = |rejection: Rejection| {
        let mut response = Renderer::DEFAULT.render(&rejection, Wire::of(request.headers()));
        if flaw == Flaw::HidesTheChallenge {
            response.headers_mut().remove("www-authenticate");
        }
        response.map(Full::new)
    };
    let done = || Response::new(Full::default());
    let Some(token) = request.headers().get(AUTHORIZATION) else {
        return match flaw {
            Flaw::LetsStrangersIn => done(),
            _ => refuse(Rejection::CredentialsMissing),
        };
    };
    if request.uri().path() != "/orders/1" {
        return refuse(Rejection::RouteUnknown);
    }
    if request.method() != Method::POST {
        return match flaw {
            Flaw::OpensAnotherMethod if request.method() == Method::PATCH => done(),
            Flaw::KnowsNothingByAnotherMethod if request.method() == Method::DELETE => {
                let mut unknown = done();
                *unknown.status_mut() = http::StatusCode::NOT_FOUND;
                let json = "application/json".parse().unwrap();
                unknown.headers_mut().insert("content-type", json);
                unknown
            }
            _ => refuse(Rejection::MethodUnknown {
                allow: "POST".into(),
            }),
        };
    }
    let requirement = match flaw {
        Flaw::ForgetsTheScope => Requirement::from(scope!("read")),
        Flaw::AsksForAnother => Requirement::all([requirement(), scope!("other").into()]),
        Flaw::IgnoresAcr => Requirement::all(scopes!["read", "list"]),
        _ => requirement(),
    };
    let claims = read(token.to_str().unwrap());
    let mut principal = principal_of(&claims);
    if flaw == Flaw::MatchesPrefixes {
        let scope = claims["scope"].as_str().unwrap().replace("readx", "read");
        principal.scopes = gateless_core::ScopeSet::parse(scope).unwrap();
    }
    let principal = gateless_core::Principal::assert_authenticated(principal);
    match requirement.check(&principal, now) {
        Err(rejection) => refuse(rejection),
        Ok(()) if flaw == Flaw::RefusesAll => refuse(Rejection::RouteUndeclared),
        Ok(()) if flaw == Flaw::HasNoSuchRoute => {
            let mut response = done();
            *response.status_mut() = http::StatusCode::NOT_FOUND;
            response
        }
        Ok(()) => done(),
    }
}

fn read(token: &str) -> serde_json::Value {
    use base64::Engine as _;
    let claims = token.split('.').nth(1).unwrap();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims);
    serde_json::from_slice(&claims.unwrap()).unwrap()
}

fn principal_of(claims: &serde_json::Value) -> gateless_core::PrincipalParts {
    use gateless_core::{PrincipalKind, PrincipalParts, ScopeSet};
    let kinds = [PrincipalKind::User, PrincipalKind::Client];
    PrincipalParts {
        kind: kinds[usize::from(claims["sub"] == claims["client_id"])],
        scopes: ScopeSet::parse(claims["scope"].as_str().unwrap()).unwrap(),
        authentication_context: claims["acr"].as_str().map(Into::into),
        authenticated_at: claims["auth_time"].as_i64().map(Timestamp::from_secs),
        claims: claims.to_string().into(),
        ..PrincipalParts::new("https://idp.example.com", Timestamp::EPOCH)
    }
}

#[tokio::test]
async fn a_service_that_does_what_is_declared_passes() {
    assert!(check(Flaw::None).await.unwrap() > 20);
}

#[rstest]
#[case(
    Flaw::LetsStrangersIn,
    "POST /orders/{id}, no token: answered with 200 OK"
)]
#[case(Flaw::ForgetsTheScope, "all but list: answered with 200 OK")]
#[case(Flaw::AsksForAnother, "everything: refused with scope_insufficient")]
#[case(Flaw::MatchesPrefixes, "readx in place of read: answered with 200 OK")]
#[case(Flaw::HasNoSuchRoute, "everything: there is no such route")]
#[case(Flaw::OpensAnotherMethod, "PATCH /orders/{id}, not declared: answered")]
#[case(
    Flaw::KnowsNothingByAnotherMethod,
    "DELETE /orders/{id}, not declared: answered, with 404"
)]
#[case(Flaw::HidesTheChallenge, "no scope: the challenge is None")]
#[case(Flaw::IgnoresAcr, "no acr: answered with 200 OK")]
#[case(Flaw::RefusesAll, "everything: refused with route_undeclared")]
#[tokio::test]
async fn each_flaw_is_found_and_named(#[case] flaw: Flaw, #[case] says: &str) {
    let faults = check(flaw).await.unwrap_err();
    assert!(
        faults.lines().iter().any(|line| line.contains(says)),
        "{faults}"
    );
}

#[tokio::test]
async fn what_no_token_can_meet_is_a_fault_of_the_declaration() {
    let never = Requirement::all([Requirement::acr([acr!("a")]), Requirement::acr([acr!("b")])]);
    let declaration = Declaration::new(
        Route::Grpc {
            method: "a.B/C".into(),
        },
        never,
    );
    let service = service_fn(|request: Request<Full<Bytes>>| async move {
        let wire = Wire::of(request.headers());
        let refused = Renderer::DEFAULT.render(&Rejection::CredentialsMissing, wire);
        Ok::<_, std::convert::Infallible>(refused.map(Full::new))
    });
    let check = RouteCheck::new(TestIssuer::new().token());
    let faults = check.run(&[declaration], service).await.unwrap_err();
    let line = "gRPC a.B/C: no token can ever meet all(acr(a), acr(b))";
    assert_eq!(faults.lines(), [line]);
    let none = check.run(&[], service).await.unwrap_err();
    assert_eq!(none.lines(), ["no route is declared"]);
}

#[rstest]
#[case("/orders/{id}/items/{item}", "/orders/1/items/1")]
#[case("/files/{*rest}", "/files/1")]
#[case("/{{a}}", "/%7Ba%7D")]
#[case("/", "/")]
fn parameters_are_filled_in(#[case] path: &str, #[case] filled: &str) {
    assert_eq!(fill(path), filled);
}
