//! Debian's packages, where this user may install them.

use std::fs;
use std::process::{Command, Stdio};

/// Installs a package, if that can be done here.
pub(crate) fn install(package: &str) -> bool {
    if !is_root() || !succeeds("apt-get", &["--version"], Stdio::null()) {
        return false;
    }
    eprintln!("    it is missing: apt-get install {package}");
    let install = ["install", "-y", "--no-install-recommends", package];
    succeeds("apt-get", &install, Stdio::inherit())
        || (succeeds("apt-get", &["update"], Stdio::inherit())
            && succeeds("apt-get", &install, Stdio::inherit()))
}

/// Whether a program is there and says that all went well.
pub(crate) fn succeeds(program: &str, args: &[&str], output: Stdio) -> bool {
    let status = Command::new(program)
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// By the files of the process, as there is no call for it in std.
fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    line.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0")
}
