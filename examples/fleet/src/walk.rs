//! The steps, with real requests over HTTP.

use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

use gateless_redis::RedisServer;
use gateless_testkit::TestIssuer;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::instance::{self, FRESH_FOR};
use crate::redis::OwnRedis;

/// How many instances there are.
const INSTANCES: usize = 3;
/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// What requests take, on a machine that is busy.
const MARGIN: Duration = Duration::from_secs(2);

type Outcome<T = String> = Result<T, Box<dyn Error>>;

/// Where the instances share what is revoked.
#[derive(Debug)]
pub enum Shared {
    /// In a server of this process, which can be taken away.
    Own(OwnRedis),
    /// In one that others use too: it is left alone.
    Others(String),
}

/// Walks through all of it and prints what came about. True when it was as it has to be.
///
/// # Errors
///
/// When `out` cannot be written to, or the instances cannot be started.
pub async fn run(shared: &mut Shared, out: &mut impl Write) -> Outcome<bool> {
    let walk = Walk::start(shared).await?;
    let mut is_right = print(out, walk.serves().await)?;
    is_right = is_right && print(out, walk.revokes().await)?;
    match shared {
        Shared::Own(redis) if is_right => {
            redis.stop().await?;
            is_right = print(out, walk.goes_on(Instant::now()).await)?;
            redis.restart().await?;
            is_right &= print(out, walk.recovers().await)?;
        }
        Shared::Own(_) => {}
        Shared::Others(_) => writeln!(out, "Redis is not ours to stop: the rest is left out")?,
    }
    Ok(is_right)
}

/// Whether it was right.
fn print(out: &mut impl Write, outcome: Outcome) -> Outcome<bool> {
    match outcome {
        Ok(line) => {
            writeln!(out, "{line}")?;
            Ok(true)
        }
        Err(why) => {
            writeln!(out, "WRONG: {why}")?;
            Ok(false)
        }
    }
}

struct Walk {
    http: reqwest::Client,
    /// Where the instances are: a revocation is asked for at the first.
    origins: [String; INSTANCES],
    /// What is revoked.
    session: String,
    /// Somebody's token, which nobody revokes.
    good: String,
    /// One of the session.
    stolen: String,
    /// Of somebody who may revoke.
    operator: String,
}

impl Walk {
    async fn start(shared: &Shared) -> Outcome<Self> {
        let issuer = TestIssuer::new();
        let url = match shared {
            Shared::Own(redis) => redis.url(),
            Shared::Others(url) => url.clone(),
        };
        let server = RedisServer::builder(url).build()?;
        let mut origins = [const { String::new() }; INSTANCES];
        for origin in &mut origins {
            let app = instance::app(&issuer, server.clone())?;
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            *origin = format!("http://{}", listener.local_addr()?);
            tokio::spawn(async { axum::serve(listener, app).await });
        }
        // A server of others still has those of earlier runs.
        let session = format!("session-{}", std::process::id());
        Ok(Self {
            // Not by a proxy that the environment names: it could not get to a loopback address of this machine.
            http: reqwest::Client::builder().no_proxy().build()?,
            origins,
            good: issuer.token().mint(),
            stolen: issuer.token().session_id(session.as_str()).mint(),
            operator: issuer.token().scope("tokens:revoke").mint(),
            session,
        })
    }

    async fn serves(&self) -> Outcome {
        let begin = Instant::now();
        self.all_come_to(200, &self.good).await?;
        self.all_come_to(200, &self.stolen).await?;
        Ok(format!(
            "{INSTANCES} instances serve after {:.1} s: a new list has to settle",
            begin.elapsed().as_secs_f64()
        ))
    }

    /// Revokes at the first instance, and asks all of them until the last one refuses.
    async fn revokes(&self) -> Outcome {
        let begin = Instant::now();
        let request = self
            .http
            .post(format!("{}/admin/revocations", self.origins[0]))
            .bearer_auth(&self.operator)
            .json(&json!({ "sid": self.session }));
        let status = request.send().await?.status().as_u16();
        must(status == 200, || {
            format!("POST /admin/revocations: {status}")
        })?;
        let done = begin.elapsed();
        self.all_come_to(401, &self.stolen).await?;
        let last = begin.elapsed();
        self.all_come_to(200, &self.good).await?;
        Ok(format!(
            "refused by the last of {INSTANCES} instances after {:.1} ms, of which the request to revoke took {:.1}",
            millis(last),
            millis(done)
        ))
    }

    /// What happens once Redis is away, since `begin`.
    async fn goes_on(&self, begin: Instant) -> Outcome {
        let mut passed = 0;
        for origin in &self.origins {
            let status = self.status(origin, &self.good).await?;
            must(status == 200, || {
                format!("{status} right after Redis was stopped")
            })?;
            passed += 1;
        }
        self.all_come_to(503, &self.good).await?;
        let closed = begin.elapsed();
        must(closed < FRESH_FOR + MARGIN, || {
            format!("the last instance closed after {closed:?}")
        })?;
        for origin in &self.origins {
            let status = self.status(origin, &self.stolen).await?;
            must(status == 401, || format!("{status} for the revoked token"))?;
        }
        Ok(format!(
            "Redis is stopped: {passed} instances went on, and answer 503 after {:.1} s; revoked is still refused",
            closed.as_secs_f64()
        ))
    }

    /// What happens once it is back, without its data.
    async fn recovers(&self) -> Outcome {
        let begin = Instant::now();
        self.all_come_to(200, &self.good).await?;
        for origin in &self.origins {
            let status = self.status(origin, &self.stolen).await?;
            must(status == 401, || format!("{status} for the revoked token"))?;
        }
        Ok(format!(
            "Redis is back, empty: all serve after {:.1} s and have put the list back; revoked is still refused",
            begin.elapsed().as_secs_f64()
        ))
    }

    async fn all_come_to(&self, wanted: u16, token: &str) -> Outcome<()> {
        let begin = Instant::now();
        for origin in &self.origins {
            loop {
                let status = self.status(origin, token).await?;
                if status == wanted {
                    break;
                }
                must(begin.elapsed() < PATIENCE, || {
                    format!("{origin} still answers {status} and not {wanted}")
                })?;
                sleep(Duration::from_micros(500)).await;
            }
        }
        Ok(())
    }

    async fn status(&self, origin: &str, token: &str) -> Outcome<u16> {
        let request = self.http.get(format!("{origin}/orders")).bearer_auth(token);
        Ok(request.send().await?.status().as_u16())
    }
}

fn must(holds: bool, why: impl FnOnce() -> String) -> Outcome<()> {
    if holds { Ok(()) } else { Err(why().into()) }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
