//! Anything, in any order.

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::*;

/// How long accidents happen.
const FOR: Duration = Duration::from_secs(12);
/// What runs the same accidents once more, but for what time adds to them.
const SEED: &str = "GATELESS_FAULT_SEED";

/// Numbers as if by chance (SplitMix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 1).unwrap() % end
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        let more = self.below(usize::try_from(to - from).unwrap());
        Duration::from_millis(from) + Duration::from_millis(more as u64)
    }
}

/// What was done to a token.
struct History {
    token: Token,
    /// Since when it is known to be stored that it is revoked.
    revoked: Option<Instant>,
    /// Somebody tried to take that back: it may pass or not.
    is_open: bool,
}

impl History {
    fn must_be_refused(&self) -> bool {
        !self.is_open && self.revoked.is_some_and(|since| since.elapsed() > BOUND)
    }
}

#[derive(Clone, Default)]
struct Histories(Arc<Mutex<Vec<History>>>);

impl Histories {
    fn all(&self) -> MutexGuard<'_, Vec<History>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Member {
    instance: Instance,
    proxy: Proxy,
}

/// One accident after the other. All that is broken is whole again in the end.
fn accidents(server: &mut Server, members: &[Member], mut chance: Chance) {
    let begin = Instant::now();
    while begin.elapsed() < FOR {
        let proxy = &members[chance.below(3)].proxy;
        let lasts = chance.millis(50, 3000);
        let kind = chance.below(7);
        println!(
            "{:?}: accident {kind}, which may last {lasts:?}",
            begin.elapsed()
        );
        match kind {
            0 => {
                proxy.cut();
                std::thread::sleep(lasts);
                proxy.heal();
            }
            1 => {
                proxy.stall();
                std::thread::sleep(lasts);
                proxy.heal();
            }
            2 => {
                server.kill();
                std::thread::sleep(lasts / 4);
                server.restart();
            }
            3 => {
                server.kill();
                let _ = fs::remove_dir_all(server.dir().join("appendonlydir"));
                let _ = fs::remove_file(server.dir().join("appendonly.aof"));
                server.restart();
            }
            4 => {
                server.ask(&["FLUSHALL"]);
            }
            5 => {
                server.ask(&["DEL", "{gateless}:revoked:changes"]);
            }
            _ => {
                server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
            }
        }
        // What only one of them has heard of yet is lost with it if it is cut off right after the server lost it too.
        let pause = match kind {
            3 | 4 => 3 * SECOND,
            _ => chance.millis(0, 500),
        };
        std::thread::sleep(pause);
    }
}

/// Revokes, and takes back, until it is told to stop.
async fn changes(
    members: &[Member],
    issuer: &TestIssuer,
    histories: &Histories,
    mut chance: Chance,
    until: impl Fn() -> bool,
) {
    let mut number: usize = 0;
    while !until() {
        let handle = members[chance.below(3)].instance.handle();
        if number > 0 && chance.below(4) == 0 {
            let which = chance.below(number);
            let id = {
                let history = &mut histories.all()[which];
                history.is_open = true;
                history.token.revocation.id()
            };
            let _ = handle.unrevoke(id).await;
        } else {
            let name = format!("token-{number}");
            let token = Token {
                text: issuer.token().token_id(&name).mint(),
                revocation: Revocation::token(ISSUER, &name),
            };
            let revocation = token.revocation.clone();
            histories.all().push(History {
                token,
                revoked: None,
                is_open: false,
            });
            if handle.revoke(&revocation).await.is_ok() {
                histories.all()[number].revoked = Some(Instant::now());
            }
            number += 1;
        }
        sleep(chance.millis(1, 60)).await;
    }
}

/// Looks at every token with every instance, and says how often somebody had to be refused.
async fn look(members: &[Member], histories: &Histories, seed: u64) -> usize {
    let mut seen = 0;
    let count = histories.all().len();
    for number in 0..count {
        for (place, member) in members.iter().enumerate() {
            let (is_due, token) = {
                let history = &histories.all()[number];
                (history.must_be_refused(), history.token.clone())
            };
            let status = member.instance.status(&token).await;
            let history = &histories.all()[number];
            if is_due && !history.is_open {
                seen += 1;
                assert_ne!(
                    status,
                    200,
                    "{SEED}={seed}: token {number} passes in instance {place}, revoked {:?} ago",
                    history.revoked.map(|since| since.elapsed())
                );
            }
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn th_02_th_05_th_22_th_23_whatever_happens_what_was_revoked_is_refused() {
    let seed = std::env::var(SEED)
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            u64::try_from(since.unwrap().as_micros()).unwrap()
        });
    println!("{SEED}={seed}");
    let fleet = Fleet::with_data();
    let mut members = Vec::new();
    for _ in 0..3 {
        let (instance, proxy) = fleet.behind_proxy().await;
        members.push(Member { instance, proxy });
    }
    let good = fleet.token("good");
    let Fleet { issuer, mut server } = fleet;
    let members: Arc<[Member]> = members.into();
    let histories = Histories::default();
    let breaking = tokio::task::spawn_blocking({
        let members = Arc::clone(&members);
        move || {
            accidents(&mut server, &members, Chance(seed));
            server
        }
    });
    let mut seen = 0;
    let changing = changes(&members, &issuer, &histories, Chance(!seed), || {
        breaking.is_finished()
    });
    let looking = async {
        while !breaking.is_finished() {
            seen += look(&members, &histories, seed).await;
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::join!(changing, looking);
    let _server = breaking.await.unwrap();
    assert!(seen > 0, "nothing was looked at");

    for member in members.iter() {
        member.instance.comes_to(200, &good).await;
    }
    let tokens: Vec<_> = histories
        .all()
        .iter()
        .map(|history| {
            (
                history.token.clone(),
                history.revoked.is_some() && !history.is_open,
            )
        })
        .collect();
    let begin = Instant::now();
    loop {
        let mut differ = Vec::new();
        for (number, (token, is_revoked)) in tokens.iter().enumerate() {
            let mut statuses = Vec::new();
            for member in members.iter() {
                statuses.push(member.instance.status(token).await);
            }
            let is_right = match statuses[..] {
                [401, 401, 401] => true,
                [200, 200, 200] => !is_revoked,
                _ => false,
            };
            if !is_right {
                differ.push((number, *is_revoked, statuses));
            }
        }
        if differ.is_empty() {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{SEED}={seed}: {differ:?}");
        sleep(SECOND / 10).await;
    }
    println!("{} tokens, {seen} looks", tokens.len());
}
