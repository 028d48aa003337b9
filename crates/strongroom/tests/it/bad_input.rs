//! Bodies that are wrong in every way: each gets its documented code, is not repeated, and changes nothing.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Answer, BUSY, Person, Server,
    load::whole_history,
    people::{new_key, transfer_body},
    problem::{CANARY, Reference},
    stories,
};

stories! {
    with BUSY;
    a_body_that_is_wrong_gets_its_code_and_changes_nothing,
}

/// A request that is accepted as it stands.
struct Endpoint {
    who: Person,
    method: Method,
    path: String,
    /// Whether it carries a key.
    keyed: bool,
    body: Value,
    accepted: u16,
}

/// Fields that may be absent.
const OPTIONAL: [&str; 5] = [
    "/description",
    "/reference",
    "/value_date",
    "/overdraft",
    "/scope",
];
/// Bytes of a body that is larger than every money route takes.
const TOO_LARGE: usize = 64 * 1024 + 1;

impl Endpoint {
    fn name(&self, what: &str) -> String {
        format!("{} {}: {what}", self.method, self.path)
    }

    fn request(&self) -> reqwest::RequestBuilder {
        let request = self.who.client.request(self.method.clone(), &self.path);
        if self.keyed {
            request.header("Idempotency-Key", new_key())
        } else {
            request
        }
    }

    async fn send(&self, body: impl Into<reqwest::Body>) -> Answer {
        let request = self
            .request()
            .header("Content-Type", "application/json")
            .body(body);
        self.who.client.send(request).await
    }

    /// With one value replaced by a piece of JSON text.
    async fn replaced(&self, pointer: &str, text: &str) -> Answer {
        const MARK: &str = "\u{1}mark";
        let mut body = self.body.clone();
        *body.pointer_mut(pointer).unwrap() = json!(MARK);
        self.send(body.to_string().replace(&json!(MARK).to_string(), text))
            .await
    }

    async fn without(&self, pointer: &str) -> Answer {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let mut body = self.body.clone();
        let parent = body.pointer_mut(parent).and_then(Value::as_object_mut).unwrap();
        parent.remove(name).unwrap();
        self.send(body.to_string()).await
    }
}

/// Every member of a body, nested ones too, with its value.
fn members(prefix: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let pointer = format!("{prefix}/{name}");
        members(&pointer, value, found);
        found.push((pointer, value.clone()));
    }
}

async fn endpoints(server: &Server) -> (Vec<Endpoint>, Vec<(Person, Value)>) {
    let (alice, bob, teller, admin) = (
        server.customer("alice").await,
        server.customer("bob").await,
        server.operator("teller").await,
        server.operator("admin").await,
    );
    let (from, to) = (alice.account("From").await, bob.account("To").await);
    let (spare, other) = (alice.account("Spare").await, alice.account("Other").await);
    teller.deposit(&from, 100_000).await.expect(201);
    let customer = alice.client.get("/api/v1/me").await.expect(200).text("id");
    let at = |account: &Value, rest: &str| format!("{}{rest}", account["id"].as_str().unwrap());
    let cash = json!({"account_id": from["id"], "amount": {"amount": 100, "currency": "EUR"},
        "reference": "slip", "value_date": "2026-01-31"});
    let account = json!({"kind": "savings", "currency": "EUR", "name": "Another"});
    let mut account_for = account.clone();
    account_for["customer_id"] = json!(customer);
    account_for["overdraft"] = json!({"amount": 100, "currency": "EUR"});
    let list = [
        (&alice, Method::POST, "accounts".to_owned(), true, account, 201),
        (
            &alice,
            Method::PATCH,
            format!("accounts/{}", at(&spare, "")),
            false,
            json!({"name": "New"}),
            200,
        ),
        (
            &alice,
            Method::POST,
            format!("accounts/{}", at(&spare, "/freeze")),
            false,
            json!({"scope": "debits"}),
            200,
        ),
        (
            &alice,
            Method::POST,
            "transfers".to_owned(),
            true,
            transfer_body(&from, &to, 100),
            201,
        ),
        (
            &alice,
            Method::POST,
            "transfers?dry_run=true".to_owned(),
            false,
            transfer_body(&from, &to, 100),
            200,
        ),
        (
            &teller,
            Method::POST,
            "deposits".to_owned(),
            true,
            cash.clone(),
            201,
        ),
        (&teller, Method::POST, "withdrawals".to_owned(), true, cash, 201),
        (
            &teller,
            Method::POST,
            "admin/accounts".to_owned(),
            true,
            account_for,
            201,
        ),
        (
            &admin,
            Method::POST,
            format!("admin/accounts/{}", at(&other, "/freeze")),
            false,
            json!({"scope": "all"}),
            200,
        ),
    ];
    let endpoints = list.map(|(who, method, path, keyed, body, accepted)| Endpoint {
        who: who.clone(),
        method,
        path: format!("/api/v1/{path}"),
        keyed,
        body,
        accepted,
    });
    let watched = [(&alice, from), (&bob, to), (&alice, spare), (&alice, other)];
    (
        endpoints.into(),
        watched.map(|(owner, account)| (owner.clone(), account)).into(),
    )
}

