//! Keys of the bank's own programs: asked for by one administrator or the host, decided by another, shown once.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use strongroom_crypto::http_signature::SigningKey;

use crate::{
    harness::{
        Answer, Person, Server, decide,
        people::in_minutes,
        signed::{Signed, shared},
        stories,
    },
    payments::euros,
};

const KEYS: &str = "/api/v1/admin/api-keys";
const APPROVALS: &str = "/api/v1/admin/approvals";
const ACCOUNTS: &str = "/api/v1/accounts";
/// An id that names no key.
const NOTHING: &str = "key_01h455vb4pex5vsknk084sn02q";

/// New administrators decide at once.
const SETTINGS: &[(&str, &str)] = &[("STRONGROOM_APPROVALS__BOOTSTRAP", "true")];

stories!(
    with SETTINGS;
    a_key_of_the_banks_own_takes_two_administrators_and_is_shown_to_the_second,
    of_many_approvals_of_one_key_at_once_one_makes_it,
    a_key_whose_end_is_over_before_it_is_approved_is_not_made,
    what_was_asked_for_binds_the_key_that_is_made,
);

mod host {
    use super::*;
    stories!(outside_development_the_host_asks_for_a_key_and_an_administrator_decides,);

    async fn outside_development_the_host_asks_for_a_key_and_an_administrator_decides(server: Server) {
        super::the_host_asks(server).await;
    }
}

fn wish() -> Value {
    json!({"name": "Card processor", "scopes": ["cards:authorize", "accounts:read"]})
}

async fn listed(operator: &Person) -> Vec<Value> {
    let page = operator.client.get(KEYS).await.expect(200);
    page.body["data"].as_array().unwrap().clone()
}

/// What a program with this key is answered about accounts.
async fn used(server: &Server, key: &str) -> Answer {
    let client = server.client();
    let request = client.request(Method::GET, ACCOUNTS).header("X-API-Key", key);
    client.send(request).await
}

async fn revoke(person: &Person, id: &str) -> Answer {
    let request = person.client.request(Method::DELETE, &format!("{KEYS}/{id}"));
    person.client.send(request).await
}

