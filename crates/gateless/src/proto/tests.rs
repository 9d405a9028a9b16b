use std::collections::HashMap;

use gateless_core::ConfigError;
use prost::Message as _;
use protox::Compiler;
use protox::file::{
    ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver,
};
use rstest::rstest;

use super::*;

/// Files that lie nowhere.
struct Inline(HashMap<&'static str, String>);

impl FileResolver for Inline {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.get(name) {
            Some(source) => File::from_source(name, source),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

fn compiler(source: &str) -> Compiler {
    let head = "syntax = \"proto3\";\nimport \"gateless/options.proto\";\nmessage M {}\n";
    let source = match source.strip_prefix("package ") {
        Some(rest) => {
            let (package, rest) = rest.split_once(';').unwrap();
            let (syntax, head) = head.split_once('\n').unwrap();
            format!("{syntax}\npackage {package};\n{head}{rest}")
        }
        None => format!("{head}{source}"),
    };
    let mut resolver = ChainFileResolver::new();
    resolver.add(Inline([("test.proto", source)].into()));
    resolver.add(IncludeFileResolver::new(INCLUDE_DIR.into()));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler
        .include_imports(true)
        .open_file("test.proto")
        .unwrap();
    compiler
}

fn compile(source: &str) -> Vec<u8> {
    compiler(source).encode_file_descriptor_set()
}

/// One method with this option, in a service without a default.
fn method(option: &str) -> String {
    format!("package a.v1; service S {{ rpc Do(M) returns (M) {{ {option} }} }}")
}

fn lines(declarations: &[Declaration]) -> Vec<String> {
    let line = |one: &Declaration| format!("{} = {}", one.route, one.access);
    declarations.iter().map(line).collect()
}

fn problems(result: Result<Vec<Declaration>, ConfigError>) -> Vec<String> {
    let error = result.unwrap_err();
    let faults = error.faults().iter();
    faults
        .map(|fault| {
            assert_eq!(fault.setting(), "proto");
            fault.problem().to_owned()
        })
        .collect()
}

#[rstest]
#[case::one(r#"{ all: "a" }"#, "a")]
#[case::all(r#"{ all: ["a", "b"] }"#, "all(a, b)")]
#[case::any(r#"{ any: ["a", "b"] }"#, "any(a, b)")]
#[case::any_of_one(r#"{ any: "a" }"#, "a")]
#[case::both(r#"{ all: "a" any: ["b", "c"] }"#, "all(a, any(b, c))")]
#[case::authenticated("{ authenticated: true }", "any valid token")]
#[case::redundant(r#"{ authenticated: true all: "a" }"#, "a")]
#[case::acr(r#"{ acr: ["phr", "phrh"] }"#, "acr(phr, phrh)")]
#[case::max_age("{ max_age: 300 }", "max_age(300 s)")]
#[case::everything(
    r#"{ all: "a" any: ["b", "c"] acr: "phr" max_age: 60 authenticated: true }"#,
    "all(a, any(b, c), acr(phr), max_age(60 s))"
)]
#[case::open(r#"{ open: "says nothing" }"#, "open: says nothing")]
fn an_option_is_read_as_it_stands(#[case] option: &str, #[case] access: &str) {
    let set = compile(&method(&format!("option (gateless.access) = {option};")));
    let expected = format!("gRPC a.v1.S/Do = {access}");
    assert_eq!(lines(&declarations(&set).unwrap()), [expected]);
}

#[rstest]
#[case::space(r#"{ all: "a b" }"#, r#"a.v1.S/Do: scope "a b": a scope is"#)]
#[case::empty_scope(r#"{ any: ["a", ""] }"#, r#"a.v1.S/Do: scope "": a scope is"#)]
#[case::acr(r#"{ acr: "a b" }"#, r#"a.v1.S/Do: acr "a b": an acr is"#)]
#[case::no_age("{ max_age: 0 }", "max_age is at least one second")]
#[case::no_age_beside(r#"{ all: "a" max_age: 0 }"#, "max_age is at least one second")]
#[case::no_reason(r#"{ open: "" }"#, "open needs a reason")]
#[case::blank_reason(r#"{ open: " " }"#, "open needs a reason")]
#[case::open_and_all(r#"{ open: "why" all: "a" }"#, "open stands alone")]
#[case::open_and_token(r#"{ open: "why" authenticated: true }"#, "open stands alone")]
#[case::open_without_reason_and_all(r#"{ open: "" all: "a" }"#, "open stands alone")]
#[case::not_authenticated("{ authenticated: false }", "can only be true")]
#[case::not_authenticated_but(r#"{ authenticated: false all: "a" }"#, "can only be true")]
fn what_makes_no_sense_is_a_fault_of_its_method(#[case] option: &str, #[case] says: &str) {
    let set = compile(&method(&format!("option (gateless.access) = {option};")));
    let problems = problems(declarations(&set));
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("a.v1.S/Do: "), "{problems:?}");
    assert!(problems[0].contains(says), "{problems:?}");
}

