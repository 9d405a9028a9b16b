//! A request that lacks its key: how it waits for newer ones, and when it gives up.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::store::{Demand, KeyStore};

/// What a request found the keys to lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// The key that its token names. They were of this version.
    Key { version: u64 },
    /// All of them: there are none that may be used.
    Keys,
}

/// The search of one request for keys that are newer than those it was judged with.
#[derive(Debug)]
pub(crate) struct Search {
    patience: Duration,
    until: Instant,
    has_fetched: bool,
    refused: Option<(Lack, NotFound)>,
}

/// There are no newer keys to be had now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotFound {
    pub(crate) lack: Lack,
    /// When there may be.
    pub(crate) retry_after: Duration,
    /// Whether the last fetch failed, or took too long.
    pub(crate) has_failed: bool,
    /// Whether there was a fetch that began for this request, and ended.
    pub(crate) has_fetched: bool,
}

impl NotFound {
    /// Whether the issuer said, a cooldown ago at most, that it does not have the key.
    pub(crate) fn is_certain(&self) -> bool {
        self.lack != Lack::Keys && !self.has_failed
    }
}

impl Search {
    /// For so long altogether, however many fetches it waits for.
    pub(crate) fn within(patience: Duration) -> Self {
        Self {
            patience,
            until: Instant::now() + patience,
            has_fetched: false,
            refused: None,
        }
    }

    /// Waits until it is worth another look.
    pub(crate) async fn newer(
        &mut self,
        store: &Arc<KeyStore>,
        lack: Lack,
    ) -> Result<(), NotFound> {
        // Looked at once more after a refusal: keys may have come in between, and another thing be lacking then.
        if let Some((lacked, not_found)) = self.refused
            && (lacked == Lack::Keys) == (lack == Lack::Keys)
        {
            return Err(NotFound { lack, ..not_found });
        }
        match store.demand(lack) {
            Demand::Look => {}
            Demand::Wait {
                mut finished,
                is_own,
            } => {
                if timeout_at(self.until, finished.changed()).await.is_err() {
                    // A fetch that may take longer than that goes on, and may well bring them.
                    let goes_on = self.patience < store.timeout();
                    return Err(NotFound {
                        lack,
                        retry_after: match goes_on {
                            true => self.patience,
                            false => store.pause(lack),
                        },
                        has_failed: true,
                        has_fetched: false,
                    });
                }
                self.has_fetched |= is_own;
            }
            Demand::Refused { has_failed } => {
                let not_found = NotFound {
                    lack,
                    retry_after: store.pause(lack),
                    has_failed,
                    has_fetched: self.has_fetched,
                };
                self.refused = Some((lack, not_found));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use gateless_core::OnOutage;
    use gateless_jwt::KeySet;
    use gateless_testkit::FakeClock;
    use tokio::time::sleep;

    use super::*;
    use crate::keys::fetch::{Document, Fetch, FetchError, Fetched, Fetching, Validator};
    use crate::keys::{Standing, Timing};

    const COOLDOWN: Duration = Duration::from_secs(30);
    const PATIENCE: Duration = Duration::from_secs(5);

    /// An issuer that takes its time, and for which time passes as it likes.
    #[derive(Clone, Debug)]
    struct Source {
        takes: Duration,
        passes: Duration,
        is_away: bool,
        clock: FakeClock,
        asked: Arc<AtomicU64>,
    }

    impl Fetch for Source {
        fn fetch(&self, _: Option<Validator>) -> Fetching<'_> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            Box::pin(async {
                sleep(self.takes).await;
                self.clock.advance(self.passes);
                match self.is_away {
                    true => Err(FetchError::TimedOut),
                    false => Ok(Fetched::New(Document::new(KeySet::default()))),
                }
            })
        }
    }

    impl Source {
        fn new() -> Self {
            Self {
                takes: Duration::from_secs(2),
                passes: Duration::ZERO,
                is_away: false,
                clock: FakeClock::new(),
                asked: Arc::default(),
            }
        }

        fn store(&self) -> Arc<KeyStore> {
            let timing = Timing {
                lifetime: Duration::from_secs(600),
                on_outage: OnOutage::FailClosed,
                cooldown: COOLDOWN,
                timeout: PATIENCE,
            };
            let clock = Arc::new(self.clock.clone());
            let source = Box::new(self.clone());
            Arc::new(KeyStore::fetched(
                "https://idp.example.com",
                source,
                timing,
                clock,
            ))
        }

        fn asked(&self) -> u64 {
            self.asked.load(Ordering::Relaxed)
        }
    }

