//! What happens while records cannot be written.

use gateless::Rejection;
use gateless_testkit::Recorder;
use rstest::rstest;

use super::*;
use crate::support::{Protocol, Refusal, send};

fn request(protocol: Protocol) -> Request<String> {
    protocol.request().body(String::new()).unwrap()
}

/// Fills all places: the writer holds one batch, and what comes then waits in the queue.
async fn fill(world: &World, places: usize) {
    world.shelf.stick(true);
    for _ in 0..places {
        send(&world.audit, request(Protocol::Http)).await.passed();
    }
    assert_eq!(world.audit.handle().status().waiting, places);
}

fn world(backpressure: Backpressure) -> World {
    World::of(Shelf::new(), backpressure, |builder| {
        builder.capacity(3).without_folding()
    })
}

/// The number of requests that were lost and not served, as all gaps together tell.
async fn missed(world: &World) -> (u64, u64) {
    let gaps = world.written("gap").await;
    let sum = |name: &str| gaps.iter().map(|gap| gap[name].as_u64().unwrap()).sum();
    (sum("lost"), sum("unserved"))
}

#[tokio::test]
async fn tl_06_fail_request_refuses_in_every_protocol_before_anything_is_done() {
    let world = world(Backpressure::FailRequest);
    fill(&world, 3).await;
    for protocol in Protocol::ALL {
        // `refused` sees to it that nothing has reached the service.
        let answer = send(&world.audit, request(protocol)).await;
        answer.refused(protocol, &Refusal::unavailable("audit", 5));
    }
    world.shelf.stick(false);
    assert_eq!(missed(&world).await, (0, 4));
    send(&world.audit, request(Protocol::Http)).await.passed();
    assert_eq!(world.written("request").await.len(), 4);
}

