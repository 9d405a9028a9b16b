//! What holds of every file.

use proptest::prelude::*;

use super::faults;
use crate::Settings;

/// Any tree of TOML, with names of ours among others.
fn table() -> impl Strategy<Value = toml::Table> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(toml::Value::Boolean),
        any::<i64>().prop_map(toml::Value::Integer),
        any::<f64>().prop_map(toml::Value::Float),
        ".{0,12}".prop_map(toml::Value::String),
        "[0-9]{1,3}(s|ms|/s|/min| burst 4|m|h)?".prop_map(toml::Value::String),
    ];
    let name = prop_oneof![
        "[a-z_]{1,6}",
        prop::sample::select(vec![
            "audit",
            "token",
            "keys",
            "issuers",
            "limits",
            "tiers",
            "denylist",
            "redis",
            "url",
            "path",
            "outage",
            "requests",
            "max",
            "leeway",
            "enabled",
            "introspection",
            "concurrency",
            "issuer",
            "audience",
            "peer",
        ])
        .prop_map(str::to_owned),
    ];
    let value = leaf.prop_recursive(4, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(toml::Value::Array),
            prop::collection::btree_map(name.clone(), inner, 0..6)
                .prop_map(|map| toml::Value::Table(map.into_iter().collect())),
        ]
    });
    prop::collection::btree_map(
        "[a-z]{1,10}|audit|token|keys|limits|denylist|redis|peer",
        value,
        0..6,
    )
    .prop_map(|map| map.into_iter().collect())
}

/// Paths of everything that is no table.
fn paths(prefix: &str, table: &toml::Table, all: &mut Vec<String>) {
    for (name, value) in table {
        let path = format!("{prefix}{name}");
        match value {
            toml::Value::Table(table) => paths(&format!("{path}."), table, all),
            _ => all.push(path),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_tree_panics_and_what_is_unknown_is_named(table in table()) {
        let told = faults(Settings::new().toml("any", toml::to_string(&table).unwrap()));
        let mut all = Vec::new();
        paths("", &table, &mut all);
        let known = super::example::paths();
        for path in all {
            let is_known = known.contains(&path) || path.starts_with("issuers.") || path.starts_with("limits.tiers.");
            let is_told = told.iter().any(|fault| fault.starts_with(&format!("{path} is")));
            prop_assert!(is_known || is_told, "{path}: {told:?}");
        }
    }

    #[test]
    fn no_text_panics(text in "([\\[\\]a-z=\" .#\\n0-9{},]|token|keys|é|\\\\u){0,80}") {
        faults(Settings::new().toml("any", text));
    }

    #[test]
    fn no_variable_panics(name in "[A-Za-z_]{0,20}", value in ".{0,20}") {
        let name = format!("GATELESS__{name}");
        let told = faults(super::with("").environment([(&name, &value)]));
        prop_assert!(told.iter().any(|fault| fault.starts_with(&name)), "{told:?}");
    }
}