    fn lack(store: &Arc<KeyStore>) -> Lack {
        let version = store.usable().0.version;
        Lack::Key { version }
    }

    #[tokio::test(start_paused = true)]
    async fn te_01_tm_12_a_request_waits_no_longer_than_its_patience_whatever_is_fetched() {
        for is_away in [false, true] {
            let source = Source {
                // By its clock each fetch takes as long as the cooldown.
                passes: COOLDOWN,
                is_away,
                ..Source::new()
            };
            let store = source.store();
            let begin = Instant::now();
            let mut search = Search::within(PATIENCE);
            let not_found = loop {
                let lack = if is_away { Lack::Keys } else { lack(&store) };
                if let Err(not_found) = search.newer(&store, lack).await {
                    break not_found;
                }
                assert!(begin.elapsed() <= PATIENCE);
            };
            assert_eq!(begin.elapsed(), PATIENCE);
            assert_eq!(source.asked(), 3);
            assert!(!not_found.is_certain());
            assert_eq!(not_found.retry_after, COOLDOWN);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn te_14_keys_that_came_meanwhile_are_looked_at_and_cost_no_fetch() {
        let source = Source::new();
        let store = source.store();
        assert!(store.warm_up().await);
        let newest = lack(&store);
        for lack in [Lack::Keys, Lack::Key { version: 0 }] {
            assert_eq!(Search::within(PATIENCE).newer(&store, lack).await, Ok(()));
            assert_eq!(source.asked(), 1);
        }
        assert_eq!(Search::within(PATIENCE).newer(&store, newest).await, Ok(()));
        assert_eq!(source.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn th_17_only_who_began_a_fetch_has_had_one() {
        let store = Source::new().store();
        assert!(store.warm_up().await);
        let begins = async {
            let mut search = Search::within(PATIENCE);
            let lack = lack(&store);
            search.newer(&store, lack).await?;
            assert_eq!(search.newer(&store, self::lack(&store)).await, Ok(()));
            search.newer(&store, self::lack(&store)).await
        };
        let joins = async {
            sleep(Duration::from_secs(1)).await;
            let mut search = Search::within(PATIENCE);
            while search.newer(&store, lack(&store)).await.is_ok() {}
            search.newer(&store, lack(&store)).await
        };
        let (began, joined) = tokio::join!(begins, joins);
        assert!(began.unwrap_err().has_fetched);
        let joined = joined.unwrap_err();
        assert!(!joined.has_fetched && joined.is_certain());
    }

    #[tokio::test(start_paused = true)]
    async fn te_14_who_was_refused_keys_still_gets_a_fetch_for_the_one_that_is_missing_then() {
        let mut source = Source::new();
        source.is_away = true;
        let store = source.store();
        let mut search = Search::within(PATIENCE);
        assert_eq!(search.newer(&store, Lack::Keys).await, Ok(()));
        // Too early for another.
        assert_eq!(search.newer(&store, Lack::Keys).await, Ok(()));
        assert_eq!(source.asked(), 1);
        store.hold(KeySet::default());
        assert_eq!(search.newer(&store, lack(&store)).await, Ok(()));
        assert_eq!(source.asked(), 2);
        assert_eq!(search.newer(&store, lack(&store)).await, Ok(()));
        let not_found = search.newer(&store, lack(&store)).await.unwrap_err();
        // The second one failed as well.
        assert!(!not_found.is_certain());
        assert_eq!(source.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn te_01_te_09_keys_past_their_end_cost_one_fetch_per_cooldown() {
        let mut source = Source::new();
        source.is_away = true;
        let store = source.store();
        store.hold(KeySet::default());
        source.clock.advance(Duration::from_secs(600));
        for fetches in 1..=2 {
            for _ in 0..3 {
                let mut search = Search::within(PATIENCE);
                while store.usable().1 == Standing::Missing {
                    if search.newer(&store, Lack::Keys).await.is_err() {
                        break;
                    }
                }
            }
            assert_eq!(source.asked(), fetches);
            source.clock.advance(COOLDOWN);
        }
    }

    /// As those from a file: there is no first fetch that would start it.
    #[tokio::test(start_paused = true)]
    async fn te_06_keys_that_were_there_already_are_renewed_while_nobody_asks() {
        let source = Source::new();
        let store = source.store();
        store.hold(KeySet::default());
        assert!(store.warm_up().await);
        source.clock.advance(Duration::from_secs(500));
        sleep(COOLDOWN + PATIENCE).await;
        assert_eq!(source.asked(), 1);
    }
}
