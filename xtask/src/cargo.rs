//! cargo, and what it knows of this workspace.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::step::{Failure, read};

/// The cargo that runs this program.
pub(crate) fn cargo<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    command
}

/// What `cargo metadata` says.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// A member of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    pub(crate) is_published: bool,
    pub(crate) rust_version: Option<String>,
    pub(crate) features: Vec<String>,
    /// The names of its benchmarks.
    pub(crate) benches: Vec<String>,
}

impl Workspace {
    pub(crate) fn load() -> Result<Self, Failure> {
        let mut command = cargo(["metadata", "--no-deps", "--format-version=1"]);
        let text = read(&mut command)?;
        serde_json::from_str(&text)
            .ok()
            .and_then(|metadata| Self::from_metadata(&metadata))
            .ok_or_else(|| Failure::new("cannot be understood").again(&command))
    }

    fn from_metadata(metadata: &Value) -> Option<Self> {
        let packages = metadata.get("packages")?.as_array()?;
        Some(Self {
            root: metadata.get("workspace_root")?.as_str()?.into(),
            target: metadata.get("target_directory")?.as_str()?.into(),
            packages: packages
                .iter()
                .map(Package::from_metadata)
                .collect::<Option<_>>()?,
        })
    }
}

impl Package {
    fn from_metadata(package: &Value) -> Option<Self> {
        let text = |name| package.get(name).and_then(Value::as_str);
        Some(Self {
            name: text("name")?.to_owned(),
            dir: Path::new(text("manifest_path")?).parent()?.to_owned(),
            // `null` is anywhere, and a list is of the registries that are allowed: empty for `publish = false`.
            is_published: package.get("publish")?.is_null(),
            rust_version: text("rust_version").map(str::to_owned),
            features: package
                .get("features")?
                .as_object()?
                .keys()
                .cloned()
                .collect(),
            benches: package
                .get("targets")?
                .as_array()?
                .iter()
                .filter(|target| is_bench(target))
                .filter_map(|target| Some(target.get("name")?.as_str()?.to_owned()))
                .collect(),
        })
    }
}

fn is_bench(target: &Value) -> bool {
    let kinds = target.get("kind").and_then(Value::as_array);
    kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind == "bench"))
}
