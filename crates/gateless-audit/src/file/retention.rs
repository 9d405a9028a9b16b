//! Which full files are too many.

use std::time::Duration;

use gateless_core::Timestamp;

/// How much is kept; what is `None` has no bound.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Keep {
    pub(super) files: Option<usize>,
    pub(super) age: Option<Duration>,
    pub(super) bytes: Option<u64>,
}

/// A full file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Full {
    /// When its first record was made.
    pub(super) first: Timestamp,
    pub(super) bytes: u64,
}

impl Keep {
    pub(super) const fn keeps_all(&self) -> bool {
        self.files.is_none() && self.age.is_none() && self.bytes.is_none()
    }

    /// How many of `files` go, from the oldest on. They are sorted; `current` is when the file behind them began.
    pub(super) fn surplus(&self, files: &[Full], current: Timestamp, now: Timestamp) -> usize {
        let by_count = self.files.map_or(0, |max| files.len().saturating_sub(max));
        let by_age = self.age.map_or(0, |max| {
            let begins = files.iter().map(|file| file.first);
            // The last record of a file is not younger than the first one of the next.
            let ends = begins.skip(1).chain([current]);
            ends.take_while(|end| now.since(*end) > max).count()
        });
        let by_bytes = self.bytes.map_or(0, |max| {
            let mut sum = 0u64;
            let from_newest = files.iter().rev();
            let kept = from_newest.take_while(|file| {
                sum = sum.saturating_add(file.bytes);
                sum <= max
            });
            files.len() - kept.count()
        });
        by_count.max(by_age).max(by_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_until_every_bound_holds() {
        let at = |secs| Timestamp::from_secs(secs);
        let files = [10, 20, 30, 40].map(|secs| Full {
            first: at(secs),
            bytes: 100,
        });
        let surplus = |keep: Keep| keep.surplus(&files, at(50), at(60));
        let keep = Keep::default();
        assert_eq!(surplus(keep), 0);
        for (max, gone) in [(5, 0), (4, 0), (3, 1), (1, 3)] {
            let files = Some(max);
            assert_eq!(surplus(Keep { files, ..keep }), gone, "{max} files");
        }
        // The first file ends at 20 at the latest: 40 seconds ago.
        for (secs, gone) in [(60, 0), (40, 0), (39, 1), (19, 3), (10, 3), (9, 4)] {
            let age = Some(Duration::from_secs(secs));
            assert_eq!(surplus(Keep { age, ..keep }), gone, "{secs} s");
        }
        for (max, gone) in [(400, 0), (399, 1), (250, 2), (100, 3)] {
            let bytes = Some(max);
            assert_eq!(surplus(Keep { bytes, ..keep }), gone, "{max} bytes");
        }
        let both = Keep {
            files: Some(3),
            bytes: Some(250),
            age: None,
        };
        assert_eq!(surplus(both), 2);
    }
}