async fn a_key_of_the_banks_own_takes_two_administrators_and_is_shown_to_the_second(server: Server) {
    let (maker, checker) = (server.operator("admin").await, server.operator("admin").await);
    let (teller, auditor) = (server.operator("teller").await, server.operator("auditor").await);
    let alice = server.customer("alice").await;
    for (wrong, pointer) in [
        (json!({"name": "", "scopes": ["accounts:read"]}), "/name"),
        (json!({"name": "Any", "scopes": ["everything"]}), "/scopes/0"),
        (json!({"name": "Any", "scopes": []}), "/scopes"),
        (
            json!({"name": "Any", "scopes": ["accounts:read"], "role": "admin"}),
            "/role",
        ),
        (
            json!({"name": "Any", "scopes": ["accounts:read"], "role": "customer"}),
            "/role",
        ),
        (
            json!({"name": "Any", "scopes": ["accounts:read"], "role": "emperor"}),
            "/role",
        ),
        (
            json!({"name": "Any", "scopes": ["accounts:read"], "owner_id": "me"}),
            "/owner_id",
        ),
        (
            json!({"name": "Any", "scopes": ["accounts:read"], "expires_at": "2020-01-01T00:00:00Z"}),
            "/expires_at",
        ),
    ] {
        let refused = maker
            .client
            .post(KEYS, wrong)
            .await
            .refused(400, "validation_failed");
        assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{refused:?}");
    }
    for stranger in [&alice, &teller, &auditor] {
        stranger.client.post(KEYS, wish()).await.refused(403, "forbidden");
        revoke(stranger, NOTHING).await.refused(403, "forbidden");
    }
    for stranger in [&alice, &teller] {
        stranger.client.get(KEYS).await.refused(403, "forbidden");
    }
    let asked = maker.client.post(KEYS, wish()).await.expect(202);
    assert_eq!(
        asked.body.as_object().unwrap().len(),
        1,
        "nothing but the request: {asked:?}"
    );
    let approval = asked.text("approval_id");
    assert_eq!(listed(&auditor).await, Vec::<Value>::new());
    let seen = auditor.client.get(APPROVALS).await.expect(200);
    assert_eq!(seen.body["data"][0]["action"], "api_key.create");
    assert_eq!(
        seen.body["data"][0]["request"],
        json!({"name": "Card processor", "role": "teller", "scopes": ["cards:authorize", "accounts:read"],
            "signature_schemes": ["rfc9421"]})
    );
    decide(&maker, &approval, "approve")
        .await
        .refused(403, "maker_is_checker");
    for stranger in [&alice, &teller, &auditor] {
        decide(stranger, &approval, "approve")
            .await
            .refused(403, "forbidden");
    }
    assert_eq!(listed(&maker).await, Vec::<Value>::new());

    let done = decide(&checker, &approval, "approve").await.expect(200);
    let made = &done.body["api_key"];
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert!(
        key.starts_with("sr_test_") && made["signing_secret"].is_string(),
        "{made}"
    );
    used(&server, key).await.expect(200);
    let known = listed(&auditor).await;
    let [shown] = known.as_slice() else {
        panic!("{known:?}")
    };
    assert_eq!(
        (&shown["id"], &shown["name"], &shown["roles"]),
        (&json!(id), &json!("Card processor"), &json!(["teller"]))
    );
    // Shown once: neither the list nor the request has it any more.
    let again = maker.client.get(APPROVALS).await.expect(200);
    for text in [json!(known).to_string(), again.body.to_string()] {
        let secret = made["signing_secret"].as_str().unwrap();
        assert!(!text.contains(key) && !text.contains(secret), "{text}");
    }
    decide(&checker, &approval, "approve")
        .await
        .refused(409, "approval_closed");
    // A key makes, lists and takes away no keys.
    let client = server.client();
    for (method, path) in [
        (Method::GET, KEYS.to_owned()),
        (Method::POST, KEYS.to_owned()),
        (Method::DELETE, format!("{KEYS}/{id}")),
    ] {
        let request = client
            .request(method, &path)
            .header("X-API-Key", key)
            .json(&wish());
        client.send(request).await.refused(403, "forbidden");
    }
    revoke(&maker, id).await.expect(204);
    used(&server, key).await.refused(401, "token_invalid");
    assert_eq!(listed(&maker).await, Vec::<Value>::new());
    revoke(&maker, id).await.refused(404, "not_found");
    revoke(&maker, NOTHING).await.refused(404, "not_found");
}

async fn of_many_approvals_of_one_key_at_once_one_makes_it(server: Server) {
    let maker = server.operator("admin").await;
    let checkers = [
        server.operator("admin").await,
        server.operator("admin").await,
        server.operator("admin").await,
    ];
    for round in 1..=3 {
        let asked = maker.client.post(KEYS, wish()).await.expect(202);
        let approval = asked.text("approval_id");
        let twice = checkers.iter().chain(&checkers);
        let answers = join_all(twice.map(|checker| decide(checker, &approval, "approve"))).await;
        let won: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(won.len(), 1, "{answers:?}");
        for lost in answers.iter().filter(|answer| answer.status != 200) {
            lost.clone().refused(409, "approval_closed");
        }
        used(&server, won[0].body["api_key"]["key"].as_str().unwrap())
            .await
            .expect(200);
        assert_eq!(listed(&maker).await.len(), round);
    }
}

async fn a_key_whose_end_is_over_before_it_is_approved_is_not_made(server: Server) {
    let (maker, checker) = (server.operator("admin").await, server.operator("admin").await);
    let mut soon = wish();
    soon["expires_at"] = Value::from(crate::grants::in_seconds(2));
    let asked = maker.client.post(KEYS, soon).await.expect(202);
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    decide(&checker, &asked.text("approval_id"), "approve")
        .await
        .refused(409, "approval_stale");
    assert_eq!(listed(&maker).await, Vec::<Value>::new());
    // It can still be put out of the way.
    decide(&checker, &asked.text("approval_id"), "reject")
        .await
        .expect(200);
}

