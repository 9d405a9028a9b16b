//! What this service proves itself with at the authorization server, and where it comes from.

use std::env;
use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateless_core::Monotonic;
use zeroize::Zeroizing;

/// The longest secret, in bytes: a private key in PEM is far shorter.
const MAX_LEN: usize = 64 * 1024;

/// How long what was read is used before its source is asked again.
const KEPT: Duration = Duration::from_secs(1);

/// How long a call waits for a file. Beyond that what was read last goes on.
const PATIENCE: Duration = Duration::from_millis(250);

/// A secret, or where it comes from. It never prints.
///
/// Files and callbacks are asked again while serving, at most once a second, and at once when the authorization server
/// does not accept what is held: a secret can be rotated without a restart. While a source cannot be read, the secret
/// that was read last goes on.
///
/// ```
/// use gateless::introspection::Secret;
///
/// let mounted = Secret::file("/run/secrets/introspection");
/// let in_the_environment = Secret::env("CLIENT_SECRET");
/// # drop((mounted, in_the_environment));
/// assert_eq!(format!("{:?}", Secret::new("hush")), "Secret([redacted])");
/// ```
#[derive(Clone)]
pub struct Secret(Source);

#[derive(Clone)]
enum Source {
    Text(SecretText),
    File(PathBuf),
    Env(Box<str>),
    Callback(Callback),
}

type Callback = Arc<dyn Fn() -> Result<String, Box<dyn Error + Send + Sync>> + Send + Sync>;

/// A secret as it was read. Shared, and zeroized when nobody needs it any more.
pub(super) type SecretText = Arc<Zeroizing<String>>;

impl Secret {
    /// This text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Source::Text(Arc::new(Zeroizing::new(text.into()))))
    }

    /// The content of a file, without the line break at its end. It has to be readable when the layer is built.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    /// An environment variable. It has to be set when the layer is built.
    #[must_use]
    pub fn env(name: impl Into<Box<str>>) -> Self {
        Self(Source::Env(name.into()))
    }

    /// What this function returns. It is called on the runtime and must not block: hand out what a task of yours keeps
    /// fresh. That it failed is logged, and nothing of what its error says.
    #[must_use]
    pub fn callback<E: Into<Box<dyn Error + Send + Sync>>>(
        secret: impl Fn() -> Result<String, E> + Send + Sync + 'static,
    ) -> Self {
        Self(Source::Callback(Arc::new(move || {
            secret().map_err(Into::into)
        })))
    }

    /// Reads it once, for the check of the settings.
    pub(super) fn read(&self) -> Result<SecretText, SecretError> {
        match &self.0 {
            Source::Text(text) => checked(Zeroizing::clone(text)),
            Source::File(path) => read_file(path),
            Source::Env(name) => match env::var(&**name) {
                Ok(text) => checked(Zeroizing::new(text)),
                Err(env::VarError::NotPresent) => Err(SecretError::NotSet(name.clone())),
                Err(env::VarError::NotUnicode(_)) => Err(SecretError::NotText),
            },
            Source::Callback(callback) => match callback() {
                Ok(text) => checked(Zeroizing::new(text)),
                Err(_) => Err(SecretError::Callback),
            },
        }
    }
}

fn read_file(path: &Path) -> Result<SecretText, SecretError> {
    let unreadable = |error: std::io::Error| SecretError::Unreadable(error.kind());
    // What it says about its length may be wrong: it may be no file at all.
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Zeroizing::new(Vec::new());
    let mut file = file.take(MAX_LEN as u64 + 1);
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    let text = str::from_utf8(&bytes).map_err(|_| SecretError::NotText)?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    checked(Zeroizing::new(text.to_owned()))
}

fn checked(text: Zeroizing<String>) -> Result<SecretText, SecretError> {
    if text.trim().is_empty() {
        Err(SecretError::Empty)
    } else if text.len() > MAX_LEN {
        Err(SecretError::TooLong)
    } else {
        Ok(Arc::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Text(_) => f.write_str("Secret([redacted])"),
            Source::File(path) => write!(f, "Secret(file {})", path.display()),
            Source::Env(name) => write!(f, "Secret(variable {name})"),
            Source::Callback(_) => f.write_str("Secret(callback)"),
        }
    }
}