#[tokio::test]
async fn tl_06_drop_and_count_serves_and_the_count_is_a_record() {
    let world = world(Backpressure::DropAndCount);
    fill(&world, 3).await;
    world.clock.advance(Duration::from_secs(7));
    for protocol in Protocol::ALL {
        send(&world.audit, request(protocol)).await.passed();
    }
    world.shelf.stick(false);
    assert_eq!(missed(&world).await, (4, 0));
    let gap = &world.written("gap").await[0];
    assert_eq!(gap["since"], "2025-06-15T15:06:47.000Z");
    assert_eq!(world.written("request").await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn tl_06_block_waits_for_a_place_and_no_longer_than_it_says() {
    let world = world(Backpressure::Block(Duration::from_secs(2)));
    fill(&world, 3).await;
    let begin = tokio::time::Instant::now();
    let answer = send(&world.audit, request(Protocol::Grpc)).await;
    answer.refused(Protocol::Grpc, &Refusal::unavailable("audit", 5));
    assert_eq!(begin.elapsed(), Duration::from_secs(2));
    world.shelf.stick(false);
    assert_eq!(missed(&world).await, (0, 1));
}

#[tokio::test]
async fn tl_06_who_blocks_goes_on_when_there_is_a_place() {
    let world = world(Backpressure::Block(Duration::from_secs(20)));
    fill(&world, 3).await;
    let recorder = Recorder::new();
    let service = world.audit.layer(recorder.clone());
    let waiting = tokio::spawn(service.oneshot(request(Protocol::Http)));
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished() && recorder.requests().is_empty());
    world.shelf.stick(false);
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
    assert_eq!(missed(&world).await, (0, 0));
    assert_eq!(world.written("request").await.len(), 4);
}

#[tokio::test]
async fn who_does_not_wait_for_a_place_any_more_is_counted() {
    let world = world(Backpressure::Block(Duration::from_secs(20)));
    fill(&world, 3).await;
    let service = world.audit.layer(Recorder::new());
    let waiting = tokio::spawn(service.oneshot(request(Protocol::Http)));
    tokio::task::yield_now().await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    world.shelf.stick(false);
    assert_eq!(missed(&world).await, (0, 1));
}

/// The disk is full: what was served before is written when it has room again, and what was not is counted.
#[tokio::test]
async fn tl_06_while_the_sink_fails_nobody_is_served_and_nothing_is_lost() {
    let world = world(Backpressure::FailRequest);
    world.shelf.fail(true);
    send(&world.audit, request(Protocol::Http)).await.passed();
    eventually("it is noticed", || {
        !world.audit.handle().status().is_writing
    })
    .await;
    let answer = send(&world.audit, request(Protocol::Http)).await;
    answer.refused(Protocol::Http, &Refusal::unavailable("audit", 5));
    world.shelf.fail(false);
    eventually("it recovers", || world.audit.handle().status().is_writing).await;
    send(&world.audit, request(Protocol::Http)).await.passed();
    assert_eq!(world.written("request").await.len(), 2);
    assert_eq!(missed(&world).await, (0, 1));
    let numbers: Vec<_> = world
        .shelf
        .records()
        .iter()
        .map(|record| record["seq"].clone())
        .collect();
    assert_eq!(
        numbers,
        (0..numbers.len()).map(Value::from).collect::<Vec<_>>()
    );
}

/// What a client has, has a record: in these modes a response waits for it.
#[rstest]
#[case(Durability::Written)]
#[case(Durability::Synced)]
#[tokio::test]
async fn a_response_waits_until_its_record_is_safe(#[case] durability: Durability) {
    let shelf = Shelf::with(durability);
    let world = World::of(shelf.clone(), Backpressure::FailRequest, |builder| builder);
    for n in 1..=3 {
        send(&world.audit, request(Protocol::Http)).await.passed();
        assert_eq!(shelf.of_kind("request").len(), n, "without a flush");
        let syncs = shelf.0.syncs.load(Ordering::SeqCst);
        assert_eq!(syncs > 0, durability == Durability::Synced);
    }
    shelf.stick(true);
    let service = world.audit.layer(Recorder::new());
    let waiting = tokio::spawn(service.oneshot(request(Protocol::Http)));
    eventually("it is being written", || {
        shelf.0.writes.load(Ordering::SeqCst) > 3
    })
    .await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    shelf.stick(false);
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
    let record = &shelf.of_kind("request")[3];
    assert_eq!(record.get("end"), None, "it was written before that");
    assert_eq!(
        world.written("end").await,
        [] as [Value; 0],
        "nothing to say"
    );
}

#[rstest]
#[case(Backpressure::FailRequest)]
#[case(Backpressure::Block(Duration::from_millis(300)))]
#[tokio::test]
async fn tl_06_a_response_whose_record_cannot_be_written_is_withheld(#[case] policy: Backpressure) {
    let shelf = Shelf::with(Durability::Written);
    let world = World::of(shelf.clone(), policy, |builder| builder.without_folding());
    eventually("it has begun", || !shelf.lines().is_empty()).await;
    shelf.fail(true);
    let service = world.audit.layer(Recorder::new());
    for protocol in [Protocol::Http, Protocol::Grpc] {
        let response = service.clone().oneshot(request(protocol)).await.unwrap();
        let rejection: &Rejection = response.extensions().get().unwrap();
        assert_eq!(rejection.reason(), "audit");
    }
    shelf.fail(false);
    let withheld = world.written("end").await;
    let records = world.written("request").await;
    assert!(
        !withheld.is_empty() && withheld.len() == records.len(),
        "{withheld:#?}"
    );
    for (end, record) in withheld.iter().zip(&records) {
        assert_eq!(
            (&end["end"], &end["of"]),
            (&"withheld".into(), &record["seq"])
        );
    }
    let (lost, unserved) = missed(&world).await;
    // Those that were served have records.
    assert_eq!((lost, unserved), (0, 2 - records.len() as u64));
    assert_eq!(world.audit.handle().status().waiting, 0);
}

#[tokio::test]
async fn tl_06_with_drop_and_count_no_response_is_withheld() {
    let shelf = Shelf::with(Durability::Synced);
    let world = World::of(shelf.clone(), Backpressure::DropAndCount, |builder| {
        builder.capacity(4)
    });
    eventually("it has begun", || !shelf.lines().is_empty()).await;
    shelf.fail(true);
    for _ in 0..10 {
        send(&world.audit, request(Protocol::Http)).await.passed();
    }
    shelf.fail(false);
    let (lost, unserved) = missed(&world).await;
    let kept = world.written("request").await.len();
    assert_eq!((kept as u64 + lost, unserved), (10, 0));
    assert!(kept >= 4, "{kept}");
}

#[tokio::test]
async fn tl_06_a_sink_that_panics_has_failed() {
    struct Panics(Shelf, AtomicBool);

    impl AuditSink for Panics {
        fn name(&self) -> &'static str {
            "panics"
        }

        fn write(&mut self, batch: &Batch) -> io::Result<()> {
            assert!(self.1.swap(true, Ordering::SeqCst), "expected by the test");
            self.0.write(batch)
        }
    }

    let shelf = Shelf::new();
    let sink = Panics(shelf.clone(), AtomicBool::new(false));
    let audit = AuditLog::builder("orders-1", sink, Backpressure::FailRequest)
        .build()
        .unwrap();
    eventually("it goes on", || !shelf.lines().is_empty()).await;
    send(&audit, request(Protocol::Http)).await.passed();
    audit.handle().flush().await.unwrap();
    assert_eq!(shelf.of_kind("request").len(), 1);
}

