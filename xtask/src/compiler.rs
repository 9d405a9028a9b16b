//! A C compiler: aws-lc-rs is made of C and assembly.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::process::{Command, Stdio};

use crate::cargo::Workspace;
use crate::step::{Failure, step};

const ADVICE: &str = "\
no C compiler: aws-lc-rs, the default signature backend, is built with one. Install it:
  Debian, Ubuntu:  apt-get install build-essential
  Fedora:          dnf install gcc glibc-devel
  Alpine:          apk add build-base
  macOS:           xcode-select --install
or name one in the environment variable CC";

pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    if cfg!(all(windows, target_env = "msvc")) {
        // The build tools that Rust links with bring the compiler along, off the PATH: aws-lc-sys looks for it.
        return Ok(());
    }
    step("C compiler", || {
        let dir = workspace.target.join("tools");
        let source = dir.join("probe.c");
        // A compiler without the headers of the C library is of no use either.
        fs::create_dir_all(&dir)
            .and_then(|()| fs::write(&source, "#include <stdlib.h>\nint probe;\n"))
            .map_err(|error| Failure::new(format!("{}: {error}", source.display())))?;
        let compiler = env::var_os("CC").unwrap_or_else(|| OsString::from("cc"));
        let compiles = Command::new(&compiler)
            .arg("-fsyntax-only")
            .arg(&source)
            .stdin(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if compiles {
            Ok(())
        } else {
            Err(Failure::new(ADVICE))
        }
    })
}
