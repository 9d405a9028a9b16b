//! Descriptor sets with the options of gateless: each method is declared once, or it is an error.

use std::collections::HashSet;

use gateless::Access;
use gateless::proto::declarations;
use gateless::scope::ScopeTable;

use crate::Target;

pub(crate) const TARGET: Target = Target {
    name: "proto",
    run,
    made,
    words: &[
        "\u{12}\u{1}",
        "\n\u{1}",
        "\u{1a}",
        "\u{20}\u{1}",
        "\u{30}\u{0}",
        "orders.v1",
        "List",
        "a",
        "",
        "\u{0}",
        "/",
        ".",
        "\u{1}",
        "\u{7f}",
    ],
    rounds: 30_000,
};

/// Checks what comes of this as an encoded set.
pub(crate) fn run(data: &[u8]) -> bool {
    let Ok(declared) = declarations(data) else {
        return false;
    };
    assert!(
        !declared.is_empty(),
        "nothing is declared, and nobody is told"
    );
    let routes: HashSet<_> = declared.iter().map(|one| one.route.clone()).collect();
    assert_eq!(routes.len(), declared.len(), "a method is declared twice");
    if let Ok(table) = ScopeTable::builder()
        .extend(declared.iter().cloned())
        .build()
    {
        assert_eq!(table.declarations().len(), declared.len());
    }
    if let Some(methods) = methods(data) {
        let routes = declared.iter().map(|one| {
            let is_open = matches!(one.access, Access::Open { .. });
            (one.route.to_string(), is_open)
        });
        assert_eq!(routes.collect::<Vec<_>>(), methods);
    }
    // What a newer compiler adds changes nothing.
    let newer = [data, &field(100, b"of a later version")].concat();
    assert_eq!(declarations(&newer).unwrap(), declared);
    // Sets that are joined have the files of both: each method is there twice.
    assert!(
        declarations(&[data, data].concat()).is_err(),
        "a method that is there twice is declared"
    );
    true
}

/// The fields of a message, as a reader sees them that knows nothing but the encoding; of numbers only where they stand.
/// `None` with a group in it, which nobody writes any more.
fn fields(mut data: &[u8]) -> Option<Vec<(u64, &[u8])>> {
    fn number(data: &mut &[u8]) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (first, rest) = data.split_first()?;
            *data = rest;
            number |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
    let mut fields = Vec::new();
    while !data.is_empty() {
        let key = number(&mut data)?;
        let len = match key & 7 {
            0 => {
                number(&mut data)?;
                0
            }
            1 => 8,
            2 => usize::try_from(number(&mut data)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let (content, rest) = data.split_at_checked(len)?;
        fields.push((key >> 3, content));
        data = rest;
    }
    Some(fields)
}

/// The methods in a set, and whether the option that counts for each is `open`.
fn methods(set: &[u8]) -> Option<Vec<(String, bool)>> {
    fn all<'a>(fields: &[(u64, &'a [u8])], number: u64) -> Vec<&'a [u8]> {
        let these = fields.iter().filter(|field| field.0 == number);
        these.map(|field| field.1).collect()
    }
    let text = |fields: &[(u64, &[u8])], number| {
        let last = all(fields, number).pop().unwrap_or_default();
        std::str::from_utf8(last).unwrap().to_owned()
    };
    // A message that stands in several parts is one; so is the option in it.
    let option = |message: &[(u64, &[u8])], number| {
        let options = all(message, number).concat();
        let parts = all(&fields(&options)?, OPTION.into()).concat();
        let is_there = fields(&options)?
            .iter()
            .any(|one| one.0 == u64::from(OPTION));
        Some(is_there.then_some(parts))
    };
    let mut methods = Vec::new();
    for file in all(&fields(set)?, 1) {
        let file = fields(file)?;
        let package = text(&file, 2);
        let dot = if package.is_empty() { "" } else { "." };
        for service in all(&file, 6) {
            let service = fields(service)?;
            let default = option(&service, 3)?;
            for method in all(&service, 2) {
                let method = fields(method)?;
                let name = format!(
                    "gRPC {package}{dot}{}/{}",
                    text(&service, 1),
                    text(&method, 1)
                );
                let counts = option(&method, 4)?.or_else(|| default.clone());
                let counts = counts.expect("nothing is said of it");
                let counts = fields(&counts)?;
                // With nothing beside it that asks for something.
                let is_open = !counts.is_empty() && counts.iter().all(|field| field.0 == 3);
                methods.push((name, is_open));
            }
        }
    }
    Some(methods)
}

/// A field of bytes, shorter than 128.
fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut key = number << 3 | 2;
    let mut field = Vec::new();
    while key > 0x7f {
        field.push(u8::try_from(key & 0x7f).unwrap() | 0x80);
        key >>= 7;
    }
    field.push(u8::try_from(key).unwrap());
    field.push(u8::try_from(bytes.len()).unwrap());
    field.extend_from_slice(bytes);
    field
}

/// The number of both options.
const OPTION: u32 = 64_283;

fn made() -> Vec<Vec<u8>> {
    let method = |name: &str, access: Option<&[u8]>| {
        let options = access.map(|access| field(4, &field(OPTION, access)));
        field(
            2,
            &[field(1, name.as_bytes()), options.unwrap_or_default()].concat(),
        )
    };
    let set = |methods: &[Vec<u8>], default: &[u8]| {
        let service = [field(1, b"Orders"), methods.concat(), default.to_vec()].concat();
        field(1, &[field(2, b"orders.v1"), field(6, &service)].concat())
    };
    let scope = field(1, b"orders:read");
    let open = field(3, b"why");
    vec![
        set(&[method("List", Some(&scope))], &[]),
        set(
            &[method("List", Some(&scope)), method("Ping", Some(&open))],
            &[],
        ),
        set(
            &[method("List", None), method("Get", Some(&[0x20, 1]))],
            &field(3, &field(OPTION, &scope)),
        ),
        set(
            &[method(
                "Pay",
                Some(&[field(5, b"phr"), vec![0x30, 60], field(2, b"pay")].concat()),
            )],
            &[],
        ),
        set(&[method("List", None)], &[]),
        // Open by default, and a method that is not.
        set(
            &[method("List", None), method("Get", Some(&scope))],
            &field(3, &field(OPTION, &open)),
        ),
        // Open, and yet in need of a scope; twice the same; a field that nobody knows.
        set(
            &[method(
                "List",
                Some(&[open.clone(), scope.clone()].concat()),
            )],
            &[],
        ),
        set(
            &[method("List", Some(&scope)), method("List", Some(&open))],
            &[],
        ),
        set(
            &[method("List", Some(&[scope, field(9, b"x")].concat()))],
            &[],
        ),
    ]
}
