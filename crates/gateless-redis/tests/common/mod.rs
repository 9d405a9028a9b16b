//! A real `redis-server` for a test: on a free port, with a directory of its own, gone with the value.
//!
//! Plain std, so that other test packages can include this file with `#[path]`.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses a part of it"
)]

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long anything is waited for, on a machine that is busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A server process.
#[derive(Debug)]
pub struct Server {
    child: Option<Child>,
    port: u16,
    dir: PathBuf,
    args: Vec<String>,
    /// Of clients that [`ask`](Self::ask), where the server wants one.
    pub password: Option<String>,
    has_tls: bool,
}

impl Server {
    /// One that keeps nothing beyond its life.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// One with further arguments.
    pub fn with(args: &[&str]) -> Self {
        let mut last = String::new();
        // Somebody else may take the port in between.
        for _ in 0..5 {
            let port = free_port();
            let dir = temp_dir();
            let mut server = Self {
                child: None,
                port,
                args: args
                    .iter()
                    .map(|arg| arg.replace("{dir}", &dir.display().to_string()))
                    .map(|arg| arg.replace("{port}", &port.to_string()))
                    .collect(),
                dir,
                password: None,
                has_tls: args.contains(&"--tls-port"),
            };
            match server.try_restart() {
                Ok(()) => return server,
                Err(error) => last = error,
            }
        }
        panic!("redis-server does not start: {last}");
    }

    /// A Sentinel that watches over `master`.
    pub fn sentinel(name: &str, master: u16) -> Self {
        let dir = temp_dir();
        let port = free_port();
        let lines = [
            format!("port {port}"),
            "bind 127.0.0.1".to_owned(),
            format!("sentinel monitor {name} 127.0.0.1 {master} 1"),
            format!("sentinel down-after-milliseconds {name} 500"),
            format!("sentinel failover-timeout {name} 3000"),
        ];
        let config = dir.join("sentinel.conf");
        fs::write(&config, lines.join("\n")).expect("the file is written");
        let mut server = Self {
            child: None,
            port,
            args: vec![config.display().to_string(), "--sentinel".to_owned()],
            dir,
            password: None,
            has_tls: false,
        };
        server.restart();
        server
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it again, after [`kill`](Self::kill).
    pub fn restart(&mut self) {
        let begin = Instant::now();
        loop {
            match self.try_restart() {
                Ok(()) => return,
                // The port may be somebody's outgoing one for a moment.
                Err(_) if begin.elapsed() < PATIENCE => sleep(Duration::from_millis(50)),
                Err(error) => panic!("redis-server does not start again: {error}"),
            }
        }
    }

    fn try_restart(&mut self) -> Result<(), String> {
        let log = self.dir.join("log");
        let mut command = Command::new(program());
        command.current_dir(&self.dir);
        if self.args.iter().any(|arg| arg == "--sentinel") {
            command.args(&self.args);
        } else {
            let port = if self.has_tls { 0 } else { self.port };
            command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
            command.args(["--save", ""]).arg("--dir").arg(&self.dir);
            command.args(&self.args);
        }
        let output = fs::File::create(&log).map_err(|error| error.to_string())?;
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let mut child = command.stdout(output).spawn().unwrap_or_else(|error| {
            panic!(
                "{}: {error}: `cargo xtask test` finds or installs a redis-server",
                program().display()
            )
        });
        let begin = Instant::now();
        loop {
            if let Ok(Some(_)) = child.try_wait() {
                return Err(fs::read_to_string(&log).unwrap_or_default());
            }
            let is_up = if self.has_tls {
                TcpStream::connect(("127.0.0.1", self.port)).is_ok()
            } else {
                // Any answer that is not about loading, also that a password is missing.
                self.try_ask(&["PING"])
                    .is_some_and(|answer| !answer.contains("LOADING"))
            };
            if is_up {
                self.child = Some(child);
                return Ok(());
            }
            if begin.elapsed() > PATIENCE {
                let _ = child.kill();
                let _ = child.wait();
                return Err("no answer".to_owned());
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops it from doing anything, with its connections open; `CONT` lets it go on.
    pub fn signal(&self, name: &str) {
        let id = self.child.as_ref().expect("it runs").id();
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(id.to_string())
            .status();
        assert!(status.is_ok_and(|status| status.success()), "kill -{name}");
    }

    /// What the server answers, as it is on the wire.
    pub fn ask(&self, words: &[&str]) -> String {
        self.try_ask(words).expect("the server answers")
    }

    fn try_ask(&self, words: &[&str]) -> Option<String> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let mut stream = BufReader::new(stream);
        if let Some(password) = &self.password {
            send(&mut stream, &["AUTH", password])?;
        }
        send(&mut stream, words)
    }
}

fn send(stream: &mut BufReader<TcpStream>, words: &[&str]) -> Option<String> {
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request += &format!("${}\r\n{word}\r\n", word.len());
    }
    stream.get_mut().write_all(request.as_bytes()).ok()?;
    let mut text = String::new();
    answer(stream, &mut text)?;
    Some(text)
}

/// One answer, flattened: its values with a line break behind each.
fn answer(stream: &mut BufReader<TcpStream>, text: &mut String) -> Option<()> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).ok()?;
    let line = String::from_utf8_lossy(&line).trim_end().to_owned();
    match line.split_at_checked(1)? {
        ("$", length) => {
            if let Ok(length) = length.parse::<usize>() {
                let mut bytes = vec![0; length + 2];
                stream.read_exact(&mut bytes).ok()?;
                *text += &String::from_utf8_lossy(&bytes[..length]);
            }
            text.push('\n');
        }
        ("*", length) => {
            for _ in 0..length.parse::<i64>().ok()?.max(0) {
                answer(stream, text)?;
            }
        }
        ("+" | ":", value) => {
            *text += value;
            text.push('\n');
        }
        _ => {
            *text += &line;
            text.push('\n');
        }
    }
    Some(())
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// What `cargo xtask test` found, or the one on the `PATH`.
pub fn program() -> PathBuf {
    env::var_os("GATELESS_REDIS_SERVER")
        .unwrap_or_else(|| OsString::from("redis-server"))
        .into()
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it has an address").port()
}

/// A directory that nobody else has.
pub fn temp_dir() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("gateless-redis-{}-{number}", std::process::id());
    let dir = env::temp_dir().join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("a directory is made");
    dir
}

/// Waits until `condition` holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < PATIENCE, "not in time: {what}");
        sleep(Duration::from_millis(10));
    }
}
