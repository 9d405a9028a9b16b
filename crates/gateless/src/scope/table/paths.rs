//! The paths of a table, found by the route that a router matched.

use std::collections::HashMap;
use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::Path;
use crate::pattern::{Hashed, Pattern};

/// Two ways to the same paths. A router usually spells a route as the table does, and then one look at the whole text
/// is enough. Where its parameters have other names, the structure is looked up.
#[derive(Default)]
pub(super) struct Paths {
    paths: Vec<Path>,
    spelled: HashMap<Box<str>, usize, RandomState>,
    structured: HashTable<(Pattern, usize)>,
    hasher: RandomState,
}

impl Paths {
    pub(super) fn insert(&mut self, text: Box<str>, pattern: Pattern, path: Path) {
        let Self {
            paths,
            spelled,
            structured,
            hasher,
        } = self;
        let index = paths.len();
        paths.push(path);
        spelled.insert(text, index);
        let hash = |(pattern, _): &(Pattern, usize)| hasher.hash_one(pattern.hashed());
        let entry = (pattern, index);
        structured.insert_unique(hash(&entry), entry, hash);
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    pub(super) fn get(&self, route: &str) -> Option<&Path> {
        let index = self.spelled.get(route).or_else(|| {
            let hash = self.hasher.hash_one(Hashed(route));
            let entry = self.structured.find(hash, |(pattern, _)| pattern.is(route));
            entry.map(|(_, index)| index)
        })?;
        self.paths.get(*index)
    }
}
