//! A long list.

use gateless::{Clock as _, RevocationChange, RevocationLog as _, SystemClock};

use super::*;

const RECORDS: usize = 200_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn th_13_th_05_a_long_list_is_loaded_anew_while_it_refuses() {
    let fleet = Fleet::new(&[]);
    let revoked: Vec<_> = (0..10)
        .map(|number| fleet.token(&format!("token-{number}")))
        .collect();
    let taken_back = fleet.token("taken-back");
    let quick = fleet.start(fleet.log(fleet.server.url()).keep_changes(1000));
    fleet.serves(&quick).await;
    for token in revoked.iter().chain([&taken_back]) {
        quick.revokes(token).await;
    }
    let (slow, proxy) = fleet.behind_proxy().await;
    for token in &revoked {
        slow.comes_to(401, token).await;
    }

    // It misses nearly everything, and has to load all of it.
    proxy.stall();
    let begin = Instant::now();
    let writer = fleet.log(fleet.server.url()).build().unwrap();
    let now = SystemClock::new().wall();
    let records: Vec<_> = (0..RECORDS)
        .map(|number| Revocation::session(ISSUER, &format!("session-{number}")))
        .map(|session| session.record(now, Duration::from_secs(3600), Duration::ZERO))
        .map(RevocationChange::Revoke)
        .collect();
    for part in records.chunks(2000) {
        writer.append(part).await.unwrap();
    }
    quick.unrevokes(&taken_back).await;
    for round in 0..2 {
        let sessions: Vec<_> = (0..1000)
            .map(|number| Revocation::session(ISSUER, &format!("further-{round}-{number}")))
            .collect();
        quick.handle().revoke_all(&sessions).await.unwrap();
    }
    let further: Vec<_> = (0..10)
        .map(|number| fleet.token(&format!("further-{number}")))
        .collect();
    for token in &further {
        quick.revokes(token).await;
    }
    slow.is_closed(begin, &fleet.token("good")).await;
    proxy.heal();
    let mut number = 0;
    eventually("it has caught up", async || {
        for token in &revoked {
            assert_eq!(slow.status(token).await, 401);
        }
        for token in &further {
            assert_ne!(slow.status(token).await, 200);
        }
        // There is more all the time.
        let late = fleet.token(&format!("late-{number}"));
        number += 1;
        quick.revokes(&late).await;
        slow.status(&taken_back).await == 200
    })
    .await;
    for token in &further {
        assert_eq!(slow.status(token).await, 401);
    }
    for number in 0..number {
        slow.comes_to(401, &fleet.token(&format!("late-{number}")))
            .await;
    }
    let total = RECORDS + 2000 + revoked.len() + further.len() + number;
    assert_eq!(slow.handle().status().records(), total);
}
