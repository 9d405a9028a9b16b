//! `cargo xtask soak [MINUTES]`: a small fleet under load for minutes, while what it depends on breaks down.

use std::process::Command;

use crate::cargo::{Workspace, cargo};
use crate::redis::Redis;
use crate::step::{Failure, run, step};

/// Long enough for each accident to happen, and for memory to show where it goes.
pub(crate) const MINUTES: u32 = 10;

pub(crate) fn soak(workspace: &Workspace, minutes: u32, seed: Option<u64>) -> Result<(), Failure> {
    let redis = Redis::find()?;
    step("build", || {
        run(&mut cargo([
            "build",
            "--release",
            "--workspace",
            "--all-features",
            "--bin=orders",
            "--example=soak",
        ]))
    })?;
    step("soak", || {
        let built = workspace.target.join("release");
        let mut command = Command::new(built.join("examples").join("soak"));
        command.arg(built.join("orders")).arg(minutes.to_string());
        command.args(seed.map(|seed| seed.to_string()));
        redis.provide_to(&mut command);
        run(&mut command)
    })
}
