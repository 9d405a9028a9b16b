//! Whether the processes keep to the memory that they have after a while.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::fleet::{Fleet, INSTANCES};

const EVERY: Duration = Duration::from_secs(1);
/// Of the whole time: then caches are full, the allocator has its arenas, and each kind of token was seen.
const WARM_UP: f64 = 0.2;
/// By how much a process may grow behind that. The heap moves by some megabytes with each accident, as requests pile up and
/// the allocator keeps what they leave; a leak of 200 bytes per request would be 14 MB behind the warm-up, in ten minutes.
const GROWTH: f64 = 0.15;
const GROWTH_KIB: f64 = 8.0 * 1024.0;

/// By instance and run: when, and how many KiB.
pub(crate) type Samples = BTreeMap<(usize, usize), Vec<(Duration, u64)>>;

pub(crate) struct Sampler(oneshot::Sender<()>, JoinHandle<Samples>);

pub(crate) fn watch(fleet: Arc<Fleet>) -> Sampler {
    let (stop, mut stopped) = oneshot::channel();
    let task = tokio::spawn(async move {
        let mut samples = Samples::new();
        loop {
            for number in 0..INSTANCES {
                let resident = fleet.process(number).and_then(resident);
                if let Some(kib) = resident {
                    let run = (number, fleet.run_of(number));
                    samples.entry(run).or_default().push((fleet.now(), kib));
                }
            }
            tokio::select! {
                _ = &mut stopped => return samples,
                () = sleep(EVERY) => {}
            }
        }
    });
    Sampler(stop, task)
}

impl Sampler {
    pub(crate) async fn finish(self) -> Samples {
        let Self(stop, task) = self;
        drop(stop);
        task.await.unwrap_or_default()
    }
}

/// Instance 1 is never restarted, so that its memory is seen over the whole time.
pub(crate) fn check(samples: &Samples, duration: Duration) -> Vec<String> {
    let mut faults = Vec::new();
    for ((instance, run), samples) in samples {
        let Some((began, _)) = samples.first() else {
            continue;
        };
        let warm = *began + duration.mul_f64(WARM_UP);
        let split = samples.partition_point(|(at, _)| *at < warm);
        let (before, after) = samples.split_at(split);
        let most = |samples: &[(Duration, u64)]| {
            let most = samples.iter().map(|(_, kib)| *kib).max();
            most.unwrap_or_default()
        };
        if after.is_empty() {
            println!(
                "instance {instance}, run {run}: {} KiB at most, too short to say more",
                most(before)
            );
            continue;
        }
        // The last tenth by its median: a peak is no growth.
        let mut last: Vec<u64> = after
            .iter()
            .rev()
            .take(after.len() / 10 + 1)
            .map(|it| it.1)
            .collect();
        last.sort_unstable();
        let last = last.get(last.len() / 2).copied().unwrap_or_default();
        let (warmed, peak) = (most(before), most(after));
        println!(
            "instance {instance}, run {run}: {warmed} KiB at most while warming up, {peak} KiB at most after that, {last} KiB at the end"
        );
        #[expect(clippy::cast_precision_loss, reason = "memory is far below 2^53 KiB")]
        let (last, bound) = (last as f64, warmed as f64 * (1.0 + GROWTH) + GROWTH_KIB);
        if last > bound {
            faults.push(format!(
                "instance {instance}, run {run} grew to {last} KiB: more than {bound:.0} KiB"
            ));
        }
    }
    faults
}

/// Of `/proc`, which only Linux has: elsewhere nothing is measured.
fn resident(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}