/// Everything that money can have changed.
async fn snapshot(watched: &[(Person, Value)]) -> Vec<Value> {
    let mut seen = Vec::new();
    for (owner, account) in watched {
        let path = format!("/api/v1/accounts/{}", account["id"].as_str().unwrap());
        seen.push(owner.client.get(&path).await.expect(200).body);
        seen.push(Value::from(whole_history(owner, account).await));
        let accounts = owner.client.get("/api/v1/accounts?limit=100").await.expect(200);
        seen.push(accounts.body);
    }
    seen
}

async fn a_body_that_is_wrong_gets_its_code_and_changes_nothing(server: Server) {
    let reference = Reference::read();
    let (endpoints, watched) = endpoints(&server).await;
    // First as it stands: what is refused later is refused for its mistake alone.
    for endpoint in &endpoints {
        let answer = endpoint.send(endpoint.body.to_string()).await;
        assert_eq!(
            answer.status,
            endpoint.accepted,
            "{}: {answer:?}",
            endpoint.name("as it is")
        );
    }
    let before = snapshot(&watched).await;
    for endpoint in &endpoints {
        whole_bodies(&reference, endpoint).await;
        media_types(&reference, endpoint).await;
        let mut found = Vec::new();
        members("", &endpoint.body, &mut found);
        for (pointer, value) in found {
            types(&reference, endpoint, &pointer, &value).await;
            values(&reference, endpoint, &pointer).await;
        }
    }
    assert_eq!(snapshot(&watched).await, before);
    assert!(!server.logged().contains(CANARY), "a refused value is in the log");
}

async fn whole_bodies(reference: &Reference, endpoint: &Endpoint) {
    let good = endpoint.body.to_string();
    let canary = json!(CANARY);
    let inner = good.trim_start_matches('{').trim_end_matches('}');
    let first = endpoint.body.as_object().unwrap().iter().next().unwrap();
    let (first, value) = (first.0, first.1.to_string());
    let deep = format!("{{\"zz\":{}{}}}", "[".repeat(40), "]".repeat(40));
    let cases = [
        ("cut off", good[..good.len() - 1].to_owned(), "", "json_syntax"),
        ("no JSON", CANARY.to_owned(), "", "json_syntax"),
        ("a comma too many", format!("{{{inner}}},}}"), "", "json_syntax"),
        ("two values", format!("{good} {canary}"), "", "json_syntax"),
        ("blank", " \r\n\t".to_owned(), "", "body_empty"),
        ("an array", format!("[{canary}]"), "", "wrong_type"),
        ("a text", canary.to_string(), "", "wrong_type"),
        ("null", "null".to_owned(), "", "wrong_type"),
        ("too deep", deep, "", "json_depth"),
        (
            "an unknown field",
            good.replacen('{', &format!("{{\"zz_unknown\":{canary},"), 1),
            "/zz_unknown",
            "unknown_field",
        ),
        (
            "a name that may be a value",
            good.replacen('{', &format!("{{\"{CANARY} x\":1,"), 1),
            "",
            "unknown_field",
        ),
        (
            "a field twice",
            good.replacen('{', &format!("{{\"{first}\":{value},"), 1),
            &format!("/{first}"),
            "duplicate_field",
        ),
    ];
    for (what, body, pointer, code) in cases {
        let answer = endpoint.send(body).await;
        reference.field(&answer, pointer, &[code], &endpoint.name(what));
    }
    let broken = [b"{\"name\":\"\xff\xfe\"}".as_slice(), b"\xef\xbb\xbf{}"].map(<[u8]>::to_vec);
    for bytes in broken {
        let answer = endpoint.send(bytes).await;
        reference.refused(&answer, 400, "validation_failed", &endpoint.name("other bytes"));
    }
    let huge = good.replacen('{', &format!("{{\"zz\":\"{}\",", "x".repeat(TOO_LARGE)), 1);
    reference.refused(
        &endpoint.send(huge).await,
        413,
        "body_too_large",
        &endpoint.name("too large"),
    );
    // Nothing at all is enough where the address says it all.
    if !endpoint.body.as_object().unwrap().contains_key("scope") {
        let answer = endpoint.send("").await;
        reference.field(&answer, "", &["body_empty"], &endpoint.name("empty"));
    }
}