#[rstest]
#[case::method("", "option (gateless.access) = {};")]
#[case::service("option (gateless.default_access) = {};", "")]
#[case::empty_lists("", "option (gateless.access) = { all: [] any: [] acr: [] };")]
#[case::not_the_default(
    "option (gateless.default_access) = { all: \"a\" };",
    "option (gateless.access) = {};"
)]
fn tj_07_an_option_in_which_nothing_is_set_is_refused(#[case] service: &str, #[case] own: &str) {
    let set = compile(&format!(
        "service S {{ {service} rpc Do(M) returns (M) {{ {own} }} }}"
    ));
    let problems = problems(declarations(&set));
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].starts_with("S/Do: nothing is set"),
        "{problems:?}"
    );
}

#[test]
fn tj_01_a_method_that_says_nothing_is_refused_by_name() {
    let set = compile(
        r#"package a.v1;
        service S {
            rpc One(M) returns (M) { option (gateless.access) = { all: "a" }; }
            rpc Two(M) returns (M);
            rpc Three(M) returns (M) { option deprecated = true; }
        }
        service T { rpc Four(M) returns (M); }"#,
    );
    let problems = problems(declarations(&set));
    assert_eq!(problems.len(), 3);
    for (problem, name) in problems
        .iter()
        .zip(["a.v1.S/Two", "a.v1.S/Three", "a.v1.T/Four"])
    {
        assert!(
            problem.starts_with(&format!("{name} says nothing")),
            "{problem}"
        );
    }
}

#[test]
fn tj_04_names_bind_exactly_with_package_and_case() {
    let services = r#"
        service Orders {
            rpc List(M) returns (M) { option (gateless.access) = { all: "upper" }; }
            rpc list(M) returns (M) { option (gateless.access) = { all: "lower" }; }
        }
        service orders { rpc List(M) returns (stream M) { option (gateless.access) = { all: "other" }; } }"#;
    for (package, prefix) in [
        ("", ""),
        ("package a;", "a."),
        ("package example.Orders.v1;", "example.Orders.v1."),
    ] {
        let set = compile(&format!("{package}{services}"));
        let expected = [
            format!("gRPC {prefix}Orders/List = upper"),
            format!("gRPC {prefix}Orders/list = lower"),
            format!("gRPC {prefix}orders/List = other"),
        ];
        assert_eq!(lines(&declarations(&set).unwrap()), expected);
    }
}

#[test]
fn a_method_replaces_the_default_of_its_own_service_as_a_whole() {
    let set = compile(
        r#"service S {
            option (gateless.default_access) = { all: "a" acr: "phr" };
            rpc One(M) returns (M);
            rpc Two(M) returns (M) { option (gateless.access) = { all: "b" }; }
            rpc Three(M) returns (M) { option (gateless.access) = { open: "why" }; }
        }
        service T {
            option (gateless.default_access) = { authenticated: true };
            rpc One(M) returns (M);
        }"#,
    );
    let expected = [
        "gRPC S/One = all(a, acr(phr))",
        "gRPC S/Two = b",
        "gRPC S/Three = open: why",
        "gRPC T/One = any valid token",
    ];
    assert_eq!(lines(&declarations(&set).unwrap()), expected);
}