async fn what_was_asked_for_binds_the_key_that_is_made(server: Server) {
    let (maker, checker) = (server.operator("admin").await, server.operator("admin").await);
    let alice = server.customer("alice").await;
    let account = alice.account("Household").await;
    let till = json!({"name": "Till 4", "role": "teller", "scopes": ["deposits:write"],
        "expires_at": in_minutes(60), "allowed_ips": ["127.0.0.1", "127.9.0.0/24"],
        "caveats": {"max_amount": euros(5_000), "budget": {"amount": euros(6_000), "window_secs": 3_600}}});
    let asked = maker.client.post(KEYS, till.clone()).await.expect(202);
    let done = decide(&checker, &asked.text("approval_id"), "approve")
        .await
        .expect(200);
    let made = &done.body["api_key"];
    let known = listed(&maker).await;
    for field in ["name", "scopes"] {
        assert_eq!(known[0][field], till[field]);
    }
    assert_eq!(known[0]["allowed_ips"], json!(["127.0.0.1/32", "127.9.0.0/24"]));
    assert_eq!(known[0]["caveats"]["max_amount"], euros(5_000));
    let (id, secret) = (
        made["id"].as_str().unwrap(),
        made["signing_secret"].as_str().unwrap(),
    );
    let deposit = async |minor: i64| {
        let body = json!({"account_id": account["id"], "amount": euros(minor), "reference": "till"});
        let signed = Signed::new(Method::POST, "/api/v1/deposits", Some(&body), id);
        signed
            .by(&server, &SigningKey::Shared(shared(secret)), id)
            .send(&server)
            .await
    };
    assert_eq!(deposit(5_001).await.status, 422);
    deposit(5_000).await.expect(201);
    // The window's budget is spent but for a thousand.
    assert_eq!(deposit(1_001).await.status, 422);
    deposit(1_000).await.expect(201);
    assert_eq!(alice.posted(&account).await, 6_000);
    // Another scope it has not, from elsewhere it is nothing.
    let key = made["key"].as_str().unwrap();
    used(&server, key).await.refused(403, "forbidden");
    let elsewhere = server.client_from("127.8.0.1");
    let request = elsewhere.request(Method::GET, ACCOUNTS).header("X-API-Key", key);
    assert_eq!(elsewhere.send(request).await.status, 401);
}

async fn the_host_asks(mut server: Server) {
    let admin = server.operator("admin").await;
    let arguments = [
        "api-key",
        "add",
        "--name",
        "till",
        "--role",
        "teller",
        "--scopes",
        "accounts:read",
        "--json",
    ];
    let run = |server: &Server, arguments: &[&str]| -> Value {
        let (ok, out, error) = server.cli(arguments);
        assert!(ok, "{out}{error}");
        serde_json::from_str(&out).unwrap_or_else(|_| panic!("no JSON: {out}{error}"))
    };
    // In development it is there at once; nowhere is it an administrator's.
    let made = run(&server, &arguments);
    used(&server, made["key"].as_str().unwrap()).await.expect(200);
    let mut ruling = arguments;
    ruling[5] = "admin";
    assert!(!server.cli(&ruling).0);
    let shown = run(&server, &["api-key", "list", "--json"]);
    assert_eq!(shown["data"][0]["id"], made["id"]);
    run(
        &server,
        &["api-key", "revoke", made["id"].as_str().unwrap(), "--json"],
    );
    used(&server, made["key"].as_str().unwrap())
        .await
        .refused(401, "token_invalid");

    assert_eq!(server.stop().await, Some(0));
    server.set("STRONGROOM_ENVIRONMENT", "staging");
    // Also where no server runs.
    let alone = run(&server, &arguments);
    server.resume().await;
    let beside = run(&server, &arguments);
    let staged = server.cli(&["api-key", "list", "--json"]);
    assert!(staged.0 && staged.1.contains("[]"), "{staged:?}");
    for asked in [&alone, &beside] {
        assert_eq!(asked["status"], "approval_required", "{asked}");
        assert!(asked["key"].is_null(), "{asked}");
    }
    let open = admin.client.get(APPROVALS).await.expect(200);
    assert_eq!(open.body["data"][0]["maker_id"], Value::Null);
    let done = decide(&admin, beside["approval_id"].as_str().unwrap(), "approve")
        .await
        .expect(200);
    let key = done.body["api_key"]["key"].as_str().unwrap();
    assert!(key.starts_with("sr_"), "{key}");
    used(&server, key).await.expect(200);
    decide(&admin, alone["approval_id"].as_str().unwrap(), "reject")
        .await
        .expect(200);
    assert_eq!(listed(&admin).await.len(), 1);
}
