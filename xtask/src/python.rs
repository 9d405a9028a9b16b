//! Python and the packages of `tests/interop/authlib`: a second authorization server to test against.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cargo::Workspace;
use crate::step::{Failure, run, step};

const OLDEST: (u32, u32) = (3, 10);
/// Where the tests look first.
const VARIABLE: &str = "GATELESS_PYTHON";
/// Where the packages are, for the tests to hand on.
const PACKAGES: &str = "GATELESS_PYTHON_PACKAGES";
pub(crate) const NAMES: [&str; 2] = ["python3", "python"];
const ADVICE: &str = "\
no Python 3.10 or newer with pip, which the tests against a second authorization server need. Install it by
  Debian, Ubuntu:  apt-get install python3 python3-pip
  Fedora:          dnf install python3 python3-pip
  Alpine:          apk add python3 py3-pip
  macOS:           brew install python3
or name one in GATELESS_PYTHON";

/// A Python that is new enough, and where its packages are.
#[derive(Debug)]
pub(crate) struct Python {
    program: PathBuf,
    packages: PathBuf,
}

impl Python {
    /// The one that is named, or the one on the `PATH`.
    pub(crate) fn find(workspace: &Workspace) -> Result<Self, Failure> {
        step("Python", || {
            let named = std::env::var_os(VARIABLE).map(PathBuf::from);
            let programs = match named {
                Some(named) => vec![named],
                None => NAMES.map(PathBuf::from).to_vec(),
            };
            let mut programs = programs.into_iter();
            let program = programs.find(|program| works(program));
            Ok(Self {
                program: program.ok_or_else(|| Failure::new(ADVICE))?,
                packages: workspace.target.join("tools").join("python"),
            })
        })
    }

    /// Installs the packages, unless they are those of the list already.
    pub(crate) fn packages(&self, workspace: &Workspace) -> Result<(), Failure> {
        step("packages of tests/interop/authlib", || {
            let dir = workspace.root.join("tests").join("interop");
            let list = dir.join("authlib").join("requirements.txt");
            let io = |error| Failure::new(format!("{}: {error}", list.display()));
            // What is compiled for one Python does not work with another.
            let mut wanted = fs::read(&list).map_err(io)?;
            wanted.extend(version(&self.program).unwrap_or_default().into_bytes());
            let installed = self.packages.join(".installed-requirements.txt");
            if fs::read(&installed).is_ok_and(|earlier| earlier == wanted) {
                return Ok(());
            }
            // Nothing of an earlier list is to be left.
            let _ = fs::remove_dir_all(&self.packages);
            let mut pip = pip_install(&self.program, &self.packages);
            run(pip.args(["--no-deps", "--requirement"]).arg(&list))?;
            fs::write(&installed, wanted).map_err(io)
        })
    }

    /// Lets the tests that `command` runs find it.
    pub(crate) fn provide_to(&self, command: &mut Command) {
        command.env(VARIABLE, &self.program);
        command.env(PACKAGES, &self.packages);
    }
}

/// Into a folder, and not a virtual environment: Debian has the module for those in a package of its own.
pub(crate) fn pip_install(python: impl AsRef<OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(python);
    command.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    command.args(["--upgrade", "--target"]).arg(folder);
    command
}

fn works(program: &Path) -> bool {
    let is_new = version(program)
        .and_then(|version| numbers(&version))
        .is_some_and(|version| version >= OLDEST);
    let mut pip = Command::new(program);
    let pip = pip.args(["-m", "pip", "--version"]);
    let pip = pip.stdin(Stdio::null()).stdout(Stdio::null());
    is_new && pip.status().is_ok_and(|status| status.success())
}

fn version(program: &Path) -> Option<String> {
    let mut command = Command::new(program);
    let output = command
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then_some(text)
}

/// `(3, 11)` of `Python 3.11.7`.
fn numbers(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().strip_prefix("Python ")?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{OLDEST, numbers};

    #[test]
    fn the_version_of_python_is_read() {
        assert_eq!(numbers("Python 3.11.7\n"), Some((3, 11)));
        assert!(numbers("Python 3.9.2").unwrap() < OLDEST);
        assert!(numbers("Python 3.10.0").unwrap() >= OLDEST);
        assert_eq!(numbers("Segmentation fault"), None);
    }
}