#[test]
fn fields_that_are_set_one_by_one_are_one_option() {
    let set = compile(&method(
        r#"option (gateless.access).all = "a"; option (gateless.access).max_age = 60;"#,
    ));
    let expected = ["gRPC a.v1.S/Do = all(a, max_age(60 s))"];
    assert_eq!(lines(&declarations(&set).unwrap()), expected);

    // As a compiler may write it: each by itself.
    let [all, age] = [b"\x0a\x01a".as_slice(), b"\x30\x3c"];
    assert_eq!(
        lines(&declarations(&encoded(&[all, age])).unwrap()),
        expected
    );
}

#[test]
fn a_field_of_a_newer_version_is_refused_not_ignored() {
    let [all, unknown] = [b"\x0a\x01a".as_slice(), b"\x38\x01"];
    let problems = problems(declarations(&encoded(&[all, unknown])));
    assert!(
        problems[0].starts_with("a.v1.S/Do: its option has a field"),
        "{problems:?}"
    );
}

/// A set with the method `a.v1.S/Do` and these occurrences of its option.
fn encoded(options: &[&[u8]]) -> Vec<u8> {
    fn field(tag: u32, bytes: &[u8]) -> Vec<u8> {
        let mut field = Vec::new();
        prost::encoding::bytes::encode(tag, &bytes.to_vec(), &mut field);
        field
    }
    let options: Vec<u8> = options.iter().flat_map(|one| field(64283, one)).collect();
    let method = [field(1, b"Do"), field(4, &options)].concat();
    let service = [field(1, b"S"), field(2, &method)].concat();
    field(1, &[field(2, b"a.v1"), field(6, &service)].concat())
}

#[test]
fn one_name_for_two_methods_is_refused() {
    let set = encoded(&[b"\x0a\x01a"]);
    let problems = problems(declarations(&[set.clone(), set].concat()));
    assert_eq!(problems, ["has a.v1.S/Do twice"]);
}

#[test]
fn options_that_a_type_has_dropped_are_told_from_options_that_nobody_wrote() {
    let compiler = compiler(&method(r#"option (gateless.access) = { all: "a" };"#));
    let lost = compiler.file_descriptor_set().encode_to_vec();
    let problems = problems(declarations(&lost));
    assert_eq!(problems.len(), 2);
    assert!(
        problems[0].starts_with("a.v1.S/Do says nothing"),
        "{problems:?}"
    );
    assert!(
        problems[1].contains("the bytes that protoc or protox wrote"),
        "{problems:?}"
    );
}

#[rstest]
#[case::text(b"syntax = \"proto3\";", "is no descriptor set")]
#[case::cut_off(b"\x0a\x05ab", "is no descriptor set")]
#[case::nothing(b"", "has no method")]
#[case::no_service(b"\x0a\x03\x12\x01a", "has no method")]
fn what_is_no_set_of_methods_is_refused(#[case] bytes: &[u8], #[case] says: &str) {
    let problems = problems(declarations(bytes));
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with(says), "{problems:?}");
}

#[test]
fn every_fault_is_reported_at_once() {
    let set = compile(
        r#"service S {
            rpc One(M) returns (M) { option (gateless.access) = {}; }
            rpc Two(M) returns (M);
            rpc Three(M) returns (M) { option (gateless.access) = { all: "a b" }; }
        }"#,
    );
    let problems = problems(declarations(&set));
    for name in ["S/One", "S/Two", "S/Three"] {
        let count = problems.iter().filter(|problem| problem.starts_with(name));
        assert_eq!(count.count(), 1, "{name}: {problems:?}");
    }
}

#[test]
fn the_number_in_the_proto_file_is_the_one_that_is_read() {
    let file = include_str!("../../proto/gateless/options.proto");
    assert_eq!(file.matches("= 64283;").count(), 2);
}