/// Why a secret cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SecretError {
    Empty,
    TooLong,
    NotText,
    NotSet(Box<str>),
    Unreadable(std::io::ErrorKind),
    Callback,
    Slow,
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::TooLong => write!(f, "is longer than {MAX_LEN} bytes"),
            Self::NotText => f.write_str("is not UTF-8 text"),
            Self::NotSet(name) => write!(f, "variable {name} is not set"),
            Self::Unreadable(kind) => write!(f, "cannot be read: {kind}"),
            Self::Slow => f.write_str("takes too long to read"),
            Self::Callback => f.write_str("cannot be had: its callback failed"),
        }
    }
}

/// A secret while serving: read again now and then.
#[derive(Debug)]
pub(super) struct HeldSecret {
    held: Arc<Mutex<Held>>,
    source: Secret,
    /// One at a time reads it again after it was refused.
    refused: tokio::sync::Mutex<()>,
}

struct Held {
    text: SecretText,
    /// When it was read last, or somebody began to.
    read_at: Option<Monotonic>,
    /// A source that hangs is not asked twice.
    is_read: bool,
}

impl HeldSecret {
    pub(super) fn new(source: Secret, text: SecretText) -> Self {
        let held = Held {
            text,
            read_at: None,
            is_read: false,
        };
        Self {
            held: Arc::new(Mutex::new(held)),
            source,
            refused: tokio::sync::Mutex::default(),
        }
    }

    /// The secret as it is now. With `refused`, one that was not accepted, its source is asked whatever the time.
    pub(super) async fn get(&self, now: Monotonic, refused: Option<&SecretText>) -> SecretText {
        let Some(refused) = refused else {
            let is_due = |read| now.since(read) >= KEPT;
            if lock(&self.held).read_at.is_none_or(is_due) {
                self.read_again(now).await;
            }
            return self.text();
        };
        let _one_at_a_time = self.refused.lock().await;
        if Arc::ptr_eq(refused, &self.text()) {
            self.read_again(now).await;
        }
        self.text()
    }

    /// Asks the source, unless somebody does already.
    async fn read_again(&self, now: Monotonic) {
        {
            let mut held = lock(&self.held);
            if held.is_read {
                return;
            }
            // Nothing but a file can hang.
            held.is_read = matches!(self.source.0, Source::File(_));
            held.read_at = Some(now);
        }
        let (held, source) = (Arc::clone(&self.held), self.source.clone());
        let reading = Reading(held);
        let read = move || reading.end(source.read());
        let read = if matches!(self.source.0, Source::File(_)) {
            // It goes on when nobody waits any more, and is there for the next call.
            let reading = tokio::task::spawn_blocking(read);
            let read = tokio::time::timeout(PATIENCE, reading).await;
            read.map_or(Err(SecretError::Slow), |read| read.unwrap_or(Ok(())))
        } else {
            read()
        };
        if let Err(error) = read {
            tracing::warn!(
                name: "gateless.introspection.secret",
                %error,
                "the secret cannot be read again; the one read last goes on"
            );
        }
    }

    fn text(&self) -> SecretText {
        Arc::clone(&lock(&self.held).text)
    }
}

/// A source that is asked. Whatever becomes of that, also when it never begins, it may be asked again.
struct Reading(Arc<Mutex<Held>>);

impl Reading {
    fn end(self, read: Result<SecretText, SecretError>) -> Result<(), SecretError> {
        let text = read?;
        let mut held = lock(&self.0);
        // The same text stays the same value: whoever compares sees that nothing changed.
        if **text != **held.text {
            held.text = text;
        }
        Ok(())
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        lock(&self.0).is_read = false;
    }
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use rstest::rstest;

    use super::*;

