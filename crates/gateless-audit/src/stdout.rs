//! Records on the standard output.

use std::io::{self, Write};

use crate::batch::Batch;
use crate::sink::{AuditSink, Durability};

/// Writes records to the standard output, for platforms that collect it.
///
/// Each batch is written and flushed under one lock, so that no line of somebody else gets between. What reads the output may be
/// away (a closed pipe): that is an error, and the batch is written again. What was written of a batch cannot be taken back, so
/// the rest of it follows when it comes again; if it does not, its torn line is ended first.
///
/// Keep the rest of the program off the standard output, or let it write whole lines: records are told from other lines by
/// their form only.
///
/// ```
/// use gateless_audit::{AuditSink, Batch, Durability, StdoutSink};
///
/// let mut sink = StdoutSink::new();
/// assert_eq!((sink.name(), sink.durability()), ("stdout", Durability::Written));
/// sink.write(&Batch::new())?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct StdoutSink {
    torn: Option<Torn>,
}

impl StdoutSink {
    /// A new one.
    #[must_use]
    pub const fn new() -> Self {
        Self { torn: None }
    }
}

impl AuditSink for StdoutSink {
    fn name(&self) -> &'static str {
        "stdout"
    }

    /// With whoever reads it: [`Durability::Written`].
    fn durability(&self) -> Durability {
        Durability::Written
    }

    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        write(&mut io::stdout().lock(), &mut self.torn, batch)
    }
}

/// A batch that was written in part.
struct Torn {
    batch: Batch,
    written: usize,
}

impl std::fmt::Debug for Torn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Torn({} of {:?})", self.written, self.batch)
    }
}

fn write(out: &mut impl Write, torn: &mut Option<Torn>, batch: &Batch) -> io::Result<()> {
    if let Some(other) = torn.take_if(|torn| torn.batch != *batch) {
        let is_within = |end: &u8| *end != b'\n';
        let written = other.batch.as_bytes().get(..other.written);
        if written.and_then(<[u8]>::last).is_some_and(is_within) {
            out.write_all(b"\n").inspect_err(|_| *torn = Some(other))?;
        }
    }
    let mut written = torn.as_ref().map_or(0, |torn| torn.written);
    let outcome = finish(out, batch.as_bytes(), &mut written);
    *torn = match &outcome {
        Ok(()) => None,
        Err(_) => Some(Torn {
            batch: batch.clone(),
            written,
        }),
    };
    outcome
}

/// Writes from `written` on, and keeps count.
fn finish(out: &mut impl Write, bytes: &[u8], written: &mut usize) -> io::Result<()> {
    while let Some(rest) = bytes.get(*written..).filter(|rest| !rest.is_empty()) {
        match out.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => *written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes, three at a time.
    struct Pipe {
        out: Vec<u8>,
        room: usize,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let takes = bytes.len().min(self.room).min(3);
            if takes == 0 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.room -= takes;
            self.out.extend_from_slice(&bytes[..takes]);
            Ok(takes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn batch(lines: &[&str]) -> Batch {
        let mut batch = Batch::new();
        lines.iter().for_each(|line| batch.push(line));
        batch
    }

    #[test]
    fn tl_06_a_batch_goes_on_where_the_pipe_broke() {
        let (all, next) = (batch(&["first", "second"]), batch(&["third"]));
        for room in 0..all.as_bytes().len() {
            for comes_again in [true, false] {
                let out = Vec::new();
                let (mut pipe, mut torn) = (Pipe { out, room }, None);
                write(&mut pipe, &mut torn, &all).unwrap_err();
                write(&mut pipe, &mut torn, &next).unwrap_err();
                // That one was begun if there was nothing to end: it is the same for it.
                pipe.room = usize::MAX;
                if comes_again {
                    write(&mut pipe, &mut torn, &all).unwrap();
                }
                write(&mut pipe, &mut torn, &next).unwrap();
                let out = String::from_utf8(pipe.out).unwrap();
                let lines: Vec<_> = out.lines().collect();
                assert_eq!(lines.last(), Some(&"third"), "{out}");
                if comes_again {
                    assert!(lines.ends_with(&["second", "third"]), "{out}");
                }
                let is_whole = |line: &&str| all.lines().chain(next.lines()).any(|w| w == *line);
                let torn = lines.iter().filter(|line| !is_whole(line)).count();
                assert!(torn <= 1, "{out}");
            }
        }
    }

    #[test]
    fn tl_06_no_line_is_doubled_when_the_pipe_breaks_over_and_over() {
        let all = batch(&["first", "second", "third"]);
        let out = Vec::new();
        let (mut pipe, mut torn) = (Pipe { out, room: 0 }, None);
        let tries = (0..100).take_while(|_| {
            let is_broken = write(&mut pipe, &mut torn, &all).is_err();
            pipe.room = 4;
            is_broken
        });
        assert_eq!(tries.count(), 5);
        assert_eq!(pipe.out, all.as_bytes());
    }

    /// A real pipe that nobody reads any more.
    #[test]
    #[cfg(unix)]
    fn tl_06_a_closed_pipe_is_an_error() {
        use std::io::Read as _;
        use std::process::{Command, Stdio};

        const CHILD: &str = "GATELESS_TEST_CLOSED_PIPE";
        if let Some(path) = std::env::var_os(CHILD) {
            // Not before the other end is closed.
            let _ = io::stdin().read(&mut [0]);
            let outcome = StdoutSink::new().write(&batch(&["a record"]));
            std::fs::write(path, format!("{:?}", outcome.map_err(|e| e.kind()))).unwrap();
            return;
        }
        let boot = crate::boot::BootId::random();
        let path = std::env::temp_dir().join(format!("gateless-pipe-{boot}"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "--test-threads=2"])
            .arg("stdout::tests::tl_06_a_closed_pipe_is_an_error")
            .env(CHILD, &path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The test has begun when the harness has said so.
        let mut stdout = child.stdout.take().unwrap();
        let mut said = Vec::new();
        while !said.ends_with(b"running 1 test\n") {
            let mut byte = [0];
            stdout.read_exact(&mut byte).unwrap();
            said.extend(byte);
        }
        // With one test, the harness says its name when that is over.
        drop(stdout);
        drop(child.stdin.take());
        child.wait().unwrap();
        let says = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        assert_eq!(says, "Err(BrokenPipe)");
    }
}
