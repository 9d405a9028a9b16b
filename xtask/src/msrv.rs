//! One MSRV: what the manifests promise is what clippy holds the code to.

use std::fs;

use crate::cargo::Workspace;
use crate::step::{Failure, step};

pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    step("one MSRV", || {
        let root = &workspace.root;
        let read = |path: &std::path::Path| {
            fs::read_to_string(path)
                .map_err(|error| Failure::new(format!("{}: {error}", path.display())))
        };
        let manifest = read(&root.join("Cargo.toml"))?;
        let promised = value(&manifest, "rust-version");
        if promised.is_none() {
            return Err(Failure::new("Cargo.toml has no rust-version"));
        }
        for package in &workspace.packages {
            if package.rust_version.as_deref() != promised {
                return Err(Failure::new(format!(
                    "{}: write rust-version.workspace = true",
                    package.dir.join("Cargo.toml").display()
                )));
            }
        }
        let dirs = workspace.packages.iter().map(|package| &package.dir);
        for path in dirs.chain([root]).map(|dir| dir.join("clippy.toml")) {
            // A crate without one of its own is under that of the root.
            if path.parent() != Some(root) && !path.exists() {
                continue;
            }
            let msrv = value(&read(&path)?, "msrv").map(str::to_owned);
            if msrv.as_deref() != promised {
                return Err(Failure::new(format!(
                    "{} says {msrv:?}, and Cargo.toml {promised:?}",
                    path.display()
                )));
            }
        }
        Ok(())
    })
}

/// The text behind `key = "` at the beginning of a line.
fn value<'a>(toml: &'a str, key: &str) -> Option<&'a str> {
    toml.lines().find_map(|line| {
        let value = line.strip_prefix(key)?.trim_start().strip_prefix('=')?;
        value.trim().strip_prefix('"')?.strip_suffix('"')
    })
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn a_value_is_that_of_its_whole_key() {
        let toml = "rust-version-old = \"1.1\"\nrust-version = \"1.88\"\nmsrv=\"1.90\"\n";
        assert_eq!(value(toml, "rust-version"), Some("1.88"));
        assert_eq!(value(toml, "msrv"), Some("1.90"));
        assert_eq!(value(toml, "edition"), None);
    }
}
