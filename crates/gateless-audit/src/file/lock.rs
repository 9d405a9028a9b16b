//! One log, one process.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Found, Identity};

/// Held as long as it lives. The file stays behind: whoever deleted it could take away what another process has just locked.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    identity: Identity,
    _held: Held,
}

impl Lock {
    /// For the log at `path`.
    pub(super) fn take(path: &Path) -> io::Result<Self> {
        let mut name: OsString = path.as_os_str().to_owned();
        name.push(".lock");
        let lock = PathBuf::from(name);
        let (held, identity) = hold(&lock)?.ok_or_else(|| {
            let message = format!(
                "another process, or another sink of this one, writes to {} ({} is locked)",
                path.display(),
                lock.display()
            );
            io::Error::new(io::ErrorKind::ResourceBusy, message)
        })?;
        Ok(Self {
            path: lock,
            identity,
            _held: held,
        })
    }

    /// Whether it is still the lock that another process would find.
    pub(super) fn is_in_place(&self) -> bool {
        self.identity.look(&self.path) != Found::Gone
    }
}

#[cfg(unix)]
type Held = nix::fcntl::Flock<File>;

#[cfg(unix)]
fn hold(path: &Path) -> io::Result<Option<(Held, Identity)>> {
    use std::os::unix::fs::OpenOptionsExt as _;

    use nix::errno::Errno;
    use nix::fcntl::{Flock, FlockArg, OFlag};

    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.custom_flags(OFlag::O_NOFOLLOW.bits()).open(path)?;
    let identity = Identity::of(&file.metadata()?);
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(held) => Ok(Some((held, identity))),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno.into()),
    }
}

#[cfg(windows)]
type Held = File;

#[cfg(windows)]
fn hold(path: &Path) -> io::Result<Option<(Held, Identity)>> {
    use std::os::windows::fs::OpenOptionsExt as _;

    const SHARING_VIOLATION: i32 = 32;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    match options.share_mode(0).open(path) {
        Ok(file) => {
            let identity = Identity::of(&file.metadata()?);
            Ok(Some((file, identity)))
        }
        Err(error) if error.raw_os_error() == Some(SHARING_VIOLATION) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(not(any(unix, windows)))]
type Held = File;

/// There is no lock on such systems.
#[cfg(not(any(unix, windows)))]
fn hold(path: &Path) -> io::Result<Option<(Held, Identity)>> {
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    let identity = Identity::of(&file.metadata()?);
    Ok(Some((file, identity)))
}
