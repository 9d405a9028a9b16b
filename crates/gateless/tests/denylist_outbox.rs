//! The outbox: what a log does not take is kept, and put there later, in its order.
#![cfg(feature = "denylist_file")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gateless::denylist::{RevocationFile, RevocationFileError, RevocationOutbox};
use gateless::{
    Appended, LogPosition, LogTail, Revocation, RevocationChange, RevocationLog, RevocationRecord,
    StoreError, StoreFuture, Timestamp,
};

use support::{Directory, LATER, Moved, load, records, revoke, says, token, unrevoke};

/// A log that is away when told so, and remembers what it was given.
#[derive(Debug, Default)]
struct Log {
    mode: Mutex<Mode>,
    given: Mutex<Vec<RevocationChange>>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Mode {
    #[default]
    There,
    Failing,
    Hanging,
    /// It has its effect, and nobody is told.
    Mute,
    /// It takes its time.
    Slow,
}

impl Log {
    fn is(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    fn mode(&self) -> Mode {
        *self.mode.lock().unwrap()
    }

    fn given(&self) -> Vec<RevocationChange> {
        self.given.lock().unwrap().clone()
    }
}

impl RevocationLog for Log {
    fn append<'a>(&'a self, changes: &'a [RevocationChange]) -> StoreFuture<'a, Appended> {
        Box::pin(async move {
            let mode = self.mode();
            if matches!(mode, Mode::Slow) {
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            if matches!(mode, Mode::There | Mode::Mute | Mode::Slow) {
                self.given.lock().unwrap().extend(changes);
            }
            match mode {
                Mode::There | Mode::Slow => Ok(Appended::Stored),
                Mode::Hanging => pending().await,
                Mode::Failing | Mode::Mute => Err(StoreError::new("connection refused")),
            }
        })
    }

    fn load<'a>(
        &'a self,
        sink: &'a mut (dyn FnMut(&[RevocationRecord]) + Send),
    ) -> StoreFuture<'a, LogPosition> {
        Box::pin(async {
            for change in self.given() {
                if let RevocationChange::Revoke(record) = change {
                    sink(&[record]);
                }
            }
            Ok(LogPosition::new(*b"here"))
        })
    }

    fn follow<'a>(&'a self, position: &'a LogPosition, _: Duration) -> StoreFuture<'a, LogTail> {
        Box::pin(async {
            match self.mode() {
                Mode::There => Ok(LogTail::Changes {
                    changes: Vec::new(),
                    position: position.clone(),
                }),
                _ => Err(StoreError::new("connection refused")),
            }
        })
    }
}

struct Setup {
    directory: Directory,
    clock: Moved,
    log: Arc<Log>,
    capacity: usize,
}

impl Setup {
    fn new() -> Self {
        Self {
            directory: Directory::new(),
            clock: Moved::default(),
            log: Arc::default(),
            capacity: 1000,
        }
    }