#[tokio::test]
async fn an_orderly_end_says_so_and_later_requests_are_not_served() {
    let world = World::new();
    send(&world.audit, request(Protocol::Http)).await.passed();
    world
        .audit
        .handle()
        .close(Duration::from_secs(20))
        .await
        .unwrap();
    let kinds: Vec<_> = world
        .shelf
        .records()
        .iter()
        .map(|record| record["kind"].clone())
        .collect();
    assert_eq!(
        kinds,
        ["start", "checkpoint", "request", "stop", "checkpoint"]
    );
    let answer = send(&world.audit, request(Protocol::Http)).await;
    answer.refused(Protocol::Http, &Refusal::unavailable("audit", 5));
    assert!(world.audit.handle().flush().await.is_err());
    let again = world.audit.handle().close(Duration::ZERO).await;
    assert_eq!(again, Ok(()), "it says the same again");
    let status = world.audit.handle().status();
    assert!(!status.is_writing && status.is_closed);
}

#[tokio::test]
async fn what_an_end_that_takes_too_long_loses_is_counted() {
    let recorder = metrics_util::debugging::DebuggingRecorder::new();
    let world = metrics::with_local_recorder(&recorder, World::new);
    eventually("it has begun", || !world.shelf.lines().is_empty()).await;
    let lost = || {
        let counted = crate::observing::counted(&recorder.snapshotter());
        counted["gateless_audit_missed_total{result=lost}"]
    };
    assert_eq!(lost(), 0.0);
    world.shelf.fail(true);
    send(&world.audit, request(Protocol::Http)).await.passed();
    let closed = world.audit.handle().close(Duration::from_millis(50)).await;
    assert!(closed.is_err());
    let sum = std::cell::Cell::new(0.0);
    eventually("it is counted", || {
        sum.set(sum.get() + lost());
        sum.get() >= 1.0
    })
    .await;
}

#[tokio::test]
async fn an_end_that_takes_too_long_is_told() {
    let world = World::new();
    eventually("it has begun", || !world.shelf.lines().is_empty()).await;
    world.shelf.fail(true);
    send(&world.audit, request(Protocol::Http)).await.passed();
    let closed = world.audit.handle().close(Duration::from_millis(50)).await;
    assert!(closed.is_err());
}

#[tokio::test]
async fn a_layer_that_nobody_has_any_more_ends_by_itself() {
    let world = World::new();
    send(&world.audit, request(Protocol::Http)).await.passed();
    let World { shelf, audit, .. } = world;
    drop(audit);
    eventually("it has ended", || shelf.of_kind("stop").len() == 1).await;
    assert_eq!(shelf.of_kind("request").len(), 1);
}

/// The first sink is what counts: a further one loses records, and that is a record of the first.
#[tokio::test]
async fn a_further_sink_holds_up_nobody_and_what_it_loses_is_recorded() {
    let (first, further) = (Shelf::new(), Shelf::with(Durability::Synced));
    further.stick(true);
    let world = World::of(first.clone(), Backpressure::FailRequest, |builder| {
        builder.also(further.clone()).without_folding()
    });
    // It has room for 1,024 batches, and each flush makes one.
    for _ in 0..1_100 {
        send(&world.audit, request(Protocol::Http)).await.passed();
        world.audit.handle().flush().await.unwrap();
    }
    assert_eq!(world.written("gap").await.len(), 0, "not with each record");
    further.stick(false);
    // What is lost behind the end could not be told any more.
    eventually("it has caught up", || further.lines().len() > 1_024).await;
    world
        .audit
        .handle()
        .close(Duration::from_secs(20))
        .await
        .unwrap();
    let (all, copied) = (first.lines(), further.lines());
    assert!(copied.len() < all.len() && copied.iter().all(|line| all.contains(line)));
    let gaps = first.of_kind("gap");
    assert_eq!(gaps[0]["sink"], "shelf", "{gaps:?}");
    let lost: u64 = first
        .of_kind("gap")
        .iter()
        .map(|gap| gap["lost"].as_u64().unwrap())
        .sum();
    assert_eq!(copied.len() as u64 + lost, all.len() as u64);
}

