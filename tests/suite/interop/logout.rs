//! A real OpenID provider says that somebody has signed out (back-channel logout).

use axum::Router;
use axum::routing::get;
use gateless::bearer::{BearerAuth, Keys, TokenPolicy};
use gateless::denylist::{BackchannelLogout, Denylist, Ephemeral, LogoutPolicy};
use gateless::{OnOutage, Principal};
use http::header::{CONTENT_TYPE, COOKIE, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use serde_json::Value;
use tokio::net::TcpListener;

use super::{AUDIENCE, AuthorizationServer, Caller, Outcome};

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn th_14_who_signs_out_at_a_real_provider_is_refused_with_the_next_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let logout_uri = format!("http://{address}/backchannel-logout");
    let server = AuthorizationServer::start_saying_who_signs_out(&logout_uri).await;
    let [mine, other] = server.sessions().each_ref();
    let (browser, other) = (Browser::with(mine), Browser::with(other));

    let denylist = Denylist::builder(Ephemeral::new(), OnOutage::FailClosed).build();
    let denylist = denylist.expect("settings that can be used");
    let policy = TokenPolicy::new(server.issuer(), AUDIENCE).danger_allow_http_loopback();
    let auth = BearerAuth::builder(policy, Keys::discovery(OnOutage::FailClosed)).build();
    let auth = auth.expect("settings that can be used");
    let policy = LogoutPolicy::new(server.issuer(), &*server.web_client().id);
    let policy = policy.danger_allow_http_loopback();
    let keys = Keys::discovery(OnOutage::FailClosed);
    let logout = BackchannelLogout::builder(denylist.handle(), policy, keys).build();
    let logout = logout.expect("settings that can be used");
    let router = Router::new()
        .route(
            "/orders",
            get(async |caller: Principal| caller.issuer().to_owned()),
        )
        .layer(denylist)
        .layer(auth)
        .route_service("/backchannel-logout", logout);
    let serving = tokio::spawn(async { axum::serve(listener, router).await });
    let caller = Caller::of(&address).await;

    let token = browser.sign_in(&server).await;
    let elsewhere = other.sign_in(&server).await;
    for token in [&token, &elsewhere] {
        let answer = caller.get("/orders", Some(token)).await;
        answer.assert(Outcome::Passes, "signed in");
    }
    browser.sign_out(&server).await;
    let answer = caller.get("/orders", Some(&token)).await;
    answer.assert(Outcome::BadToken, "signed out");
    let answer = caller.get("/orders", Some(&elsewhere)).await;
    answer.assert(Outcome::Passes, "signed in with another browser");
    other.sign_out(&server).await;
    let answer = caller.get("/orders", Some(&elsewhere)).await;
    answer.assert(Outcome::BadToken, "signed out there too");
    serving.abort();
}

/// Somebody's browser, as far as it matters here: it has one cookie, and follows nothing by itself.
struct Browser<'c> {
    cookie: &'c str,
    http: Client,
}

impl<'c> Browser<'c> {
    fn with(cookie: &'c str) -> Self {
        let http = Client::builder().no_proxy().redirect(Policy::none());
        let http = http.build().expect("a client without settings");
        Self { cookie, http }
    }

    /// Gets an access token for the session, by a code (RFC 6749 §4.1).
    async fn sign_in(&self, server: &AuthorizationServer) -> String {
        let client = server.web_client();
        let query = [
            ("client_id", &*client.id),
            ("response_type", "code"),
            ("scope", "openid orders:read"),
            ("resource", AUDIENCE),
            ("redirect_uri", server.web_redirect_uri()),
            // RFC 7636, appendix B.
            (
                "code_challenge",
                "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            ),
            ("code_challenge_method", "S256"),
        ];
        let url = with_query(&format!("{}/auth", server.issuer()), &query);
        let request = self.http.get(url).header(COOKIE, self.cookie);
        let response = request.send().await.expect("an answer");
        let location = response.headers().get(LOCATION);
        let location = location.expect("a redirect").to_str().expect("text");
        let location = Url::parse(location).unwrap_or_else(|_| panic!("a page: {location}"));
        let code = location.query_pairs().find(|(name, _)| name == "code");
        let (_, code) = code.unwrap_or_else(|| panic!("no code: {location}"));
        let form = [
            ("grant_type", "authorization_code"),
            ("resource", AUDIENCE),
            ("code", &*code),
            ("redirect_uri", server.web_redirect_uri()),
            ("client_id", &client.id),
            ("client_secret", &client.secret),
            (
                "code_verifier",
                "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
            ),
        ];
        let answer = self
            .post(&format!("{}/token", server.issuer()), &form)
            .await;
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        let token = answer.get("access_token").and_then(Value::as_str);
        token.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Ends the session (OpenID Connect RP-Initiated Logout 1.0), and says yes when asked.
    async fn sign_out(&self, server: &AuthorizationServer) {
        let url = format!("{}/session/end", server.issuer());
        let request = self.http.get(&url).header(COOKIE, self.cookie);
        let page = request.send().await.expect("an answer").text().await;
        let page = page.expect("a page");
        let (_, rest) = page
            .split_once(r#"name="xsrf" value=""#)
            .unwrap_or_else(|| panic!("no form: {page}"));
        let (xsrf, _) = rest.split_once('"').expect("the value ends");
        let form = [("xsrf", xsrf), ("logout", "yes")];
        self.post(&format!("{url}/confirm"), &form).await;
    }

    async fn post(&self, url: &str, form: &[(&str, &str)]) -> String {
        let body = with_query("http://127.0.0.1/", form);
        let body = body.query().expect("it has one").to_owned();
        let request = self.http.post(url).header(COOKIE, self.cookie);
        let request = request.header(CONTENT_TYPE, FORM).body(body);
        let response = request.send().await.expect("an answer");
        response.text().await.expect("a whole body")
    }
}

fn with_query(url: &str, pairs: &[(&str, &str)]) -> Url {
    Url::parse_with_params(url, pairs).expect("an address")
}
