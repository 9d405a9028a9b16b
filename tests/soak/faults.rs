//! What breaks down, and when.

use std::fmt;
use std::time::Duration;

use crate::fleet::{Dependency, Fleet};

/// What happens to the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accident {
    /// Killed, and started again with what it had on its disk.
    RedisKilled,
    /// Killed, and started again with nothing.
    RedisEmptied,
    /// Stopped with its connections open.
    RedisHangs,
    /// Away for so long that no instance knows any more what was revoked.
    RedisAway,
    IssuerGone,
    IssuerHangs,
    /// New keys; the old ones are withdrawn a while later.
    KeysRotate,
    IntrospectionFails,
    /// An instance is killed and started again.
    OrdersKilled,
    /// An instance is told to stop, ends, and is started again.
    OrdersStopped,
}

/// An accident, and when it is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planned {
    at: Duration,
    lasts: Duration,
    accident: Accident,
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, lasts) = (self.at.as_secs_f32(), self.lasts.as_secs_f32());
        write!(f, "{at:6.1} s, for {lasts:4.1} s: {:?}", self.accident)
    }
}

/// Between the end of an accident and the next one: each is to be judged by itself.
const CALM: Duration = Duration::from_secs(16);
/// Before the first, and behind the last.
const EDGE: Duration = Duration::from_secs(8);

/// The shortest come first in a short run: there is not time for all of them.
pub(crate) fn schedule(seed: u64, duration: Duration) -> Vec<Planned> {
    use Accident::*;
    let mut chance = Chance(seed);
    let mut schedule: Vec<Planned> = Vec::new();
    let mut at = EDGE;
    loop {
        let mut round = vec![
            RedisKilled,
            RedisEmptied,
            RedisHangs,
            IssuerGone,
            IssuerHangs,
            KeysRotate,
            IntrospectionFails,
            OrdersKilled,
            OrdersStopped,
            RedisAway,
        ];
        while !round.is_empty() {
            let accident = round.swap_remove(chance.below(round.len()));
            let lasts = match accident {
                RedisAway => Duration::from_secs(42),
                KeysRotate => Duration::from_secs(4),
                _ => Duration::from_millis(1_000 + 1_000 * chance.below(9) as u64),
            };
            if at + lasts + EDGE > duration {
                if lasts > Duration::from_secs(10) && !round.is_empty() {
                    continue;
                }
                return schedule;
            }
            schedule.push(Planned {
                at,
                lasts,
                accident,
            });
            at += lasts + CALM;
        }
    }
}

/// Does all that is planned, and returns when the last of it is over and the time is up.
pub(crate) async fn carry_out(fleet: &Fleet, schedule: &[Planned]) {
    for planned in schedule {
        fleet.sleep_until(planned.at).await;
        println!("{:6.1} s {:?}", fleet.now().as_secs_f32(), planned.accident);
        happen(fleet, planned).await;
    }
    fleet.sleep_until(fleet.duration()).await;
}

async fn happen(fleet: &Fleet, planned: &Planned) {
    let lasts = planned.lasts;
    let dependency = match planned.accident {
        Accident::RedisKilled
        | Accident::RedisEmptied
        | Accident::RedisHangs
        | Accident::RedisAway => Dependency::Redis,
        Accident::IssuerGone | Accident::IssuerHangs | Accident::IntrospectionFails => {
            Dependency::Issuer
        }
        Accident::KeysRotate => return fleet.rotate(lasts).await,
        Accident::OrdersKilled | Accident::OrdersStopped => Dependency::Orders(0),
    };
    let broken = fleet.breaks(dependency);
    match planned.accident {
        Accident::RedisKilled | Accident::RedisAway => fleet.redis_away(lasts, false).await,
        Accident::RedisEmptied => fleet.redis_away(lasts, true).await,
        Accident::RedisHangs => fleet.redis_hangs(lasts).await,
        Accident::IssuerGone => fleet.issuer_away(lasts).await,
        Accident::IssuerHangs => fleet.issuer_hangs(lasts).await,
        Accident::IntrospectionFails => fleet.introspection_fails(lasts).await,
        Accident::OrdersKilled => fleet.restart(0, lasts, true).await,
        Accident::OrdersStopped => fleet.restart(0, lasts, false).await,
        Accident::KeysRotate => {}
    }
    fleet.mended(broken);
}

/// Numbers as if by chance (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap_or(0) % end.max(1)
    }
}
