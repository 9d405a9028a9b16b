//! Programs that are started, watched, and ended.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;

/// Ticks of `/proc` in a second, which Linux promises to programs.
const TICKS: u64 = 100;

/// How long one may take until it is there.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program that is ended with this.
pub(crate) struct Process(Child);

impl Process {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).spawn();
        let child = child.map_err(|error| format!("{program} cannot be started: {error}"))?;
        Ok(Self(child))
    }

    /// Waits for the line that says where it listens.
    pub(crate) fn announced(&mut self) -> Result<SocketAddr> {
        let out = self.0.stdout.take().ok_or("its output is not read")?;
        let mut line = String::new();
        let mut out = BufReader::new(out);
        out.read_line(&mut line)?;
        // What it says later has to go somewhere.
        thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        let address = line.trim().strip_prefix("listening on ");
        let address = address.ok_or_else(|| format!("it says {line:?}"))?;
        Ok(address.parse()?)
    }

    /// Waits until somebody accepts connections there.
    pub(crate) fn accepts(&mut self, address: SocketAddr) -> Result<()> {
        let begin = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.0.try_wait()? {
                return Err(format!("it ended with {status}").into());
            }
            if begin.elapsed() > PATIENCE {
                return Err("nobody is there".into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// CPU time that it has taken so far, in user space and in the kernel.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let path = format!("/proc/{}/stat", self.0.id());
        let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let ticks = ticks(&text).ok_or_else(|| format!("{path} makes no sense"))?;
        Ok(Duration::from_millis(ticks * 1_000 / TICKS))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A signal that it could answer would leave it time to write; nobody reads that.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `utime` and `stime` together. The name of the program comes before them, and may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::ticks;

    #[test]
    fn time_is_that_of_user_space_and_kernel() {
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194304 100 0 0 0 700 50 0 0 20 0 3 0 100 1 1";
        assert_eq!(ticks(stat), Some(750));
        assert_eq!(ticks("42"), None);
    }
}