    fn outbox(&self) -> RevocationOutbox {
        RevocationOutbox::builder(Arc::clone(&self.log), self.directory.file())
            .clock(Arc::new(self.clock.clone()))
            .capacity(self.capacity)
            .deadline(Duration::from_millis(50))
            .open()
            .unwrap()
    }
}

async fn follow(outbox: &RevocationOutbox) -> Result<LogTail, StoreError> {
    let position = LogPosition::new(*b"here");
    outbox.follow(&position, Duration::ZERO).await
}

#[tokio::test]
async fn a_log_that_is_there_gets_every_change_at_once() {
    let setup = Setup::new();
    let outbox = setup.outbox();
    let changes = [revoke("a"), unrevoke("b")];
    assert_eq!(outbox.append(&changes).await.unwrap(), Appended::Stored);
    assert_eq!(setup.log.given(), changes);
    assert_eq!(outbox.queued(), 0);
}

#[tokio::test]
async fn what_a_log_does_not_take_is_put_there_later_in_its_order() {
    for mode in [Mode::Failing, Mode::Hanging] {
        let setup = Setup::new();
        let outbox = setup.outbox();
        setup.log.is(mode);
        let began = Instant::now();
        for name in ["a", "b"] {
            let appended = outbox.append(&[revoke(name)]).await.unwrap();
            assert_eq!(appended, Appended::Queued);
        }
        outbox.append(&["c", "c"].map(revoke)).await.unwrap();
        assert_eq!(outbox.queued(), 4);
        assert!(began.elapsed() < Duration::from_secs(10), "{mode:?}");
        follow(&outbox).await.unwrap_err();
        assert_eq!(outbox.queued(), 4);

        setup.log.is(Mode::There);
        // It failed a moment ago, and is not asked again so soon. Nothing overtakes what is queued.
        let appended = outbox.append(&[revoke("d")]).await.unwrap();
        assert_eq!(appended, Appended::Queued);
        assert_eq!(setup.log.given(), []);
        setup.clock.advance(Duration::from_secs(1));
        let appended = outbox.append(&[revoke("e")]).await.unwrap();
        assert_eq!(appended, Appended::Stored);
        let in_order = ["a", "b", "c", "c", "d", "e"].map(revoke);
        assert_eq!(setup.log.given(), in_order, "{mode:?}");
        assert_eq!(outbox.queued(), 0);
    }
}

#[tokio::test]
async fn th_15_nothing_is_taken_back_later() {
    for mode in [Mode::Failing, Mode::Hanging, Mode::Mute] {
        let setup = Setup::new();
        let outbox = setup.outbox();
        setup.log.is(mode);
        for changes in [vec![unrevoke("a")], vec![revoke("b"), unrevoke("a")]] {
            let error = outbox.append(&changes).await.unwrap_err();
            let said = says(&error);
            assert!(said.contains("nothing can be taken back"), "{said}");
        }
        assert_eq!(outbox.queued(), 0);
        // Another machine revokes it anew.
        setup.log.is(Mode::There);
        let given = setup.log.given();
        setup.log.append(&[revoke("a")]).await.unwrap();
        follow(&outbox).await.unwrap();
        assert_eq!(setup.log.given(), [given, vec![revoke("a")]].concat());

        // It does not overtake what is queued either.
        setup.log.is(Mode::Failing);
        outbox.append(&[revoke("c")]).await.unwrap();
        setup.log.is(Mode::There);
        let given = setup.log.given();
        outbox.append(&[unrevoke("c")]).await.unwrap_err();
        setup.clock.advance(Duration::from_secs(1));
        let appended = outbox.append(&[unrevoke("c")]).await.unwrap();
        assert_eq!(appended, Appended::Stored);
        let expected = [given, vec![revoke("c"), unrevoke("c")]].concat();
        assert_eq!(setup.log.given(), expected);
    }
}

#[tokio::test]
async fn an_append_does_not_wait_for_all_that_is_queued() {
    let mut setup = Setup::new();
    setup.capacity = 10_000;
    let outbox = setup.outbox();
    setup.log.is(Mode::Failing);
    let mut many: Vec<_> = (0..8000).map(revoke).collect();
    outbox.append(&many).await.unwrap();
    setup.log.is(Mode::Slow);
    setup.clock.advance(Duration::from_secs(1));
    let appended = outbox.append(&[revoke("mine")]).await.unwrap();
    assert_eq!(appended, Appended::Queued);
    assert!(outbox.queued() > 1000);
    setup.log.is(Mode::There);
    follow(&outbox).await.unwrap();
    many.push(revoke("mine"));
    let mut given = setup.log.given();
    // What was under way when the append went on came twice.
    given.dedup();
    assert_eq!(outbox.queued(), 0);
    assert_eq!(given.last(), Some(&revoke("mine")));
    assert!(many.iter().all(|change| given.contains(change)));
}

#[tokio::test]
async fn whoever_follows_empties_the_queue() {
    let setup = Setup::new();
    let outbox = setup.outbox();
    setup.log.is(Mode::Failing);
    let many: Vec<_> = (0..900).map(revoke).collect();
    assert_eq!(outbox.append(&many).await.unwrap(), Appended::Queued);
    setup.log.is(Mode::There);
    follow(&outbox).await.unwrap();
    assert_eq!(setup.log.given(), many);
    assert_eq!(outbox.queued(), 0);
}

#[tokio::test]
async fn what_is_queued_survives_a_restart() {
    let setup = Setup::new();
    setup.log.is(Mode::Failing);
    let outbox = setup.outbox();
    outbox.append(&[revoke("a"), revoke("b")]).await.unwrap();
    drop(outbox);
    let outbox = setup.outbox();
    assert_eq!(outbox.queued(), 2);
    outbox.append(&[revoke("c")]).await.unwrap();
    drop(outbox);
    setup.log.is(Mode::There);
    let outbox = setup.outbox();
    let appended = outbox.append(&[revoke("d")]).await.unwrap();
    assert_eq!(appended, Appended::Stored);
    assert_eq!(setup.log.given(), ["a", "b", "c", "d"].map(revoke));
    drop(outbox);
    assert_eq!(setup.outbox().queued(), 0);
}

#[tokio::test]
async fn a_change_whose_fate_is_not_known_is_put_there_again() {
    let setup = Setup::new();
    let outbox = setup.outbox();
    setup.log.is(Mode::Mute);
    let appended = outbox.append(&[revoke("a")]).await.unwrap();
    assert_eq!(appended, Appended::Queued);
    setup.log.is(Mode::There);
    follow(&outbox).await.unwrap();
    assert_eq!(setup.log.given(), [revoke("a"), revoke("a")]);
}

#[tokio::test]
async fn what_is_queued_is_loaded_on_top() {
    let setup = Setup::new();
    let outbox = setup.outbox();
    outbox.append(&["a", "b"].map(revoke)).await.unwrap();
    setup.log.is(Mode::Failing);
    outbox.append(&["c", "d"].map(revoke)).await.unwrap();
    let [shorter, longer] =
        [("a", LATER - 1), ("b", LATER + 1)].map(|(name, until)| token(name, until));
    let changes = [shorter, longer].map(RevocationChange::Revoke);
    outbox.append(&changes).await.unwrap();
    let mut expected = records(["a", "b", "c", "d"]);
    expected.insert(longer.id(), longer);
    assert_eq!(load(&outbox).await.unwrap(), expected);
}

#[tokio::test]
async fn a_full_queue_says_so_and_takes_nothing() {
    let mut setup = Setup::new();
    setup.capacity = 3;
    let outbox = setup.outbox();
    setup.log.is(Mode::Failing);
    outbox.append(&[revoke("a"), revoke("b")]).await.unwrap();
    let error = outbox.append(&["c", "d"].map(revoke)).await.unwrap_err();
    let said = says(&error);
    assert!(said.contains("the outbox is full with 3 changes"), "{said}");
    outbox.append(&[revoke("e")]).await.unwrap();
    outbox.append(&[revoke("f")]).await.unwrap_err();
    assert_eq!(outbox.queued(), 3);
    setup.log.is(Mode::There);
    follow(&outbox).await.unwrap();
    assert_eq!(setup.log.given(), ["a", "b", "e"].map(revoke));
    let appended = outbox.append(&[revoke("g")]).await.unwrap();
    assert_eq!(appended, Appended::Stored);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_many_callers_is_heard_in_its_order_through_an_outage() {
    let setup = Setup::new();
    let outbox = Arc::new(setup.outbox());
    setup.log.is(Mode::Failing);
    let name = |caller, step| revoke(format!("{caller}/{step}"));
    let callers: Vec<_> = (0..8)
        .map(|caller| {
            let outbox = Arc::clone(&outbox);
            tokio::spawn(async move {
                for step in 0..30 {
                    outbox.append(&[name(caller, step)]).await.unwrap();
                }
            })
        })
        .collect();
    let mut modes = [Mode::There, Mode::Hanging, Mode::Failing, Mode::There]
        .into_iter()
        .cycle();
    while callers.iter().any(|caller| !caller.is_finished()) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        setup.log.is(modes.next().unwrap());
        setup.clock.advance(Duration::from_secs(1));
    }
    for caller in callers {
        caller.await.unwrap();
    }
    setup.log.is(Mode::There);
    follow(&outbox).await.unwrap();
    assert_eq!(outbox.queued(), 0);
    let given = setup.log.given();
    for caller in 0..8 {
        let first = |step| {
            given
                .iter()
                .position(|change| *change == name(caller, step))
        };
        let firsts: Vec<_> = (0..30).map(|step| first(step).unwrap()).collect();
        assert!(firsts.is_sorted(), "{firsts:?}");
    }
}

#[tokio::test]
async fn its_file_is_as_strict_as_a_log() {
    let setup = Setup::new();
    drop(RevocationFile::open(setup.directory.file()).unwrap());
    let log = Arc::clone(&setup.log);
    let outbox = RevocationOutbox::builder(log, setup.directory.file());
    let error = outbox.open().unwrap_err();
    assert!(
        matches!(error, RevocationFileError::Damaged { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn tl_02_nothing_prints_a_name() {
    let setup = Setup::new();
    let outbox = setup.outbox();
    setup.log.is(Mode::Failing);
    let canary = Revocation::subject("https://canary.example.com", "canary");
    let record = canary.record(Timestamp::EPOCH, Duration::ZERO, Duration::ZERO);
    let changes = [RevocationChange::Revoke(record)];
    outbox.append(&changes).await.unwrap();
    let printed = format!("{outbox:?}");
    assert!(!printed.contains("canary"), "{printed}");
    let bytes = fs::read(setup.directory.file()).unwrap();
    assert!(!bytes.windows(6).any(|window| window == b"canary"));
}
