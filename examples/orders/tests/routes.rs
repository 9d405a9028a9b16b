//! `orders --routes`, as an operator runs it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::process::Command;

use serde_json::{Value, json};

fn orders(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orders"));
    // Neither settings nor an issuer are needed: a wrong one makes no difference.
    let output = command
        .args(arguments)
        .env("BIND", "nowhere")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_routes_are_printed_for_people_and_as_json() {
    let text = orders(&["--routes"]);
    assert!(
        text.contains("POST   /orders                  orders:write\n"),
        "{text}"
    );
    assert!(
        text.ends_with("everything else                 denied\n"),
        "{text}"
    );
    let json: Value = serde_json::from_str(&orders(&["--routes", "--json"])).unwrap();
    let create = json!({ "grpc": "orders.v1.Orders/Create", "requires": "orders:write" });
    assert!(
        json["routes"].as_array().unwrap().contains(&create),
        "{json}"
    );
    assert_eq!(
        json["routes"].as_array().unwrap().len() + 1,
        text.lines().count()
    );
}