/// Nobody waits for ever, whatever is under way when the end is ordered.
#[tokio::test]
async fn who_is_under_way_at_the_end_is_told() {
    for policy in [Backpressure::FailRequest, Backpressure::DropAndCount] {
        let shelf = Shelf::with(Durability::Written);
        let world = World::of(shelf, policy, |builder| builder);
        let (go_on, wait) = tokio::sync::oneshot::channel::<()>();
        let wait = Arc::new(Mutex::new(Some(wait)));
        let service = tower::service_fn(move |_: Request<String>| {
            let wait = wait.lock().unwrap().take().unwrap();
            async move {
                wait.await.unwrap();
                Ok::<_, Infallible>(Response::new(String::new()))
            }
        });
        let service = world.audit.layer(service);
        let under_way = tokio::spawn(service.oneshot(request(Protocol::Http)));
        let handle = world.audit.handle();
        tokio::task::yield_now().await;
        handle.close(Duration::from_secs(20)).await.unwrap();
        go_on.send(()).unwrap();
        let response = under_way.await.unwrap().unwrap();
        let is_served = policy == Backpressure::DropAndCount;
        assert_eq!(response.status(), if is_served { 200 } else { 503 });
        assert!(!response.headers().contains_key("retry-after"));
    }
}

/// Records that wait for a sink that fails have seats, also when their responses have left: there are never more than that.
#[tokio::test]
async fn what_waits_for_a_sink_that_fails_is_bounded() {
    let shelf = Shelf::with(Durability::Written);
    let world = World::of(shelf.clone(), Backpressure::DropAndCount, |builder| {
        builder.capacity(4).without_folding()
    });
    eventually("it has begun", || !shelf.lines().is_empty()).await;
    shelf.fail(true);
    for n in 0..100 {
        send(&world.audit, request(Protocol::Http)).await.passed();
        if n == 0 {
            eventually("it is noticed", || {
                !world.audit.handle().status().is_writing
            })
            .await;
            // Its response has left, and its record is in hand still.
            assert_eq!(world.audit.handle().status().waiting, 1);
        }
    }
    shelf.fail(false);
    let (lost, unserved) = missed(&world).await;
    let kept = world.written("request").await.len() as u64;
    assert_eq!((kept + lost, unserved), (100, 0));
    assert!(kept <= 5, "{kept}");
    assert_eq!(world.audit.handle().status().waiting, 0);
}

/// One that does not even say that it fails.
#[tokio::test(start_paused = true)]
async fn tl_06_a_sink_that_hangs_has_failed() {
    let shelf = Shelf::with(Durability::Written);
    let world = World::of(shelf.clone(), Backpressure::FailRequest, |builder| builder);
    shelf.stick(true);
    let response = world
        .audit
        .layer(Recorder::new())
        .oneshot(request(Protocol::Http));
    let response = response.await.unwrap();
    assert_eq!(response.status(), 503);
    assert!(!world.audit.handle().status().is_writing);
    let answer = send(&world.audit, request(Protocol::Http)).await;
    answer.refused(Protocol::Http, &Refusal::unavailable("audit", 5));
    let closed = world.audit.handle().close(Duration::from_secs(1)).await;
    assert!(closed.is_err());
    shelf.stick(false);
}

/// However many there are: a flush waits for all that was there before.
#[tokio::test]
async fn a_flush_waits_for_more_than_one_round() {
    let world = World::of(Shelf::new(), Backpressure::FailRequest, |builder| {
        builder.without_folding()
    });
    world.shelf.stick(true);
    let service = world.audit.layer(Recorder::new());
    for _ in 0..3_000 {
        drop(
            service
                .clone()
                .oneshot(request(Protocol::Http))
                .await
                .unwrap(),
        );
    }
    world.shelf.stick(false);
    assert_eq!(world.written("request").await.len(), 3_000);
}

/// What is given up is counted, and nobody is told that all is well.
#[tokio::test]
async fn what_was_given_up_at_the_end_is_not_forgotten() {
    let world = World::of(Shelf::new(), Backpressure::DropAndCount, |builder| builder);
    eventually("it has begun", || !world.shelf.lines().is_empty()).await;
    world.shelf.fail(true);
    send(&world.audit, request(Protocol::Http)).await.passed();
    eventually("it is noticed", || {
        !world.audit.handle().status().is_writing
    })
    .await;
    let handle = world.audit.handle();
    let flush = tokio::spawn(async move { handle.flush().await });
    let closed = world.audit.handle().close(Duration::from_millis(100)).await;
    assert!(closed.is_err() && flush.await.unwrap().is_err());
}
