//! What is asked of the disk, in one place: so that tests can let any of it fail.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// The disk, or one that fails when a test says so.
pub(super) trait Disk: Send + fmt::Debug {
    /// Makes a file that is not there yet.
    fn create(&mut self, path: &Path, mode: u32) -> io::Result<File>;
    /// Writes behind the end. After an error some of it may be there.
    fn append(&mut self, file: &mut File, bytes: &[u8]) -> io::Result<()>;
    /// Cuts the end off.
    fn set_len(&mut self, file: &File, len: u64) -> io::Result<()>;
    fn sync(&mut self, file: &File) -> io::Result<()>;
    /// Makes sure of the names in a folder.
    fn sync_folder(&mut self, folder: &Path) -> io::Result<()>;
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&mut self, path: &Path) -> io::Result<()>;
}

/// The disk of the machine.
#[derive(Debug)]
pub(super) struct RealDisk;

impl Disk for RealDisk {
    fn create(&mut self, path: &Path, mode: u32) -> io::Result<File> {
        let mut options = OpenOptions::new();
        // `create_new` follows no symbolic link.
        options.append(true).create_new(true);
        let file = with_mode(&mut options, mode).open(path)?;
        set_mode(&file, mode)?;
        Ok(file)
    }

    fn append(&mut self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn set_len(&mut self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }

    fn sync(&mut self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_folder(&mut self, folder: &Path) -> io::Result<()> {
        // Only unix opens a folder; elsewhere the file system looks after names itself.
        if cfg!(unix) {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

#[cfg(unix)]
fn with_mode(options: &mut OpenOptions, mode: u32) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(mode)
}

#[cfg(not(unix))]
fn with_mode(options: &mut OpenOptions, _: u32) -> &mut OpenOptions {
    options
}

/// What the umask took away of the mode comes back: a group that may read the log is allowed to by name.
#[cfg(unix)]
fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_mode(_: &File, _: u32) -> io::Result<()> {
    Ok(())
}

/// Which file it is that a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

impl Identity {
    #[cfg(unix)]
    pub(super) fn of(metadata: &fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self(metadata.dev(), metadata.ino())
    }

    /// Elsewhere all that is noticed is that there is none.
    #[cfg(not(unix))]
    pub(super) fn of(_: &fs::Metadata) -> Self {
        Self(0, 0)
    }

    /// Looks whether `path` still names this file.
    pub(super) fn look(self, path: &Path) -> Found {
        match fs::symlink_metadata(path) {
            // Elsewhere what a folder says of an open file can be old.
            Ok(metadata) if Self::of(&metadata) == self && cfg!(unix) => Found::Here {
                len: metadata.len(),
            },
            Ok(metadata) if Self::of(&metadata) == self => Found::Unclear,
            Ok(_) => Found::Gone,
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Found::Gone,
                _ => Found::Unclear,
            },
        }
    }
}

/// What became of a file at its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is there, and so long.
    Here { len: u64 },
    /// There is none, or another one.
    Gone,
    /// Not to be found out: taken for one that is there as it should be.
    Unclear,
}

/// The folder that a path is in.
pub(super) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Makes the folder of `path` if it is not there: for the owner alone.
pub(super) fn create_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(folder(path))
}
