//! Settings as a whole; each section has a table of its own below.

mod example;
mod laws;
mod layers;
mod sections;
mod stacks;

use gateless::ConfigError;

use crate::{Config, Settings};

/// What every configuration needs.
const BASE: &str = r#"
[token]
issuer = "https://idp.example.com"
audience = "https://orders.example.com"

[keys]
source = "discovery"
outage = "closed"
"#;

/// The base, with more behind it.
fn with(more: &str) -> Settings {
    Settings::new().toml("gateless.toml", format!("{BASE}\n{more}"))
}

/// Each fault as one text.
fn faults(settings: Settings) -> Vec<String> {
    let told = |error: ConfigError| {
        let faults = error.faults().iter();
        let faults = faults.map(|fault| format!("{} {}", fault.setting(), fault.problem()));
        faults.collect()
    };
    Config::read(settings).map_or_else(told, |_| Vec::new())
}
