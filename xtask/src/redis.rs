//! A Redis or Valkey server for the tests of `gateless-redis`, which start it themselves.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::apt::{self, succeeds};
use crate::step::{Failure, step};

const OLDEST: (u32, u32) = (6, 2);
/// Where the tests look first.
const VARIABLE: &str = "GATELESS_REDIS_SERVER";
const NAMES: [&str; 2] = ["redis-server", "valkey-server"];
/// Debian has a server in `sbin` in places, and not everybody has that on the `PATH`.
const FURTHER: [&str; 4] = [
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/opt/homebrew/bin",
];
const SERVICE: &str = "redis-server";
const ADVICE: &str = "\
no redis-server or valkey-server of 6.2 or newer, which the tests of gateless-redis start. Install one of
  Debian, Ubuntu:  apt-get install redis-server
  Fedora:          dnf install valkey
  Alpine:          apk add redis
  macOS:           brew install redis
or name one in GATELESS_REDIS_SERVER";

/// A server that is new enough.
#[derive(Debug)]
pub(crate) struct Redis(PathBuf);

impl Redis {
    /// The one that is named, one that is installed, or one that apt-get installs.
    pub(crate) fn find() -> Result<Self, Failure> {
        step("redis-server", || {
            if let Some(named) = env::var_os(VARIABLE) {
                let named = PathBuf::from(named);
                return works(&named).then_some(Self(named)).ok_or_else(|| {
                    Failure::new(format!("{VARIABLE} names no server of 6.2 or newer"))
                });
            }
            installed()
                .or_else(|| install().then(installed).flatten())
                .map(Self)
                .ok_or_else(|| Failure::new(ADVICE))
        })
    }

    /// Lets the tests that `command` runs find it.
    pub(crate) fn provide_to(&self, command: &mut Command) {
        command.env(VARIABLE, &self.0);
    }
}

fn installed() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<_> = env::split_paths(&path)
        .chain(FURTHER.map(PathBuf::from))
        .collect();
    let programs = NAMES
        .iter()
        .flat_map(|name| dirs.iter().map(move |dir| dir.join(name)));
    programs.into_iter().find(|program| works(program))
}

fn works(program: &Path) -> bool {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output();
    output.is_ok_and(|output| {
        let text = String::from_utf8_lossy(&output.stdout);
        output.status.success() && version(&text).is_some_and(|version| version >= OLDEST)
    })
}

/// Debian's package. The service that it starts is stopped: nobody asked for it.
fn install() -> bool {
    let was_active = is_active();
    let is_installed = apt::install("redis-server");
    if is_installed && !was_active && is_active() {
        let systemctl = ["disable", "--now", SERVICE];
        if !succeeds("systemctl", &systemctl, Stdio::null()) {
            succeeds("service", &[SERVICE, "stop"], Stdio::null());
        }
    }
    is_installed
}

fn is_active() -> bool {
    succeeds(
        "systemctl",
        &["is-active", "--quiet", SERVICE],
        Stdio::null(),
    ) || succeeds("service", &[SERVICE, "status"], Stdio::null())
}

/// `(7, 0)` of `Redis server v=7.0.15 sha=…`, `(8, 1)` of `Valkey server v=8.1.0 …`.
fn version(text: &str) -> Option<(u32, u32)> {
    let version = text
        .split_whitespace()
        .find_map(|word| word.strip_prefix("v="))?;
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{OLDEST, version};

    #[test]
    fn the_version_of_a_server_is_read() {
        let redis = version("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64\n");
        assert_eq!(redis, Some((7, 0)));
        assert!(version("Valkey server v=8.1.0 sha=0").unwrap() >= OLDEST);
        assert!(version("Redis server v=6.0.16 sha=0").unwrap() < OLDEST);
        assert_eq!(version("Segmentation fault"), None);
    }
}