    /// A file that is gone with the test.
    struct Mounted(PathBuf);

    impl Mounted {
        fn new(name: &str, content: &[u8]) -> Self {
            let name = format!("gateless-{name}-{}", std::process::id());
            let mounted = Self(env::temp_dir().join(name));
            mounted.write(content);
            mounted
        }

        fn write(&self, content: &[u8]) {
            std::fs::write(&self.0, content).unwrap();
        }
    }

    impl Drop for Mounted {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    const fn at(millis: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_millis(millis))
    }

    fn held(source: Secret) -> HeldSecret {
        let text = source.read().unwrap();
        HeldSecret::new(source, text)
    }

    #[rstest]
    #[case(b"hush", Ok("hush"))]
    #[case(b"hush\n", Ok("hush"))]
    #[case(b"hush\r\n", Ok("hush"))]
    #[case(b" hush \n\n", Ok(" hush \n"))]
    #[case(b"", Err(SecretError::Empty))]
    #[case(b" \n", Err(SecretError::Empty))]
    #[case(b"\xff", Err(SecretError::NotText))]
    fn a_file_is_read_without_the_line_break_at_its_end(
        #[case] content: &[u8],
        #[case] expected: Result<&str, SecretError>,
    ) {
        let file = Mounted::new(&format!("content-{}", content.len()), content);
        let read = Secret::file(&file.0).read();
        assert_eq!(
            read.as_ref()
                .map(|text| text.as_str())
                .map_err(Clone::clone),
            expected
        );
    }

    #[test]
    fn a_file_that_is_too_long_or_not_there_is_no_secret() {
        let file = Mounted::new("long", &vec![b'a'; 64 * 1024 + 1]);
        let read = |path: &Path| Secret::file(path).read().unwrap_err();
        assert_eq!(read(&file.0), SecretError::TooLong);
        let missing = SecretError::Unreadable(std::io::ErrorKind::NotFound);
        assert_eq!(read(Path::new("/nowhere/secret")), missing);
        let unset = Secret::env("GATELESS_TEST_NOT_SET").read();
        assert_eq!(
            unset.unwrap_err().to_string(),
            "variable GATELESS_TEST_NOT_SET is not set"
        );
    }

    #[tokio::test]
    async fn a_file_is_read_again_once_a_second_or_when_its_secret_is_refused() {
        let file = Mounted::new("rotated", b"first");
        let secret = held(Secret::file(&file.0));
        let first = secret.get(at(0), None).await;
        file.write(b"second");
        let soon = secret.get(at(999), None).await;
        assert!(Arc::ptr_eq(&first, &soon), "read again before its time");
        let refused = secret.get(at(999), Some(&first)).await;
        assert_eq!(**refused, "second");
        file.write(b"third");
        assert_eq!(**secret.get(at(1_999), None).await, "third");
        // The same content is the same secret: there is nothing new to try.
        let third = secret.get(at(2_000), None).await;
        let again = secret.get(at(2_000), Some(&third)).await;
        assert!(Arc::ptr_eq(&third, &again));
    }

    #[tokio::test]
    async fn while_a_source_fails_the_secret_read_last_goes_on() {
        let calls = AtomicU32::new(0);
        let secret = held(Secret::callback(move || {
            match calls.fetch_add(1, Ordering::Relaxed) {
                1 => Err("the vault is sealed"),
                call => Ok(format!("secret {call}")),
            }
        }));
        assert_eq!(**secret.get(at(0), None).await, "secret 0");
        assert_eq!(**secret.get(at(1_000), None).await, "secret 2");
    }

    #[test]
    fn tf_26_a_secret_does_not_print() {
        let secret = held(Secret::new("canary"));
        let callback = Secret::callback(|| Ok::<_, String>("canary".into()));
        let printed = format!("{secret:?} {callback:?} {:?}", Secret::env("NAME"));
        assert!(!printed.contains("canary"), "{printed}");
        assert!(printed.contains("NAME"), "{printed}");
    }
}