async fn media_types(reference: &Reference, endpoint: &Endpoint) {
    let good = endpoint.body.to_string();
    for headers in [
        &[][..],
        &[("Content-Type", "text/plain")],
        &[("Content-Type", "application/x-www-form-urlencoded")],
        &[("Content-Type", "application/json; charset=latin1")],
        &[("Content-Type", "application/json"), ("Content-Encoding", "gzip")],
        &[
            ("Content-Type", "application/json"),
            ("Content-Type", "text/plain"),
        ],
        &[("Content-Type", CANARY)],
    ] {
        let mut request = endpoint.request().body(good.clone());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = endpoint.who.client.send(request).await;
        let what = endpoint.name(&format!("{headers:?}"));
        reference.refused(&answer, 415, "unsupported_media_type", &what);
    }
}

async fn types(reference: &Reference, endpoint: &Endpoint, pointer: &str, value: &Value) {
    let optional = OPTIONAL.contains(&pointer);
    if !optional {
        let answer = endpoint.without(pointer).await;
        reference.field(
            &answer,
            pointer,
            &["required"],
            &endpoint.name(&format!("no {pointer}")),
        );
    }
    let canary = json!(CANARY).to_string();
    let mut wrong = match value {
        Value::String(_) => vec!["7", "1.5", "true", "[]", "{}"],
        Value::Number(_) => vec![
            "\"7\"",
            &canary,
            "1.5",
            "1e2",
            "1e400",
            "-1e400",
            "9223372036854775808",
            "-9223372036854775809",
            "100000000000000000000000000000000000000000",
            "true",
            "[1]",
            "{\"amount\":1}",
        ],
        _ => vec!["7", "true", &canary, "[7]"],
    };
    if !optional {
        wrong.push("null");
    }
    for text in wrong {
        let answer = endpoint.replaced(pointer, text).await;
        let what = endpoint.name(&format!("{pointer} = {text}"));
        // Nothing at all counts as absent where the field may be.
        reference.field(
            &answer,
            pointer,
            &["wrong_type", "invalid_value", "required"],
            &what,
        );
    }
}

async fn values(reference: &Reference, endpoint: &Endpoint, pointer: &str) {
    let long = json!("x".repeat(501)).to_string();
    let long_name = json!("ä".repeat(101)).to_string();
    let canary = json!(CANARY).to_string();
    let foreign = "\"user_01h455vb4pex5vsknk084sn02q\"";
    let foreign_account = "\"acct_01h455vb4pex5vsknk084sn02q\"";
    let name = pointer.rsplit('/').next().unwrap_or_default();
    let cases: &[(&str, &str)] = match name {
        "from_account_id" | "to_account_id" | "account_id" => &[
            (&canary, "invalid_value"),
            ("\"\"", "invalid_value"),
            (foreign, "invalid_value"),
            ("\"acct_01h455vb4pex5vsknk084sn02\"", "invalid_value"),
            ("\"acct_91h455vb4pex5vsknk084sn02q\"", "invalid_value"),
            ("\"acct_01H455VB4PEX5VSKNK084SN02Q\"", "invalid_value"),
        ],
        "customer_id" => &[(&canary, "invalid_value"), (foreign_account, "invalid_value")],
        "currency" => &[
            (&canary, "invalid_value"),
            ("\"\"", "invalid_value"),
            ("\"eur\"", "invalid_value"),
            ("\"EURO\"", "invalid_value"),
            ("\"€\"", "invalid_value"),
        ],
        "amount" if pointer != "/amount" => &[
            ("0", "out_of_range"),
            ("-1", "out_of_range"),
            ("1000000000000001", "out_of_range"),
            ("9223372036854775807", "out_of_range"),
            ("-9223372036854775808", "out_of_range"),
        ],
        "kind" | "scope" => &[(&canary, "invalid_value"), ("\"\"", "invalid_value")],
        "name" => &[
            ("\"\"", "empty"),
            ("\"   \"", "empty"),
            (&long_name, "too_long"),
            ("\"pay\\u202eroll\"", "deceptive_text"),
            ("\"zero\\u0000\"", "deceptive_text"),
        ],
        "description" | "reference" => &[
            (&long, "too_long"),
            ("\"pay\\u202eroll\"", "deceptive_text"),
            ("\"two\\nlines\"", "deceptive_text"),
            ("\"\\ufeffhidden\"", "deceptive_text"),
        ],
        "value_date" => &[
            (&canary, "invalid_value"),
            ("\"2026-02-30\"", "invalid_value"),
            ("\"2026-1-1\"", "invalid_value"),
            ("\"2026-01-31T00:00:00Z\"", "invalid_value"),
        ],
        _ => &[],
    };
    for (text, code) in cases {
        let answer = endpoint.replaced(pointer, text).await;
        reference.field(
            &answer,
            pointer,
            &[code],
            &endpoint.name(&format!("{pointer} = {text}")),
        );
    }
}
