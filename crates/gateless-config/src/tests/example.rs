//! The example file says what the code does.

use std::collections::BTreeMap;

use super::faults;
use crate::section::{Fallback, Reader};
use crate::{Config, Settings};

const EXAMPLE: &str = include_str!("../../gateless.example.toml");

/// Of each setting in the file its value, whether it is commented out, and whether it is said to be unset.
fn written() -> BTreeMap<String, (String, bool, bool)> {
    let mut section = String::new();
    let (mut is_unset, mut was_setting) = (false, true);
    let mut written = BTreeMap::new();
    for line in EXAMPLE.lines() {
        let bare = line.strip_prefix('#').unwrap_or(line);
        if let Some(name) = bare
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            section = name.to_owned();
        } else if let Some(text) = line.strip_prefix("# ") {
            if was_setting {
                is_unset = false;
            }
            was_setting = false;
            is_unset |= text.starts_with("Unset");
        } else if let Some((name, value)) = bare.split_once(" = ") {
            was_setting = true;
            let path = format!("{section}.{name}");
            let entry = (value.to_owned(), line.starts_with('#'), is_unset);
            assert!(
                written.insert(path, entry).is_none(),
                "{line} is there twice"
            );
        }
    }
    written
}

/// What the code asks for.
fn known() -> BTreeMap<String, Fallback> {
    let found = Settings::new()
        .set("limits.tiers.NAME", "1/s", "NAME")
        .found();
    let mut reader = Reader::new(found);
    Config::sections(&mut reader);
    reader.known.into_iter().collect()
}

#[test]
fn it_can_be_used_as_it_is() {
    // Of what it names, only the secret has to be there when it is read.
    let secret = gateless::introspection::Secret::new("hush");
    let example = EXAMPLE.replace("client_secret_env", "#client_secret_env");
    let settings = Settings::new().toml("gateless.example.toml", example);
    assert_eq!(
        faults(settings.secret("introspection.client_secret", secret, "test")),
        [""; 0]
    );
}

#[test]
fn every_setting_is_in_it_and_nothing_else() {
    let (written, known) = (written(), known());
    let of_code = known.keys();
    let missing: Vec<_> = of_code
        .filter(|path| !written.contains_key(*path))
        .collect();
    assert_eq!(missing, [""; 0], "not in the example");
    let of_file = written.keys();
    let unknown: Vec<_> = of_file
        .filter(|path| {
            let path = path.strip_prefix("issuers.partner.").unwrap_or(path);
            !known.contains_key(path)
        })
        .collect();
    assert_eq!(unknown, [""; 0], "not in the code");
}

#[test]
fn what_is_commented_out_is_the_default() {
    let known = known();
    for (path, (value, is_comment, is_unset)) in written() {
        let Some(fallback) = known.get(&path) else {
            continue;
        };
        match fallback {
            Fallback::Default(default) => {
                assert!(is_comment && !is_unset, "{path} has the default {default}");
                assert_eq!(value, *default, "{path}");
            }
            Fallback::Required => assert!(!is_comment, "{path} has no default"),
            Fallback::Unset if is_comment && path != "limits.tiers.NAME" => {
                let is_shown = is_unset || path.contains("client_") || path.contains("root_");
                assert!(is_shown, "{path} is not said to be unset");
            }
            Fallback::Unset => {}
        }
    }
}

#[test]
fn each_example_is_a_value_of_its_kind() {
    for (path, (value, is_comment, _)) in written() {
        let value = value
            .trim_matches('"')
            .trim_matches(['[', ']'])
            .replace('"', "");
        if !is_comment || value.is_empty() {
            continue;
        }
        let name = format!("GATELESS__{}", path.replace('.', "__").to_ascii_uppercase());
        let settings = Settings::new().toml("base.toml", super::BASE);
        let path = path.replace("NAME", "name");
        for fault in faults(settings.environment([(&name, &value)])) {
            let is_of_kind = !fault.contains(", not ") && !fault.contains("unknown");
            assert!(is_of_kind, "{path} = {value}: {fault}");
        }
    }
}

/// The paths of all settings.
pub(super) fn paths() -> Vec<String> {
    known().into_keys().collect()
}
