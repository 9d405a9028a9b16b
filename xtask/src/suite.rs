//! `cargo xtask test`: every test there is. Nothing is skipped; what is missing is fetched, or named.

use std::fs;
use std::io;
use std::path::Path;

use crate::arrows;
use crate::canary;
use crate::cargo::{Workspace, cargo};
use crate::compiler;
use crate::node::Node;
use crate::python::Python;
use crate::redis::Redis;
use crate::step::{Failure, run, step};
use crate::tee::Tee;

pub(crate) fn test(workspace: &Workspace) -> Result<(), Failure> {
    compiler::check(workspace)?;
    let node = Node::find(workspace)?;
    node.packages(workspace)?;
    let python = Python::find(workspace)?;
    python.packages(workspace)?;
    let redis = Redis::find()?;
    arrows::check()?;
    // With the binaries that the tests start, and the same features, so that `cargo test` finds all of it built.
    step("build", || {
        run(&mut cargo([
            "build",
            "--workspace",
            "--all-features",
            "--bins",
            "--examples",
            "--tests",
        ]))
    })?;
    // `CARGO_TARGET_TMPDIR` of the tests.
    let audit = workspace.target.join("tmp").join("audit");
    clear(&audit)?;
    let output = Tee::create(&workspace.target.join("test-output.log"))?;
    step("tests with the backend in pure Rust alone", || {
        output.run(&mut cargo([
            "test",
            "-p",
            "gateless-jwt",
            "--no-default-features",
            "--features",
            "rust_crypto",
            "--",
            "--show-output",
        ]))
    })?;
    step("tests", || {
        let mut command = cargo(["test", "--workspace", "--all-features"]);
        command.args(["--", "--show-output"]);
        node.provide_to(&mut command);
        python.provide_to(&mut command);
        redis.provide_to(&mut command);
        output.run(&mut command)
    })?;
    step("no token in the output and the audit files", || {
        canary::search(&[output.path().to_owned(), audit])
    })
}

/// What an earlier run left would be looked through, too.
fn clear(folder: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let says = format!("{} cannot be cleared: {error}", folder.display());
            Err(Failure::new(says))
        }
        _ => Ok(()),
    }
}
