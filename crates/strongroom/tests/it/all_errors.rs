//! Whoever sends a wrong body is told everything that is wrong with it, at every operation: the table is the published
//! contract itself.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::harness::{Answer, BUSY, Person, Server, people::new_key, stories};

stories! {
    with BUSY;
    every_operation_tells_all_that_an_empty_body_lacks_and_all_that_is_of_the_wrong_type,
    a_query_is_told_everything_that_is_wrong_with_it,
}

/// An operation with a body of which fields are required.
struct Operation {
    method: Method,
    path: String,
    open: bool,
    /// The required fields, each with a value of another type; none where every value is of its type.
    required: BTreeMap<String, Option<Value>>,
}

fn resolved<'a>(contract: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(place) => resolved(contract, contract.pointer(place.trim_start_matches('#')).unwrap()),
        None => schema,
    }
}

fn operations(contract: &Value) -> Vec<Operation> {
    let mut found = Vec::new();
    for (path, verbs) in contract["paths"].as_object().unwrap() {
        for (verb, operation) in verbs.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let schema = resolved(contract, schema);
            let Some(required) = schema["required"].as_array().filter(|names| !names.is_empty()) else {
                continue;
            };
            let wrong = |name: &Value| {
                let name = name.as_str().unwrap().to_owned();
                let field = resolved(contract, &schema["properties"][&name]);
                let wrong = if field["type"] == "boolean" {
                    json!("x")
                } else {
                    json!(true)
                };
                // What another standard describes is looked at by whom it is for.
                let whatever = field["type"] == "object" && field["properties"].is_null();
                (name, (!whatever).then_some(wrong))
            };
            let segments = path
                .split('/')
                .map(|part| if part.starts_with('{') { "x" } else { part });
            found.push(Operation {
                method: verb.to_uppercase().parse().unwrap(),
                path: segments.collect::<Vec<_>>().join("/"),
                open: operation["security"] == json!([{}]),
                required: required.iter().map(wrong).collect(),
            });
        }
    }
    found
}

async fn send(server: &Server, person: Option<&Person>, operation: &Operation, body: &Value) -> Answer {
    let anybody = server.client();
    let client = person.map_or(&anybody, |person| &person.client);
    let request = client.request(operation.method.clone(), &operation.path);
    let request = request.header("Idempotency-Key", new_key());
    client.send(request.json(body)).await
}

fn told(answer: &Answer) -> BTreeMap<String, String> {
    let errors = answer.body["errors"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer:?}"));
    let one = |error: &Value| {
        let text = |name: &str| error[name].as_str().unwrap().to_owned();
        (text("pointer"), text("code"))
    };
    errors.iter().map(one).collect()
}

async fn every_operation_tells_all_that_an_empty_body_lacks_and_all_that_is_of_the_wrong_type(
    server: Server,
) {
    let contract = server.client().get("/openapi.json").await.expect(200).body;
    let operations = operations(&contract);
    assert!(operations.len() > 50, "{} operations", operations.len());
    let mut people = vec![server.customer("alice").await];
    for role in ["admin", "teller", "compliance"] {
        people.push(server.operator(role).await);
    }
    let mut most = 0;
    for operation in &operations {
        let name = format!("{} {}", operation.method, operation.path);
        // Whoever reaches the body of it.
        let asks = people.iter().map(Some);
        let mut asks = if operation.open {
            vec![None]
        } else {
            asks.collect()
        };
        let mut reached = None;
        while let (Some(person), None) = (asks.pop(), &reached) {
            let empty = send(&server, person, operation, &json!({})).await;
            if empty.status == 400 {
                reached = Some((person, empty));
            }
        }
        let (person, empty) = reached.unwrap_or_else(|| panic!("{name}: nobody reaches its body"));
        let missing = operation.required.keys();
        let missing = missing.map(|field| (format!("/{field}"), "required".to_owned()));
        assert_eq!(told(&empty), missing.collect(), "{name}");
        most = most.max(operation.required.len());

        let required = operation.required.clone().into_iter();
        let mut wrong: Map<String, Value> = required
            .map(|(field, wrong)| (field, wrong.unwrap_or_default()))
            .collect();
        wrong.insert("no_such_field".to_owned(), json!(1));
        let wrong = send(&server, person, operation, &Value::Object(wrong)).await;
        assert_eq!(wrong.status, 400, "{name}: {wrong:?}");
        let mut codes = told(&wrong);
        assert_eq!(
            codes.remove("/no_such_field").as_deref(),
            Some("unknown_field"),
            "{name}: {wrong:?}"
        );
        for (field, _) in operation.required.iter().filter(|(_, wrong)| wrong.is_some()) {
            let code = codes.remove(&format!("/{field}"));
            assert!(
                matches!(code.as_deref(), Some("wrong_type" | "invalid_value")),
                "{name}: {field}: {wrong:?}"
            );
        }
        assert_eq!(codes, BTreeMap::new(), "{name}");
    }
    assert!(most >= 3, "of no body more than {most} fields are required");
}

async fn a_query_is_told_everything_that_is_wrong_with_it(server: Server) {
    let alice = server.customer("alice").await;
    let account = alice.account("Household").await;
    let history = format!(
        "/api/v1/accounts/{}/transactions",
        account["id"].as_str().unwrap()
    );
    let refused = async |query: &str| {
        let answer = alice.client.get(&format!("{history}?{query}")).await;
        told(&answer.refused(400, "validation_failed"))
    };
    let expected = |errors: &[(&str, &str)]| -> BTreeMap<String, String> {
        let own = errors
            .iter()
            .map(|(pointer, code)| ((*pointer).to_owned(), (*code).to_owned()));
        own.collect()
    };
    assert_eq!(
        refused("limit=x&page=1&min_amount=1.5&max_amount=y").await,
        expected(&[
            ("?limit", "wrong_type"),
            ("?page", "unknown_field"),
            ("?min_amount", "wrong_type"),
            ("?max_amount", "wrong_type"),
        ])
    );
    assert_eq!(
        refused("kind=gift&from=yesterday&limit=0").await,
        expected(&[
            ("?kind", "invalid_value"),
            ("?from", "invalid_value"),
            ("?limit", "out_of_range"),
        ])
    );
    assert_eq!(
        refused("from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z&min_amount=5&max_amount=4").await,
        expected(&[
            ("?from", "out_of_range"),
            ("?to", "out_of_range"),
            ("?min_amount", "out_of_range"),
            ("?max_amount", "out_of_range"),
        ])
    );
    let kinds = alice.client.get(&format!("{history}?kind=gift")).await;
    let detail = kinds.body["errors"][0]["detail"].as_str().unwrap().to_owned();
    for kind in [
        "transfer",
        "deposit",
        "withdrawal",
        "capture",
        "payment",
        "refund",
        "reversal",
    ] {
        assert!(detail.contains(&format!("`{kind}`")), "{detail}");
        let answer = alice.client.get(&format!("{history}?kind={kind}")).await;
        answer.expect(200);
    }
}
