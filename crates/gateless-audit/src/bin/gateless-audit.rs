//! Reads, searches and verifies the audit logs of gateless.

use std::process::ExitCode;

fn main() -> ExitCode {
    gateless_audit::cli::run()
}
