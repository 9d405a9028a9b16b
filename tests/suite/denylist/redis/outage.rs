//! The server is away, or the way to it is.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn th_05_connections_that_are_closed_lose_nothing() {
    let fleet = Fleet::new(&[]);
    let [here, there] = [fleet.instance().await, fleet.instance().await];
    let good = fleet.token("good");
    for round in 0..20 {
        let token = fleet.token(&format!("token-{round}"));
        fleet.server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        here.revokes(&token).await;
        assert_eq!(here.status(&token).await, 401);
        fleet.server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        there.comes_to(401, &token).await;
        there.comes_to(200, &good).await;
        there.unrevokes(&token).await;
        here.comes_to(200, &token).await;
    }
}

/// From an accident on, which was over at `begin`, for as long as it takes: what is revoked is refused, good tokens pass
/// for as long as the list is fresh, and then nobody does.
async fn closes(instance: &Instance, begin: Instant, good: &Token, revoked: &Token) {
    let mut has_passed = false;
    loop {
        assert_eq!(instance.status(revoked).await, 401);
        // All that the log said was asked for before the accident.
        let is_over = begin.elapsed() > FRESH_FOR + TICK;
        let status = instance.status(good).await;
        match status {
            200 => assert!(!is_over, "still accepted"),
            503 if is_over => break,
            503 => {}
            other => panic!("{other}"),
        }
        has_passed |= status == 200;
        sleep(SECOND / 50).await;
    }
    assert!(has_passed, "closed at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn th_02_th_04_a_server_that_is_away_closes_the_service_after_the_bound() {
    for hangs in [false, true] {
        let mut fleet = Fleet::with_data();
        let instances = [fleet.instance().await, fleet.instance().await];
        let [good, revoked] = [fleet.token("good"), fleet.token("revoked")];
        instances[0].revokes(&revoked).await;
        for instance in &instances {
            instance.comes_to(401, &revoked).await;
            instance.comes_to(200, &good).await;
        }
        if hangs {
            fleet.server.signal("STOP");
        } else {
            fleet.server.kill();
        }
        let begin = Instant::now();
        let closing = instances
            .each_ref()
            .map(|instance| closes(instance, begin, &good, &revoked));
        let [first, second] = closing;
        tokio::join!(first, second);
        // What is not stored is not revoked, and whoever asked is told.
        let late = fleet.token("late");
        let refused = instances[0].handle().revoke(&late.revocation).await;
        assert!(refused.is_err(), "{refused:?}");
        // One that starts now knows nothing, and nobody passes.
        let newcomer = fleet.start(fleet.log(fleet.server.url()));
        assert!(newcomer.handle().ready().await.is_err());
        for token in [&good, &revoked] {
            assert_eq!(newcomer.status(token).await, 503);
        }
        assert_eq!(instances[1].status(&good).await, 503);

        if hangs {
            fleet.server.signal("CONT");
        } else {
            fleet.server.restart();
        }
        for instance in instances.iter().chain([&newcomer]) {
            fleet.serves(instance).await;
            assert_eq!(instance.status(&revoked).await, 401);
        }
        instances[0].revokes(&late).await;
        for instance in instances.iter().chain([&newcomer]) {
            instance.comes_to(401, &late).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn th_22_one_that_is_cut_off_closes_alone_and_catches_up() {
    for is_cut in [true, false] {
        let fleet = Fleet::new(&[]);
        let others = [fleet.instance().await, fleet.instance().await];
        let (alone, proxy) = fleet.behind_proxy().await;
        let good = fleet.token("good");
        let [before, taken_back] = [fleet.token("before"), fleet.token("taken-back")];
        for token in [&before, &taken_back] {
            others[0].revokes(token).await;
            alone.comes_to(401, token).await;
        }
        if is_cut {
            proxy.cut();
        } else {
            proxy.stall();
        }
        let begin = Instant::now();
        let meanwhile = fleet.token("meanwhile");
        others[0].revokes(&meanwhile).await;
        others[1].unrevokes(&taken_back).await;
        closes(&alone, begin, &good, &before).await;
        for instance in &others {
            instance.comes_to(401, &meanwhile).await;
            instance.comes_to(200, &taken_back).await;
            instance.comes_to(200, &good).await;
        }
        // It knows nothing of that, and does not pretend to.
        assert_eq!(alone.status(&meanwhile).await, 503);
        let refused = alone.handle().revoke(&good.revocation).await;
        assert!(refused.is_err(), "{refused:?}");
        proxy.heal();
        // Whenever a request passes, it has caught up.
        eventually("it is back", async || {
            assert_ne!(alone.status(&meanwhile).await, 200);
            alone.status(&taken_back).await == 200
        })
        .await;
        assert_eq!(alone.status(&meanwhile).await, 401);
        assert_eq!(alone.status(&before).await, 401);
    }
}
