//! What must hold for any bytes that somebody sends: one function for each thing that is read, `run(data)` in its file.
//!
//! Two drivers call them. [`mutate`] does in the ordinary test run, with the same mutations each time; libFuzzer does for
//! hours, guided by what the input reaches: `cargo xtask fuzz`. The README beside this says more.
// clippy.toml allows these in tests, and all of this is one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod audit;
mod claims;
mod credentials;
mod header;
mod introspection;
mod jwks;
mod kit;
mod logout;
pub mod mutate;
mod openapi;
mod peer;
mod proto;
mod revocations;
mod token;

use std::fs;
use std::path::Path;

/// Something that is read, and what must hold of it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What it is called; its seeds lie in the folder of this name.
    pub name: &'static str,
    /// Panics when something does not hold, and says whether the input was let in, or whatever is the like of that here:
    /// most laws are about what is.
    pub run: fn(&[u8]) -> bool,
    /// Inputs that are made here: with signatures, mostly.
    pub made: fn() -> Vec<Vec<u8>>,
    /// Words that bring an input further than single bits do.
    pub words: &'static [&'static str],
    /// How many mutations the ordinary tests try: all targets together stay below twenty seconds without optimisation.
    pub rounds: u32,
}

/// All there are.
pub const TARGETS: &[Target] = &[
    audit::TARGET,
    claims::TARGET,
    credentials::TARGET,
    header::TARGET,
    introspection::TARGET,
    jwks::TARGET,
    logout::TARGET,
    openapi::TARGET,
    peer::TARGET,
    proto::TARGET,
    revocations::TARGET,
    token::TARGET,
];

impl Target {
    /// The target of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Where to begin: what is made here, and the files in `seeds/` in the order of their names. What was ever found is one
    /// of them.
    #[must_use]
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        let mut seeds = (self.made)();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("seeds")
            .join(self.name);
        if let Ok(entries) = fs::read_dir(folder) {
            let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
            paths.sort();
            seeds.extend(paths.iter().map(|path| fs::read(path).unwrap()));
        }
        seeds
    }
}
