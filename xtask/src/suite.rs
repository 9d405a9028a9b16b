//! `cargo xtask test`: every test there is. Nothing is skipped; what is missing is fetched, or named.

use crate::arrows;
use crate::cargo::{Workspace, cargo};
use crate::compiler;
use crate::node::Node;
use crate::redis::Redis;
use crate::step::{Failure, run, step};

pub(crate) fn test(workspace: &Workspace) -> Result<(), Failure> {
    compiler::check(workspace)?;
    let node = Node::find(workspace)?;
    node.packages(workspace)?;
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
    step("tests with the backend in pure Rust alone", || {
        run(&mut cargo([
            "test",
            "-p",
            "gateless-jwt",
            "--no-default-features",
            "--features",
            "rust_crypto",
        ]))
    })?;
    step("tests", || {
        let mut command = cargo(["test", "--workspace", "--all-features"]);
        node.provide_to(&mut command);
        redis.provide_to(&mut command);
        run(&mut command)
    })
}
