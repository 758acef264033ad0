//! The API as its own description says it: schemathesis reads `/api/v1/openapi.json`, makes requests of every operation from
//! it, fitting and unfitting ones, and compares what comes back with the description.

use std::process::Command;

use crate::harness::demo::Demo;
use crate::harness::http::Api;
use crate::harness::tools::repository;
use serde_json::{Value, json};

/// Requests made of each operation in the phase that draws them.
const EXAMPLES: &str = "6";

/// What is asked of every answer: no failure of the server's, no status, media type or body that is not described, no
/// request accepted that does not fit, no method that is not there, no way in without the token.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
    unsupported_method,missing_required_header,ignored_auth,negative_data_rejection";

#[test]
fn every_operation_does_what_the_description_says() {
    let demo = Demo::start();
    let api = Api::operator(&demo.info);
    let made = api.post("/tokens", &json!({ "name": "schemathesis" }));
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.json();
    let token = made["secret"].as_str().expect("a token");
    let description = api.get("/openapi.json").json();
    let operations = operations(&description);
    let mut ids: Vec<&str> = operations.iter().map(|(id, _)| id.as_str()).collect();
    ids.sort_unstable();
    let all = ids.len();
    ids.dedup();
    assert!(
        ids.len() == all && all > 50,
        "an operation has a name: {ids:?}"
    );

    // Where it keeps what it would need to repeat a request.
    let scratch = tempfile::tempdir().expect("temporary directory");
    let python = repository().join("target/test-env/python/bin");
    let run = Command::new(python.join("st"))
        .arg("run")
        .arg(format!("{}/openapi.json", demo.info.api))
        .args(["-H", &format!("Authorization: Bearer {token}")])
        .args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing"])
        .args(["--max-examples", EXAMPLES, "--generation-deterministic"])
        // Who asks must stay in: these end logins and tokens, its own among them.
        .args(["--exclude-operation-id", "token_remove"])
        .args(["--exclude-operation-id", "login_end"])
        .args(["--exclude-path", "/api/v1/logout"])
        // The sandbox's name server hands no zone out; `bind.rs` asks one that does.
        .args(["--exclude-path-regex", "^/api/v1/zone(/|$)"])
        .args(["--warnings", "off"])
        .current_dir(scratch.path())
        .output()
        .expect("schemathesis runs");
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let still = api.get("/tokens");
    assert!(
        still.body.contains("schemathesis"),
        "the token was good to the end"
    );
}

/// Name and method of every operation.
fn operations(description: &Value) -> Vec<(String, String)> {
    let paths = description["paths"].as_object().expect("paths");
    let methods = paths
        .values()
        .flat_map(|path| path.as_object().expect("methods"));
    methods
        .filter_map(|(method, operation)| {
            let id = operation["operationId"].as_str()?;
            Some((id.to_owned(), method.clone()))
        })
        .collect()
}
