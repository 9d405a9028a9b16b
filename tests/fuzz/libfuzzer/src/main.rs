//! The targets of `gateless-fuzz` under libFuzzer: `GATELESS_FUZZ_TARGET` says which, `GATELESS_FUZZ_SEEDS` names a folder of
//! the corpus into which its seeds are written first.
#![no_main]

use std::env;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use gateless_fuzz::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<&'static Target> = OnceLock::new();

fn init() {
    let name = env::var("GATELESS_FUZZ_TARGET").unwrap_or_default();
    let Some(target) = Target::named(&name) else {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        panic!("GATELESS_FUZZ_TARGET is none of {}", names.join(", "));
    };
    TARGET.get_or_init(|| target);
    if let Some(folder) = env::var_os("GATELESS_FUZZ_SEEDS") {
        for (number, seed) in target.seeds().iter().enumerate() {
            fs::write(Path::new(&folder).join(format!("seed-{number:03}")), seed).expect("the folder can be written");
        }
        let words = target.words.iter().map(|word| {
            let escaped: String = word.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
            format!("\"{escaped}\"\n")
        });
        let words: String = words.filter(|word| word.len() > 3).collect();
        fs::write(Path::new(&folder).with_extension("dict"), words).expect("the folder can be written");
    }
}

fuzz_target!(init: init(), |data: &[u8]| {
    if let Some(target) = TARGET.get() {
        (target.run)(data);
    }
});
