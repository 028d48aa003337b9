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
    wrong_shapes_and_wrong_values_are_told_at_once_and_nothing_is_done,
    the_number_of_a_card_is_refused_in_any_text_and_repeated_nowhere,
}

/// Where one of several fields is required, and which of them is named when none is there.
const OR_ANOTHER: &[(&str, &str)] = &[
    ("/api/v1/transfers", "/to_account_id"),
    ("/api/v1/holds", "/to_account_id"),
    ("/api/v1/payments", "/merchant_id"),
    ("/api/v1/admin/accounts/x/limits", ""),
];

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
        let mut missing: BTreeMap<String, String> = missing.collect();
        for (path, one_of_several) in OR_ANOTHER {
            if operation.path == *path {
                missing.insert((*one_of_several).to_owned(), "required".to_owned());
            }
        }
        assert_eq!(told(&empty), missing, "{name}");
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
        codes.retain(|field, code| {
            let one_of_several = OR_ANOTHER.contains(&(operation.path.as_str(), field.as_str()));
            !(one_of_several && code == "required")
        });
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

/// A route, a body for it, and what is told of that: pointers and codes.
type HalfRight = (&'static str, Value, Vec<(&'static str, &'static str)>);

/// Bodies of which some fields are of the wrong shape, and others of the right shape and wrong all the same.
fn half_right(account: &Value) -> Vec<HalfRight> {
    let id = account["id"].clone();
    vec![
        (
            "/api/v1/transfers",
            json!({"from_account_id": "acct_1", "to_account_number": "DE03100100100006820101",
                "amount": {"amount": "5", "currency": "EURO"}, "description": "a\u{202e}b", "memo": 1}),
            vec![
                ("/amount/amount", "wrong_type"),
                ("/memo", "unknown_field"),
                ("/from_account_id", "invalid_value"),
                ("/to_account_number", "invalid_value"),
                ("/amount/currency", "invalid_value"),
                ("/description", "deceptive_text"),
            ],
        ),
        (
            // What is of no shape is told of once, and not asked for besides.
            "/api/v1/transfers",
            json!({"from_account_id": 7, "to_account_number": 8, "amount": {"amount": 0, "currency": "EUR"}}),
            vec![
                ("/from_account_id", "wrong_type"),
                ("/to_account_number", "wrong_type"),
                ("/amount/amount", "out_of_range"),
            ],
        ),
        (
            "/api/v1/transfers/batch",
            json!({"mode": "some", "transfers": [
                {"from_account_id": id, "to_account_id": "x", "amount": {"amount": 1, "currency": "EUR"}},
                {"to_account_id": id, "amount": {"amount": -1, "currency": "XXX"}},
                5,
            ]}),
            vec![
                ("/mode", "invalid_value"),
                ("/transfers/1/from_account_id", "required"),
                ("/transfers/2", "wrong_type"),
                ("/transfers/0/to_account_id", "invalid_value"),
                ("/transfers/1/amount/amount", "out_of_range"),
                ("/transfers/1/amount/currency", "invalid_value"),
            ],
        ),
        (
            "/api/v1/holds",
            json!({"account_id": true, "to_account_id": id, "amount": {"amount": 1, "currency": "usd"},
                "expires_at": "tomorrow"}),
            vec![
                ("/account_id", "wrong_type"),
                ("/amount/currency", "invalid_value"),
                ("/expires_at", "invalid_value"),
            ],
        ),
        (
            "/api/v1/holds/batch/capture",
            json!({"mode": "atomic", "captures": [{"hold_id": "x", "final": "yes"},
                {"hold_id": "hold_01jd3vw4ezfkx8y0q4sfcmj2t9", "amount": {"amount": 0, "currency": 840}}]}),
            vec![
                ("/captures/0/final", "wrong_type"),
                ("/captures/1/amount/currency", "wrong_type"),
                ("/captures/0/hold_id", "invalid_value"),
                ("/captures/1/amount/amount", "out_of_range"),
            ],
        ),
        (
            "/api/v1/payments",
            json!({"from_account_id": "x", "merchant_id": 1, "amount": {"currency": "usd "},
                "reference": "x".repeat(501)}),
            vec![
                ("/merchant_id", "wrong_type"),
                ("/amount/amount", "required"),
                ("/from_account_id", "invalid_value"),
                ("/amount/currency", "invalid_value"),
                ("/reference", "too_long"),
            ],
        ),
        (
            "/api/v1/accounts",
            json!({"kind": "checking", "currency": "XXX", "name": 5}),
            vec![("/name", "wrong_type"), ("/currency", "invalid_value")],
        ),
        (
            "/api/v1/beneficiaries",
            json!({"name": 1, "account_number": "DE00", "currency": "EUR"}),
            vec![],
        ),
        (
            "/api/v1/auth/register",
            json!({"email": "a@b\r\nBcc: c", "full_name": "a\u{2066}b", "password": 5}),
            vec![
                ("/password", "wrong_type"),
                ("/email", "invalid_value"),
                ("/full_name", "deceptive_text"),
            ],
        ),
    ]
}

async fn wrong_shapes_and_wrong_values_are_told_at_once_and_nothing_is_done(server: Server) {
    let alice = server.customer("alice").await;
    let account = alice.account("Household").await;
    for (path, body, expected) in half_right(&account) {
        let refused = alice.client.post_once(path, &new_key(), body.clone()).await;
        let refused = refused.refused(400, "validation_failed");
        if expected.is_empty() {
            // Whatever is told, there is more than one thing, and a shape is the first.
            assert!(told(&refused).len() > 1, "{path}: {refused:?}");
            continue;
        }
        let expected = expected
            .into_iter()
            .map(|(pointer, code)| (pointer.to_owned(), code.to_owned()));
        assert_eq!(told(&refused), expected.collect(), "{path} {body}");
        assert!(!refused.body.to_string().contains("202e"));
    }
    let teller = server.operator("teller").await;
    let body = json!({"account_id": "x", "amount": 5, "reference": "a\tb", "value_date": "2026-02-30"});
    let refused = teller
        .client
        .post_once("/api/v1/deposits", &new_key(), body)
        .await;
    let expected = [
        ("/account_id", "invalid_value"),
        ("/amount", "wrong_type"),
        ("/reference", "deceptive_text"),
        ("/value_date", "invalid_value"),
    ];
    let expected = expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned()));
    assert_eq!(told(&refused.refused(400, "validation_failed")), expected.into());
    assert_eq!(alice.posted(&account).await, 0);
}

