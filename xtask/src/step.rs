//! One step after the other, each with its duration; the first that fails ends it all and says how to repeat it.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Why a step failed, and what to type to see it again.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    again: Option<String>,
}

impl Failure {
    /// A failure whose text already says what to do.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            again: None,
        }
    }

    /// Names the command that shows the same failure.
    pub(crate) fn again(mut self, command: &Command) -> Self {
        self.again = Some(shell_line(command));
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FAILED: {}", self.what)?;
        match &self.again {
            Some(command) => write!(f, "\nrun it again with:\n  {command}"),
            None => Ok(()),
        }
    }
}

/// Announces `name`, does it, and says how long it took.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    eprintln!("==> {name}");
    let begin = Instant::now();
    let result = work().map_err(|failure| Failure {
        what: format!("{name}: {}", failure.what),
        ..failure
    });
    let verdict = if result.is_ok() { "ok" } else { "failed" };
    eprintln!("    {name}: {verdict} after {}", seconds(begin));
    result
}

/// The time since `begin`, for people.
pub(crate) fn seconds(begin: Instant) -> String {
    format!("{:.1} s", begin.elapsed().as_secs_f64())
}

/// Runs a command that talks to the terminal itself.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(status.to_string()).again(command)),
        Err(error) => Err(Failure::new(format!("cannot be started: {error}")).again(command)),
    }
}

/// Runs a command for what it prints on standard output.
pub(crate) fn read(command: &mut Command) -> Result<String, Failure> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    match output {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout)
            .map_err(|_| Failure::new("prints something that is not UTF-8").again(command)),
        Ok(output) => Err(Failure::new(output.status.to_string()).again(command)),
        Err(error) => Err(Failure::new(format!("cannot be started: {error}")).again(command)),
    }
}

/// The command as one would type it in the root of the workspace.
fn shell_line(command: &Command) -> String {
    let mut words = Vec::new();
    if let Some(dir) = command.get_current_dir() {
        words.push(format!("cd {} &&", dir.display()));
    }
    for (name, value) in command.get_envs() {
        let (name, value) = (
            name.to_string_lossy(),
            value.unwrap_or_default().to_string_lossy(),
        );
        if name == "PATH" {
            let first = value.split(':').next().unwrap_or_default();
            words.push(format!("PATH=\"{first}:$PATH\""));
        } else {
            words.push(format!("{name}={}", quoted(&value)));
        }
    }
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(command.get_program());
    words.push(program.to_string_lossy().into_owned());
    words.extend(command.get_args().map(|arg| quoted(&arg.to_string_lossy())));
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+,./:@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_is_named_so_that_it_can_be_pasted() {
        let mut command = Command::new("/usr/bin/false");
        command
            .args(["doc", "a b", "it's", "*"])
            .env("FLAGS", "-D warnings")
            .env("PATH", "/tools:/bin");
        let failure = run(&mut command).unwrap_err().to_string();
        assert!(
            failure.ends_with(
                r#"FLAGS='-D warnings' PATH="/tools:$PATH" false doc 'a b' 'it'\''s' '*'"#
            ),
            "{failure}"
        );
    }

    #[test]
    fn a_command_that_does_not_exist_is_a_failure_of_its_step() {
        let failure = step("nothing", || run(&mut Command::new("/nonexistent/tool"))).unwrap_err();
        let failure = failure.to_string();
        assert!(
            failure.starts_with("FAILED: nothing: cannot be started"),
            "{failure}"
        );
    }
}
