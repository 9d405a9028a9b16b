//! Tokens of every kind, each with what there is to know to judge the answer to it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateless_testkit::SigningAlgorithm::{EdDsa, Es256, Rs256};
use gateless_testkit::TokenBuilder;

use crate::faults::Chance;
use crate::fleet::{Fleet, lock};

pub(crate) const AUDIENCE: &str = "https://orders.example.com";
/// Longer than a run.
const LONG: i64 = 7_200;
/// For tokens that are used once: what is remembered of them is forgotten soon.
const SHORT: i64 = 30;

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Nothing is wrong with it. `generation` is that of the key.
    Jwt {
        generation: usize,
    },
    Opaque,
    Expired {
        generation: usize,
    },
    OtherAudience {
        generation: usize,
    },
    /// Good, without the scope that is asked for.
    OtherScope {
        generation: usize,
    },
    /// A JWT with another signature.
    Forged {
        generation: usize,
    },
    /// A JWT without a claim, and without a signature that could be one.
    Garbage,
    /// A text that its issuer never made, which has to be asked about.
    Unknown,
    Nothing,
    Revoked(Revoked),
    /// Revoked at its issuer, which is asked about it.
    RevokedThere {
        at: Duration,
    },
}

/// What was revoked through an instance.
#[derive(Clone, Debug)]
pub(crate) struct Revoked {
    /// Through which one.
    pub(crate) by: usize,
    /// When that was answered.
    pub(crate) at: Duration,
    /// Whether it reached Redis before it was answered.
    pub(crate) is_stored: bool,
    /// Of a JWT, the generation of its key.
    pub(crate) generation: Option<usize>,
}

impl Kind {
    /// As it is counted, where `generation` is that of the keys that sign.
    pub(crate) fn name(&self, generation: usize) -> &'static str {
        match self {
            Self::Jwt { generation: of } if *of < generation => "JWT of an old key",
            Self::Jwt { .. } => "good JWT",
            Self::Opaque => "good opaque",
            Self::Expired { .. } => "expired",
            Self::OtherAudience { .. } => "other audience",
            Self::OtherScope { .. } => "other scope",
            Self::Forged { .. } => "forged",
            Self::Garbage => "garbage",
            Self::Unknown => "unknown",
            Self::Nothing => "no token",
            Self::Revoked(_) => "revoked",
            Self::RevokedThere { .. } => "revoked at the issuer",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Token {
    /// Never printed.
    pub(crate) text: Arc<str>,
    pub(crate) kind: Kind,
    /// Used before.
    pub(crate) is_hot: bool,
}

/// Tokens that are used again and again.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    jwts: Vec<Token>,
    opaque: Vec<Token>,
    bad: Vec<Token>,
    /// Of keys that do not sign any more.
    old: Vec<Token>,
    revoked: Vec<Token>,
}

#[derive(Debug, Default)]
pub(crate) struct Purse(Mutex<Pool>);

impl Purse {
    /// New tokens in place of the good ones, which become those of an old key if that is what they are now.
    pub(crate) fn fill(&self, fleet: &Fleet, chance: &mut Chance) {
        let generation = fleet.generation();
        let mut fresh = Pool::default();
        for number in 0..12 {
            fresh.jwts.push(jwt(fleet, generation, number, LONG));
        }
        for _ in 0..6 {
            fresh.opaque.push(opaque(fleet, LONG));
        }
        for number in 0..4 {
            let token = |kind, text: String| Token {
                text: text.into(),
                kind,
                is_hot: true,
            };
            let algorithm = |builder: TokenBuilder| match number {
                0 => builder.algorithm(Rs256),
                1 => builder.algorithm(EdDsa),
                _ => builder.algorithm(Es256),
            };
            let builder = || algorithm(base(fleet).expires_in(LONG));
            let expired = builder().issued_in(-600).expires_in(-120).mint();
            fresh.bad.push(token(Kind::Expired { generation }, expired));
            let elsewhere = builder().audience("https://billing.example.com").mint();
            fresh
                .bad
                .push(token(Kind::OtherAudience { generation }, elsewhere));
            let weak = builder().scope("orders:write").mint();
            fresh.bad.push(token(Kind::OtherScope { generation }, weak));
            let forged = builder().signature(vec![7; 64]).mint();
            fresh.bad.push(token(Kind::Forged { generation }, forged));
        }
        let mut pool = lock(&self.0);
        let mut old = std::mem::take(&mut pool.jwts);
        old.retain(|token| matches!(token.kind, Kind::Jwt { generation: of } if of < generation));
        pool.old.extend(old);
        while pool.old.len() > 24 {
            let number = chance.below(pool.old.len());
            pool.old.swap_remove(number);
        }
        pool.jwts = fresh.jwts;
        pool.opaque = fresh.opaque;
        pool.bad = fresh.bad;
    }

