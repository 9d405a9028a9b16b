//! Who may depend on whom: what a user of one crate or feature must not have to compile.

use std::process::Command;

use crate::cargo::cargo;
use crate::step::{Failure, read, step};

/// One build, and what must not be in it.
struct Arrow {
    package: &'static str,
    /// Arguments that choose the features.
    features: &'static [&'static str],
    /// Crates of others that must not be there.
    without: &'static [&'static str],
    /// The only crates of ours that may be there.
    ours: &'static [&'static str],
}

const ARROWS: &[Arrow] = &[
    // The vocabulary knows no runtime and no framework; with `axum` it knows axum-core, which brings tower's traits.
    Arrow {
        package: "gateless-core",
        features: &[],
        without: &[
            "tokio",
            "tower",
            "tower-layer",
            "tower-service",
            "hyper",
            "axum-core",
        ],
        ours: &[],
    },
    Arrow {
        package: "gateless-core",
        features: &["--all-features"],
        without: &["tokio", "tower", "hyper", "axum"],
        ours: &[],
    },
    // JOSE without I/O. Each backend is alone unless the other is asked for, and one of them needs no C.
    Arrow {
        package: "gateless-jwt",
        features: &["--all-features"],
        without: &["tokio", "tower", "hyper", "reqwest", "rustls"],
        ours: &["gateless-core"],
    },
    Arrow {
        package: "gateless-jwt",
        features: &[],
        without: &["jsonwebtoken", "ring"],
        ours: &["gateless-core"],
    },
    Arrow {
        package: "gateless-jwt",
        features: &["--no-default-features", "--features=rust_crypto"],
        without: &["aws-lc-rs", "aws-lc-sys", "ring"],
        ours: &["gateless-core"],
    },
    // libFuzzer sees into all of it: no C, nothing that talks to anybody.
    Arrow {
        package: "gateless-fuzz",
        features: &["--all-features"],
        without: &[
            "aws-lc-rs",
            "aws-lc-sys",
            "ring",
            "reqwest",
            "hyper",
            "axum",
            "tonic",
        ],
        ours: &[
            "gateless",
            "gateless-audit",
            "gateless-core",
            "gateless-jwt",
        ],
    },
    Arrow {
        package: "gateless-testkit",
        features: &["--all-features"],
        without: &["axum", "tonic", "reqwest", "jsonwebtoken"],
        ours: &["gateless-core", "gateless-jwt"],
    },
    // A backend knows the vocabulary, and not the layers that use it.
    Arrow {
        package: "gateless-redis",
        features: &["--all-features"],
        without: &[
            "axum",
            "axum-core",
            "hyper",
            "jsonwebtoken",
            "native-tls",
            "ring",
            "tonic",
            "tower",
        ],
        ours: &["gateless-core"],
    },
    // The configuration knows the layers and the store; without its feature no store is compiled.
    Arrow {
        package: "gateless-config",
        features: &["--all-features"],
        without: &["axum", "tonic", "clap", "config", "figment"],
        ours: &[
            "gateless",
            "gateless-audit",
            "gateless-core",
            "gateless-jwt",
            "gateless-redis",
        ],
    },
    Arrow {
        package: "gateless-config",
        features: &["--no-default-features", "--features=aws_lc_rs"],
        without: &["axum", "redis", "tonic"],
        ours: &[
            "gateless",
            "gateless-audit",
            "gateless-core",
            "gateless-jwt",
        ],
    },
    // Who checks scopes and limits alone compiles no cryptography, no HTTP client and no store.
    Arrow {
        package: "gateless",
        features: &["--no-default-features", "--features=scope,limit"],
        without: &[
            "aws-lc-rs",
            "aws-lc-sys",
            "ring",
            "jsonwebtoken",
            "rsa",
            "reqwest",
            "hyper",
            "rustls",
            "redis",
            "tokio",
            "prost",
        ],
        ours: &["gateless-core"],
    },
    // A build script reads the options of methods, and compiles no server for that.
    Arrow {
        package: "gateless",
        features: &["--no-default-features", "--features=openapi,proto"],
        without: &[
            "aws-lc-rs",
            "jsonwebtoken",
            "reqwest",
            "hyper",
            "tokio",
            "prost-types",
            "prost-reflect",
            "protox",
            "utoipa",
        ],
        ours: &["gateless-core"],
    },
    // Keys from the configuration or a file need no HTTP client.
    Arrow {
        package: "gateless",
        features: &["--no-default-features", "--features=bearer,aws_lc_rs"],
        without: &["reqwest", "hyper", "rustls", "jsonwebtoken"],
        ours: &["gateless-core", "gateless-jwt"],
    },
    // Introspection brings an HTTP client, and neither a store nor a framework.
    Arrow {
        package: "gateless",
        features: &[
            "--no-default-features",
            "--features=introspection,aws_lc_rs",
        ],
        without: &["axum", "axum-core", "redis", "jsonwebtoken", "rsa", "tonic"],
        ours: &["gateless-core", "gateless-jwt"],
    },
    // The routers of axum, without a runtime and a server.
    Arrow {
        package: "gateless",
        features: &["--no-default-features", "--features=axum,scope"],
        without: &["aws-lc-rs", "hyper", "reqwest", "tokio"],
        ours: &["gateless-core"],
    },
    Arrow {
        package: "gateless",
        features: &["--all-features"],
        without: &["tonic", "clap"],
        ours: &["gateless-audit", "gateless-core", "gateless-jwt"],
    },
    // Records need neither cryptography in C nor an HTTP client, nor the arguments of a tool.
    Arrow {
        package: "gateless",
        features: &["--no-default-features", "--features=audit"],
        without: &[
            "aws-lc-rs",
            "clap",
            "hyper",
            "jsonwebtoken",
            "prost",
            "reqwest",
            "rustls",
        ],
        ours: &["gateless-audit", "gateless-core"],
    },
    // Whoever checks records compiles no service.
    Arrow {
        package: "gateless-audit",
        features: &[],
        without: &["aws-lc-rs", "axum", "hyper", "reqwest", "tokio", "tower"],
        ours: &["gateless-core"],
    },
    Arrow {
        package: "gateless-audit",
        features: &["--all-features"],
        without: &["axum", "tonic"],
        ours: &["gateless-core"],
    },
];

