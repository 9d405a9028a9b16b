mod read;
mod utoipa;
mod write;

use gateless_core::{ConfigError, Declaration};
use serde_json::{Value, json};

use super::OpenApi;

/// A document with these paths, a scheme of each kind, and no security of its own.
fn document(paths: Value) -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {"title": "orders", "version": "1"},
        "components": {
            "securitySchemes": {
                "oauth": {"type": "oauth2", "flows": {}},
                "oidc": {"type": "openIdConnect", "openIdConnectUrl": "https://idp.example.com/"},
                "token": {"type": "http", "scheme": "Bearer"},
                "also": {"$ref": "#/components/securitySchemes/oauth"},
                "astray": {"$ref": "#/components/securitySchemes/nowhere"},
                "basic": {"type": "http", "scheme": "basic"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "tls": {"type": "mutualTLS"},
            },
        },
        "paths": paths,
    })
}

/// A document with this operation as `GET /orders`.
fn get(operation: Value) -> Value {
    document(json!({"/orders": {"get": operation}}))
}

fn declarations(document: &Value) -> Result<Vec<Declaration>, ConfigError> {
    let document = OpenApi::of(document)?;
    // The fixture uses several, for the same token.
    ["oauth", "oidc", "token", "also"]
        .into_iter()
        .fold(document, OpenApi::bearer_token)
        .declarations()
}

fn lines(declarations: &[Declaration]) -> Vec<String> {
    let line = |one: &Declaration| format!("{} = {}", one.route, one.access);
    declarations.iter().map(line).collect()
}

fn faults<T>(result: Result<T, ConfigError>) -> Vec<String> {
    let Err(error) = result else {
        panic!("there is no fault");
    };
    let faults = error.faults().iter();
    faults
        .map(|fault| format!("{} {}", fault.setting(), fault.problem()))
        .collect()
}