async fn the_number_of_a_card_is_refused_in_any_text_and_repeated_nowhere(server: Server) {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let (from, to) = (alice.account("Household").await, bob.account("Shop").await);
    let teller = server.operator("teller").await;
    teller.deposit(&from, 1_000).await.expect(201);
    let card = "4111 1111 1111 1111";
    let pay = |text: &str| {
        json!({"from_account_id": from["id"], "to_account_id": to["id"], "description": text,
            "amount": {"amount": 100, "currency": "EUR"}})
    };
    let mut asked = 0;
    for (person, path, body, pointer) in [
        (
            &alice,
            "/api/v1/transfers",
            pay(&format!("my card {card} 12/29")),
            "/description",
        ),
        (
            &alice,
            "/api/v1/transfers",
            pay("4111111111111111"),
            "/description",
        ),
        (
            &alice,
            "/api/v1/accounts",
            json!({"kind": "savings", "currency": "EUR", "name": card}),
            "/name",
        ),
        (
            &teller,
            "/api/v1/deposits",
            json!({"account_id": from["id"], "amount": {"amount": 1, "currency": "EUR"}, "reference": card}),
            "/reference",
        ),
    ] {
        let refused = person.client.post_once(path, &new_key(), body).await;
        let refused = refused.refused(400, "validation_failed");
        assert_eq!(
            told(&refused),
            [(pointer.to_owned(), "card_number".to_owned())].into(),
            "{path}"
        );
        for digits in ["4111 1111", "41111111", "1111 1111"] {
            assert!(!refused.body.to_string().contains(digits), "{refused:?}");
        }
        asked += 1;
    }
    assert_eq!((asked, alice.posted(&from).await), (4, 1_000));
    // A wrong check digit makes it a number like any other, and so does an IBAN around it.
    for text in [
        "4111 1111 1111 1112",
        "to DE44 5001 0517 5407 3249 31",
        "Invoice 2026000000000042",
    ] {
        let sent = alice
            .client
            .post_once("/api/v1/transfers", &new_key(), pay(text))
            .await;
        assert_eq!(sent.expect(201).body["description"], text);
    }
    assert_eq!(bob.posted(&to).await, 300);
    assert!(!server.logged().contains("4111 1111 1111 1111"));
}