pub(crate) fn check() -> Result<(), Failure> {
    step("dependencies of each crate", || {
        for arrow in ARROWS {
            let mut command = arrow.tree();
            let tree = read(&mut command)?;
            arrow
                .judge(&tree)
                .map_err(|what| Failure::new(what).again(&command))?;
        }
        Ok(())
    })
}

impl Arrow {
    fn tree(&self) -> Command {
        let mut command = cargo([
            "tree",
            "--edges=normal",
            "--prefix=none",
            "-p",
            self.package,
        ]);
        command.args(self.features);
        command
    }

    /// Holds the text of `cargo tree --prefix=none` against what is allowed.
    fn judge(&self, tree: &str) -> Result<(), String> {
        let mut packages: Vec<&str> = tree.lines().filter_map(package).collect();
        packages.sort_unstable();
        packages.dedup();
        if !packages.contains(&self.package) {
            return Err(format!("{} is not in its own tree", self.package));
        }
        packages.retain(|name| !self.allows(name));
        if packages.is_empty() {
            return Ok(());
        }
        Err(format!(
            "{} {} must not depend on {}",
            self.package,
            self.features.join(" "),
            packages.join(", ")
        ))
    }

    fn allows(&self, name: &str) -> bool {
        let is_ours = name.starts_with("gateless");
        let is_own = name == self.package || self.ours.contains(&name);
        (!is_ours || is_own) && !self.without.contains(&name)
    }
}

/// The name in a line like `http v1.5.0 (*)`.
fn package(line: &str) -> Option<&str> {
    line.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JWT: Arrow = Arrow {
        package: "gateless-jwt",
        features: &[],
        without: &["jsonwebtoken", "rsa"],
        ours: &["gateless-core"],
    };

    #[test]
    fn a_tree_of_what_is_allowed_passes() {
        let tree = "\
gateless-jwt v0.1.0 (/src/crates/gateless-jwt)
gateless-core v0.1.0 (/src/crates/gateless-core)
http v1.5.0
serde_derive v1.0.229 (proc-macro)
http v1.5.0 (*)
";
        assert_eq!(JWT.judge(tree), Ok(()));
    }

    #[test]
    fn everything_that_must_not_be_there_is_named_once() {
        let tree = "\
gateless-jwt v0.1.0 (/src/crates/gateless-jwt)
gateless v0.1.0 (/src/crates/gateless)
jsonwebtoken v11.1.0
rsa v0.10.0
rsa v0.10.0 (*)
";
        assert_eq!(
            JWT.judge(tree),
            Err("gateless-jwt  must not depend on gateless, jsonwebtoken, rsa".into())
        );
    }

    #[test]
    fn a_name_that_only_begins_like_a_forbidden_one_passes() {
        assert_eq!(JWT.judge("gateless-jwt v0.1.0\nrsa-oaep v1.0.0\n"), Ok(()));
    }

    #[test]
    fn the_tree_of_something_else_proves_nothing() {
        assert!(JWT.judge("http v1.5.0\n").is_err());
        assert!(JWT.judge("").is_err());
    }
}