    pub(crate) fn revoked(&self, token: Token, chance: &mut Chance) {
        let revoked = &mut lock(&self.0).revoked;
        revoked.push(token);
        if revoked.len() > 60 {
            revoked.swap_remove(chance.below(40));
        }
    }

    /// One of any kind.
    pub(crate) fn draw(&self, fleet: &Fleet, chance: &mut Chance) -> Token {
        let generation = fleet.generation();
        let dice = chance.below(100);
        let pool = lock(&self.0);
        let mut of = |tokens: &[Token]| tokens.get(chance.below(tokens.len())).cloned();
        let drawn = match dice {
            0..=34 => of(&pool.jwts),
            35..=49 => of(&pool.opaque),
            50..=69 => of(&pool.bad),
            70..=81 => of(&pool.revoked),
            82..=86 => of(&pool.old),
            87..=89 => None,
            90..=94 => Some(nothing()),
            _ => Some(garbage(dice)),
        };
        drop(pool);
        drawn.unwrap_or_else(|| match chance.below(4) {
            0 => opaque(fleet, SHORT),
            number => jwt(fleet, generation, number, SHORT),
        })
    }
}

/// One that looks like a JWT, and one that does not and has to be asked about.
fn garbage(dice: usize) -> Token {
    let (text, kind) = match dice % 2 {
        0 => ("gateless-test-opaque-unheard-of", Kind::Unknown),
        _ => ("eyJhbGciOiJFUzI1NiJ9.e30.AAAA", Kind::Garbage),
    };
    Token {
        text: text.into(),
        kind,
        is_hot: true,
    }
}

fn nothing() -> Token {
    Token {
        text: "".into(),
        kind: Kind::Nothing,
        is_hot: true,
    }
}

fn base(fleet: &Fleet) -> TokenBuilder {
    let token = fleet.issuer.token();
    token.audience(AUDIENCE).scope("orders:read")
}

/// Most are of ES256, as RS256 takes a millisecond to sign.
pub(crate) fn jwt(fleet: &Fleet, generation: usize, number: usize, lifetime: i64) -> Token {
    let algorithm = match number % 4 {
        0 => Rs256,
        1 => EdDsa,
        _ => Es256,
    };
    let token = base(fleet).subject(format!("user-{number}"));
    Token {
        text: token
            .expires_in(lifetime)
            .algorithm(algorithm)
            .mint()
            .into(),
        kind: Kind::Jwt { generation },
        is_hot: lifetime == LONG,
    }
}

pub(crate) fn opaque(fleet: &Fleet, lifetime: i64) -> Token {
    let token = fleet.issuer.opaque_token().audience(AUDIENCE);
    Token {
        text: token
            .scope("orders:read")
            .expires_in(lifetime)
            .mint()
            .into(),
        kind: Kind::Opaque,
        is_hot: lifetime == LONG,
    }
}

/// A JWT that can be revoked by its id and its session.
pub(crate) fn revocable(fleet: &Fleet, generation: usize, id: &str) -> Token {
    let token = base(fleet).token_id(id).session_id(format!("session-{id}"));
    let token = token.subject(format!("subject-{id}")).expires_in(LONG);
    Token {
        text: token.algorithm(Es256).mint().into(),
        kind: Kind::Jwt { generation },
        is_hot: false,
    }
}

pub(crate) fn writer(fleet: &Fleet, generation: usize) -> Token {
    let token = base(fleet).scope("orders:read orders:write");
    Token {
        text: token.expires_in(600).algorithm(Es256).mint().into(),
        kind: Kind::Jwt { generation },
        is_hot: false,
    }
}

pub(crate) fn operator(fleet: &Fleet, generation: usize) -> Token {
    let token = base(fleet).scope("tokens:revoke").subject("operator");
    Token {
        text: token.expires_in(600).algorithm(Es256).mint().into(),
        kind: Kind::Jwt { generation },
        is_hot: false,
    }
}
