//! The server comes back, but not all that it had; or what somebody needs is not there any more.

use std::time::SystemTime;

use gateless::{Clock, Monotonic, Timestamp};

use super::*;

/// A server's bad day.
#[derive(Clone, Copy, Debug)]
enum Accident {
    RestartWithData,
    RestartWithout,
    Flush,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn th_23_what_the_server_loses_is_put_back_and_refused_all_the_while() {
    for accident in [
        Accident::RestartWithData,
        Accident::RestartWithout,
        Accident::Flush,
    ] {
        let mut fleet = match accident {
            Accident::RestartWithData => Fleet::with_data(),
            _ => Fleet::new(&[]),
        };
        let instances = [fleet.instance().await, fleet.instance().await];
        let revoked: Vec<_> = (0..20)
            .map(|number| fleet.token(&format!("token-{number}")))
            .collect();
        for (number, token) in revoked.iter().enumerate() {
            instances[number % 2].revokes(token).await;
        }
        for token in &revoked {
            for instance in &instances {
                instance.comes_to(401, token).await;
            }
        }
        match accident {
            Accident::RestartWithData | Accident::RestartWithout => {
                fleet.server.kill();
                fleet.server.restart();
            }
            Accident::Flush => {
                fleet.server.ask(&["FLUSHALL"]);
            }
        }
        let newcomer = fleet.start(fleet.log(fleet.server.url()).settle(4 * SECOND));
        let good = fleet.token("good");
        eventually("the newcomer serves", async || {
            for token in &revoked {
                for instance in &instances {
                    assert_eq!(instance.status(token).await, 401, "{accident:?}");
                }
                assert_ne!(newcomer.status(token).await, 200, "{accident:?}");
            }
            newcomer.status(&good).await == 200
        })
        .await;
        for token in &revoked {
            assert_eq!(newcomer.status(token).await, 401, "{accident:?}");
        }
        // And it goes on as before.
        let late = fleet.token("late");
        newcomer.revokes(&late).await;
        for instance in &instances {
            instance.comes_to(401, &late).await;
            instance.comes_to(200, &good).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn th_05_what_was_trimmed_under_a_slow_reader_is_loaded() {
    let fleet = Fleet::new(&[]);
    let quick = fleet.start(fleet.log(fleet.server.url()).keep_changes(10));
    fleet.serves(&quick).await;
    let (slow, proxy) = fleet.behind_proxy().await;
    let taken_back = fleet.token("taken-back");
    quick.revokes(&taken_back).await;
    slow.comes_to(401, &taken_back).await;
    proxy.stall();
    let begin = Instant::now();
    quick.unrevokes(&taken_back).await;
    let missed: Vec<_> = (0..500)
        .map(|number| fleet.token(&format!("token-{number}")))
        .collect();
    for part in missed.chunks(50) {
        let part = part.iter().map(|token| &token.revocation);
        quick.handle().revoke_all(part).await.unwrap();
    }
    slow.is_closed(begin, &fleet.token("good")).await;
    proxy.heal();
    eventually("it is back", async || {
        assert_ne!(slow.status(&missed[0]).await, 200);
        assert_ne!(slow.status(&missed[499]).await, 200);
        slow.status(&taken_back).await == 200
    })
    .await;
    for token in &missed {
        assert_eq!(slow.status(token).await, 401);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn th_04_th_23_a_newcomer_after_a_loss_waits_for_those_who_know() {
    let fleet = Fleet::new(&[]);
    let settle = 4 * SECOND;
    let old = fleet.start(fleet.log(fleet.server.url()).settle(settle));
    fleet.serves(&old).await;
    let revoked = fleet.token("revoked");
    old.revokes(&revoked).await;
    // Enough for it to take a moment to put them back.
    for round in 0..10 {
        let sessions: Vec<_> = (0..1000)
            .map(|number| Revocation::session(ISSUER, &format!("{round}-{number}")))
            .collect();
        old.handle().revoke_all(&sessions).await.unwrap();
    }
    fleet.server.ask(&["FLUSHALL"]);
    let newcomer = fleet.start(fleet.log(fleet.server.url()).settle(settle));
    let good = fleet.token("good");
    eventually("it serves", async || {
        assert_ne!(newcomer.status(&revoked).await, 200);
        newcomer.status(&good).await == 200
    })
    .await;
    assert_eq!(newcomer.status(&revoked).await, 401);
    // All of it was there before anybody passed.
    assert_eq!(newcomer.handle().status().records(), 10_001);
}

/// The machine's time, with a wall clock that is wrong.
#[derive(Debug)]
struct Skewed {
    begin: Instant,
    minutes: i64,
}

impl Clock for Skewed {
    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let millis = i64::try_from(since.unwrap().as_millis()).unwrap();
        Timestamp::from_millis(millis + self.minutes * 60_000)
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_start(self.begin.elapsed())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn th_23_clocks_that_differ_lose_no_record() {
    let fleet = Fleet::new(&[]);
    let with_clock = |minutes| {
        let log = fleet.log(fleet.server.url()).settle(4 * SECOND);
        let clock = Skewed {
            begin: Instant::now(),
            minutes,
        };
        let denylist = Denylist::builder(log.build().unwrap(), OnOutage::FailClosed);
        fleet.start_of(denylist.clock(Arc::new(clock)))
    };
    let instances = [-7, 0, 7].map(with_clock);
    let mut revoked = Vec::new();
    for (number, instance) in instances.iter().enumerate() {
        fleet.serves(instance).await;
        let token = fleet.token(&format!("token-{number}"));
        instance.revokes(&token).await;
        revoked.push(token);
    }
    let all_refused = async |instances: &[Instance]| {
        for instance in instances {
            for token in &revoked {
                instance.comes_to(401, token).await;
            }
        }
    };
    all_refused(&instances).await;
    fleet.server.ask(&["FLUSHALL"]);
    let newcomers = [7, -7].map(with_clock);
    for newcomer in &newcomers {
        eventually("it serves", async || {
            for token in &revoked {
                assert_ne!(newcomer.status(token).await, 200);
            }
            newcomer.status(&fleet.token("good")).await == 200
        })
        .await;
    }
    all_refused(&newcomers).await;
    all_refused(&instances).await;
}
