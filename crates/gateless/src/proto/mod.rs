//! Reads who gets through to which gRPC method from the options in `.proto` files.
//!
//! ```proto
//! import "gateless/options.proto";
//!
//! service Orders {
//!   option (gateless.default_access) = { all: "orders:read" };
//!
//!   rpc List(ListRequest) returns (ListResponse);
//!   rpc Create(CreateRequest) returns (Order) {
//!     option (gateless.access) = { all: "orders:write" };
//!   }
//! }
//! ```
//!
//! | field | asks for |
//! |---|---|
//! | `all`, `any` | every one, or at least one, of these scopes |
//! | `acr`, `max_age` | a way of signing in, and how many seconds ago at most |
//! | `authenticated` | any valid token |
//! | `open` | nothing, not even a token: the reason why |
//!
//! What is set is needed together; only `open` stands alone. The option of a method replaces the default of its service
//! as a whole. A method with neither is a fault, and so is an option in which nothing is set.
//!
//! The program that compiles the files finds `gateless/options.proto` in [`INCLUDE_DIR`], and writes the descriptor set
//! that [`declarations`] reads, here in a build script without `protoc`:
//!
//! ```
//! # let directory = std::env::temp_dir().join(format!("gateless-{}", std::process::id()));
//! # std::fs::create_dir_all(&directory)?;
//! # std::fs::write(directory.join("orders.proto"), r#"
//! #     syntax = "proto3";
//! #     package orders.v1;
//! #     import "gateless/options.proto";
//! #     message Empty {}
//! #     service Orders {
//! #       option (gateless.default_access) = { all: "orders:read" };
//! #       rpc List(Empty) returns (Empty);
//! #     }
//! # "#)?;
//! # let include = directory.as_path();
//! let mut compiler = protox::Compiler::new([include, gateless::proto::INCLUDE_DIR.as_ref()])?;
//! compiler.open_file("orders.proto")?;
//! let descriptor_set = compiler.encode_file_descriptor_set(); // written to OUT_DIR, read with `include_bytes!`
//!
//! let declarations = gateless::proto::declarations(&descriptor_set)?;
//! assert_eq!(declarations[0].route.to_string(), "gRPC orders.v1.Orders/List");
//! assert_eq!(declarations[0].access.to_string(), "orders:read");
//! # std::fs::remove_dir_all(&directory)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Of the services in it every method counts: leave imported files out, which is what compilers do unless they are told
//! otherwise. In a build script, depend on gateless with `default-features = false, features = ["proto"]`.
//!
//! It has to be the bytes as the compiler wrote them: types such as `prost_types::FileDescriptorSet` know no options of
//! others, and lose them.

mod descriptor;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::time::Duration;

use gateless_core::{Access, Acr, ConfigError, Declaration, Requirement, Route, Scope};
use prost::Message as _;

use self::descriptor::{FileSet, Options};

const SETTING: &str = "proto";

/// The directory in which `gateless/options.proto` lies: an include path for `protoc` or `protox`.
pub const INCLUDE_DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");

/// One declaration for each method of each service in an encoded `google.protobuf.FileDescriptorSet`, in its order.
///
/// # Errors
///
/// Every method that says nothing, says it wrongly or is there twice; bytes that are no descriptor set, or one without
/// a method.
pub fn declarations(descriptor_set: &[u8]) -> Result<Vec<Declaration>, ConfigError> {
    let mut faults = ConfigError::collect();
    let set = match FileSet::decode(descriptor_set) {
        Ok(set) => set,
        Err(error) => {
            faults.add(SETTING, format!("is no descriptor set: {error}"));
            return Err(faults);
        }
    };
    let mut found = Vec::new();
    let mut names = HashSet::new();
    let mut undeclared = Vec::new();
    for (method, options) in set.methods() {
        if !names.insert(method.clone()) {
            faults.add(SETTING, format!("has {method} twice"));
            continue;
        }
        let Some(options) = options else {
            undeclared.push(method);
            continue;
        };
        match Options::read(&options).and_then(access) {
            Ok(access) => found.push(Declaration::new(
                Route::Grpc {
                    method: method.into(),
                },
                access,
            )),
            Err(problem) => faults.add(SETTING, format!("{method}: {problem}")),
        }
    }
    if names.is_empty() {
        faults.add(SETTING, "has no method of a service");
    }
    let none_has_any = undeclared.len() == names.len();
    for method in undeclared {
        faults.add(
            SETTING,
            format!("{method} says nothing about access; give it an option `(gateless.access)`"),
        );
    }
    if none_has_any && !names.is_empty() {
        faults.add(
            SETTING,
            "has no option of gateless at all: it must be the bytes that protoc or protox wrote, as types such as \
             prost_types::FileDescriptorSet lose the options of others",
        );
    }
    faults.into_result().map(|()| found)
}

/// What the option of a method or a service says.
fn access(options: Options) -> Result<Access, String> {
    let Options {
        all,
        any,
        open,
        authenticated,
        acr,
        max_age,
    } = options;
    let mut needed = Vec::new();
    for scope in &all {
        needed.push(Requirement::from(parse(scope)?));
    }
    if let [one] = any.as_slice() {
        needed.push(parse(one)?.into());
    } else if let Ok(any) = Requirement::try_any(each(&any, parse)?) {
        needed.push(any);
    }
    let acrs = each(&acr, |acr| {
        Acr::parse(acr).map_err(|invalid| format!("acr {acr:?}: {invalid}"))
    });
    if let Ok(acr) = Requirement::try_acr(acrs?) {
        needed.push(acr);
    }
    match max_age {
        None => {}
        Some(0) => return Err("max_age is at least one second".into()),
        Some(secs) => needed.push(Requirement::max_age(Duration::from_secs(secs.into()))),
    }
    if authenticated == Some(false) {
        return Err("authenticated can only be true".into());
    }
    match (open, authenticated.is_some(), needed.len()) {
        (Some(reason), false, 0) if !reason.trim().is_empty() => Ok(Access::open(reason)),
        (Some(_), false, 0) => Err("open needs a reason".into()),
        (Some(_), ..) => Err("open stands alone: nothing else can be asked for".into()),
        (None, true, 0) => Ok(Access::authenticated()),
        (None, _, 1) => needed.pop().map(Access::from).ok_or_else(nothing),
        (None, ..) => Requirement::try_all(needed)
            .map(Access::from)
            .map_err(|_| nothing()),
    }
}

fn nothing() -> String {
    "nothing is set in its option; write `authenticated: true` where any valid token will do".into()
}

fn parse(scope: &String) -> Result<Scope, String> {
    Scope::parse(scope).map_err(|invalid| format!("scope {scope:?}: {invalid}"))
}

fn each<T>(
    texts: &[String],
    parse: impl Fn(&String) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    texts.iter().map(parse).collect()
}
