//! Tokens that gateless did not make itself: a certified authorization server issues them, to a client library of its
//! own. Both are Node.js programs in `tests/interop`; a second server, and its client, are Python programs beside them.
//! `cargo xtask test` installs what they need.

mod authorization_server;
mod caller;
mod introspection;
mod layers;
mod logout;
mod opaque;
mod orders;
mod rotation;
mod second_server;

use self::authorization_server::AuthorizationServer;
use self::caller::{Caller, Outcome};

/// What the services under test take tokens for.
const AUDIENCE: &str = "https://orders.example.com";

/// What the tokens are for that are no JWTs.
const OPAQUE: &str = "https://opaque.example.com";

/// What is in the hands of a caller.
struct Wallet {
    read: String,
    write: String,
    /// For the right service, and good for nothing there.
    scopeless: String,
    /// For another service.
    foreign: String,
    /// Not a JWT.
    opaque: String,
    /// `read`, changed in transit.
    forged: String,
}

impl Wallet {
    async fn fill(server: &AuthorizationServer) -> Self {
        let (read, write, scopeless, foreign, opaque) = tokio::join!(
            server.token(AUDIENCE, "orders:read"),
            server.token(AUDIENCE, "orders:write"),
            server.token(AUDIENCE, "orders:unheard-of"),
            server.token("https://other.example.com", "orders:read"),
            server.token(OPAQUE, "orders:read"),
        );
        let forged = with_another_signature(&read);
        Self {
            read,
            write,
            scopeless,
            foreign,
            opaque,
            forged,
        }
    }
}

/// Swaps the cases of one letter in the middle of the signature, so that its form stays sound.
fn with_another_signature(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').expect("a JWT has dots");
    let from = signature.len() / 2;
    let letter = signature[from..]
        .find(|c: char| c.is_ascii_alphabetic())
        .map(|at| from + at)
        .expect("a signature has letters");
    let (before, rest) = signature.split_at(letter);
    let (letter, after) = rest.split_at(1);
    let letter = match letter.to_ascii_lowercase() {
        same if same == letter => letter.to_ascii_uppercase(),
        other => other,
    };
    format!("{signed}.{before}{letter}{after}")
}

/// What every service has to answer on a route that asks for `orders:read`, over HTTP and over gRPC.
async fn reading_needs_a_good_token(caller: &Caller, wallet: &Wallet) {
    for (says, token, outcome) in [
        ("nothing", None, Outcome::NoCredentials),
        ("no token at all", Some("garbage"), Outcome::BadToken),
        ("opaque", Some(&*wallet.opaque), Outcome::BadToken),
        ("forged", Some(&wallet.forged), Outcome::BadToken),
        (
            "for another service",
            Some(&wallet.foreign),
            Outcome::BadToken,
        ),
        (
            "without scope",
            Some(&wallet.scopeless),
            Outcome::Lacks("orders:read"),
        ),
        (
            "for writing",
            Some(&wallet.write),
            Outcome::Lacks("orders:read"),
        ),
        ("for reading", Some(&wallet.read), Outcome::Passes),
    ] {
        let answer = caller.get("/orders", token).await;
        answer.assert(outcome, &format!("GET /orders, token: {says}"));
        let answer = caller.grpc("/orders.v1.Orders/List", token).await;
        answer.assert(outcome, &format!("gRPC List, token: {says}"));
    }
}
