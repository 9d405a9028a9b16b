//! `cargo xtask ci` after the tests: format, lints, docs, each feature alone, and what a request costs.

use crate::cargo::{Workspace, cargo};
use crate::instructions;
use crate::msrv;
use crate::step::{Failure, run, step};

pub(crate) fn lint(workspace: &Workspace) -> Result<(), Failure> {
    msrv::check(workspace)?;
    step("format", || run(&mut cargo(["fmt", "--all", "--check"])))?;
    step("clippy", || {
        run(&mut cargo([
            "clippy",
            "--workspace",
            "--all-features",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))
    })?;
    step("docs", || {
        let mut command = cargo(["doc", "--workspace", "--all-features", "--no-deps"]);
        run(command.env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    step("docs with default features", || {
        let mut command = cargo(["doc", "-p", "gateless", "--no-deps"]);
        run(command.env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    each_feature_alone(workspace)?;
    instructions::check(workspace)
}

/// A feature that only builds next to another one is a trap. Warnings are denied behind `--`, where they concern our
/// crates alone: in `RUSTFLAGS` they would have every dependency built anew.
fn each_feature_alone(workspace: &Workspace) -> Result<(), Failure> {
    for package in workspace
        .packages
        .iter()
        .filter(|package| package.is_published)
    {
        let none = [String::new()];
        for feature in none.iter().chain(&package.features) {
            let name = match feature.as_str() {
                "" => format!("{} without features", package.name),
                feature => format!("{} with {feature} alone", package.name),
            };
            step(&name, || {
                let mut command = cargo(["clippy", "-p", &package.name, "--no-default-features"]);
                if !feature.is_empty() {
                    command.args(["--features", feature]);
                }
                run(command.args(["--", "-D", "warnings"]))
            })?;
        }
    }
    Ok(())
}
