//! Tests that print everything into a file, and to the console what one wants to read there.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::step::Failure;

/// A file with all that was printed.
#[derive(Debug)]
pub(crate) struct Tee {
    path: PathBuf,
    file: Arc<Mutex<File>>,
}

impl Tee {
    /// An empty one.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let file = File::create(path)
            .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        Ok(Self {
            path: path.to_owned(),
            file: Arc::new(Mutex::new(file)),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs tests with `--show-output`. What those print that pass is in the file only.
    pub(crate) fn run(&self, command: &mut Command) -> Result<(), Failure> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                return Err(Failure::new(format!("cannot be started: {error}")).again(command));
            }
        };
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let copied = thread::scope(|scope| {
            let errors = scope
                .spawn(|| stderr.map_or(Ok(()), |from| self.copy(from, io::stderr(), |_| true)));
            let mut shown = Shown::default();
            let out = stdout.map_or(Ok(()), |from| {
                self.copy(from, io::stdout(), |line| shown.is_shown(line))
            });
            out.and(
                errors
                    .join()
                    .unwrap_or_else(|_| Err(io::Error::other("a panic"))),
            )
        });
        let status = child.wait();
        if let Err(error) = copied {
            let says = format!("its output cannot be kept: {error}");
            return Err(Failure::new(says).again(command));
        }
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failure::new(status.to_string()).again(command)),
            Err(error) => Err(Failure::new(error.to_string()).again(command)),
        }
    }

    /// Line by line, so that the two outputs do not cut each other's lines in the file.
    fn copy(
        &self,
        from: impl Read,
        mut to: impl Write,
        mut is_shown: impl FnMut(&[u8]) -> bool,
    ) -> io::Result<()> {
        let (mut from, mut line) = (BufReader::new(from), Vec::new());
        while from.read_until(b'\n', &mut line)? > 0 {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.write_all(&line)?;
            drop(file);
            if is_shown(&line) {
                // A console that is gone is no reason to stop.
                let _ = to.write_all(&line).and_then(|()| to.flush());
            }
            line.clear();
        }
        Ok(())
    }
}

/// Leaves out what `--show-output` adds: a list of what tests have printed that pass.
#[derive(Debug, Default)]
struct Shown {
    is_in_list: bool,
}

impl Shown {
    fn is_shown(&mut self, line: &[u8]) -> bool {
        let text = line.trim_ascii_end();
        if text == b"successes:" {
            self.is_in_list = true;
        } else if text == b"failures:" || text.starts_with(b"test result: ") {
            self.is_in_list = false;
        }
        !self.is_in_list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "\
running 2 tests
test one ... ok
test two ... FAILED

successes:

---- one stdout ----
token

successes:
    one

failures:

---- two stdout ----
why

failures:
    two

test result: FAILED. 1 passed
running 1 test
";

    #[test]
    fn what_a_test_prints_that_passes_is_kept_and_not_shown() {
        let path = std::env::temp_dir().join(format!("xtask-tee-{}", std::process::id()));
        let tee = Tee::create(&path).unwrap();
        let (mut shown, mut console) = (Shown::default(), Vec::new());
        tee.copy(PRINTED.as_bytes(), &mut console, |line| {
            shown.is_shown(line)
        })
        .unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), PRINTED);
        let console = String::from_utf8(console).unwrap();
        assert!(!console.contains("token") && !console.contains("successes"));
        for kept in ["test one ... ok", "why", "test result", "running 1 test"] {
            assert!(console.contains(kept), "{kept}");
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_run_that_fails_says_how_to_repeat_it() {
        let path = std::env::temp_dir().join(format!("xtask-run-{}", std::process::id()));
        let tee = Tee::create(&path).unwrap();
        assert!(tee.run(Command::new("cargo").arg("--version")).is_ok());
        let printed = std::fs::read_to_string(&path).unwrap();
        assert!(printed.starts_with("cargo "), "{printed}");
        let failure = tee.run(Command::new("cargo").arg("no-such-command"));
        let failure = failure.unwrap_err().to_string();
        assert!(failure.ends_with("cargo no-such-command"), "{failure}");
        let failure = tee.run(&mut Command::new("/nonexistent/tool"));
        let failure = failure.unwrap_err().to_string();
        assert!(failure.contains("cannot be started"), "{failure}");
        std::fs::remove_file(path).unwrap();
    }
}
