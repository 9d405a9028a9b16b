//! Mutations that are the same in every run: no clock, no entropy of the machine, and no more of them than was said.

use crate::Target;

/// No input grows longer than this: what is longer is refused by its length.
const LONGEST: usize = 16 * 1024;

/// Small and quick, and the same everywhere: xorshift64*.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// The same throws for the same name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 to below `end`; 0 where that is 0.
    fn below(&mut self, end: usize) -> usize {
        match u64::try_from(end) {
            Ok(end) if end > 0 => usize::try_from((self.next() >> 11) % end).unwrap(),
            _ => 0,
        }
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Driven {
    /// How many inputs the target was run on.
    pub inputs: usize,
    /// How many of them it let in.
    pub accepted: usize,
}

/// Runs a target on each of its seeds, and then on `rounds` mutations of them.
pub fn drive(target: &Target, rounds: u32) -> Driven {
    let seeds = target.seeds();
    assert!(!seeds.is_empty(), "{} has no seed", target.name);
    let mut accepted = seeds.iter().filter(|seed| (target.run)(seed)).count();
    let mut dice = Dice::named(target.name);
    for _ in 0..rounds {
        let mut input = seeds[dice.below(seeds.len())].clone();
        for _ in 0..=dice.below(3) {
            mutate(&mut dice, &mut input, &seeds, target.words);
        }
        input.truncate(LONGEST);
        accepted += usize::from((target.run)(&input));
    }
    Driven {
        inputs: seeds.len() + rounds as usize,
        accepted,
    }
}

/// Changes something, or little enough that nothing changes.
fn mutate(dice: &mut Dice, input: &mut Vec<u8>, seeds: &[Vec<u8>], words: &[&str]) {
    let len = input.len();
    let at = dice.below(len + 1);
    match dice.below(11) {
        0 if at < len => input[at] ^= 1 << dice.below(8),
        1 if at < len => input[at] = dice.byte(),
        2 => input.insert(at, dice.byte()),
        3 => input.truncate(at),
        4 => {
            let end = (at + 1 + dice.below(16)).min(len);
            input.drain(at..end.max(at));
        }
        // Once more, somewhere.
        5 => {
            let end = (at + 1 + dice.below(64)).min(len);
            let part = input[at..end.max(at)].to_vec();
            let to = dice.below(len + 1);
            input.splice(to..to, part);
        }
        // Two parts change places.
        6 if len > 1 => {
            let (a, b) = (dice.below(len), dice.below(len));
            input.swap(a, b);
        }
        // The end of another.
        7 => {
            let other = &seeds[dice.below(seeds.len())];
            input.truncate(at);
            input.extend_from_slice(&other[dice.below(other.len() + 1)..]);
        }
        // A part of another, in between.
        8 => {
            let other = &seeds[dice.below(seeds.len())];
            let begin = dice.below(other.len() + 1);
            let end = (begin + dice.below(48)).min(other.len());
            input.splice(at..at, other[begin..end].iter().copied());
        }
        _ if !words.is_empty() => {
            let word = words[dice.below(words.len())];
            let over = if dice.below(2) == 0 { word.len() } else { 0 };
            let end = (at + over).min(len);
            input.splice(at..end, word.bytes());
        }
        _ => input.push(dice.byte()),
    }
}
