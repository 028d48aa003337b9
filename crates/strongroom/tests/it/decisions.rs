//! What was decided, kept: found, decided again with the same answer, and compared with a draft.

use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection, Row, SqliteConnection, sqlite::SqliteConnectOptions};
use strongroom_crypto::keyring::{FileProvider, KeyProvider};

use crate::harness::{Answer, Person, Server, awaited, decide, people::new_key, stories};

const DECISIONS: &str = "/api/v1/admin/decisions";
const POLICIES: &str = "/api/v1/admin/policies";
/// New administrators decide at once.
const SETTINGS: &[(&str, &str)] = &[("STRONGROOM_APPROVALS__BOOTSTRAP", "true")];

stories!(
    with SETTINGS;
    why_it_was_refused_is_told_by_the_policies_of_that_day,
    a_draft_is_compared_with_what_was_decided,
    decisions_of_a_process_that_ends_are_written,
    a_decision_that_the_owner_of_the_database_rewrites_is_named,
);

/// The newest decision that this filter takes, once it is written.
pub(crate) async fn found(auditor: &Person, filter: &str) -> Value {
    awaited("a decision", async || {
        let page = auditor.client.get(&format!("{DECISIONS}?limit=1&{filter}")).await;
        page.expect(200).body["data"].get(0).cloned()
    })
    .await
}

async fn again(auditor: &Person, decision: &Value) -> Answer {
    let path = format!("{DECISIONS}/{}/evaluate", decision["id"].as_str().unwrap());
    let request = auditor.client.request(reqwest::Method::POST, &path);
    auditor.client.send(request).await.expect(200)
}

async fn in_force(maker: &Person, checker: &Person, text: &str) -> (String, Value) {
    let draft = json!({"name": new_key(), "text": text});
    let id = maker.client.post(POLICIES, draft).await.expect(201).text("id");
    let asked = maker
        .client
        .post(&format!("{POLICIES}/{id}/activate"), json!({}))
        .await;
    let approval = asked.expect(202).text("approval_id");
    let listed = checker
        .client
        .get("/api/v1/admin/approvals?state=open")
        .await
        .expect(200);
    let request = listed.body["data"][0]["request"].clone();
    decide(checker, &approval, "approve").await.expect(200);
    (id, request)
}

async fn freeze(teller: &Person, account: &Value) -> Answer {
    let path = format!(
        "/api/v1/admin/accounts/{}/freeze",
        account["id"].as_str().unwrap()
    );
    teller.client.post(&path, json!({"scope": "all"})).await
}

async fn why_it_was_refused_is_told_by_the_policies_of_that_day(server: Server) {
    let (maker, checker) = (server.operator("admin").await, server.operator("admin").await);
    let (auditor, teller) = (server.operator("auditor").await, server.operator("teller").await);
    let alice = server.customer("alice").await;
    let (from, to) = (alice.account("From").await, alice.account("To").await);
    teller.deposit(&from, 10_000).await.expect(201);
    alice.transfer(&new_key(), &from, &to, 700).await.expect(201);
    let (id, request) = in_force(
        &maker,
        &checker,
        r#"@id("much") forbid (principal, action == Action::"transfer.create", resource) when {
            context has amount && context.amount > 500 && context has address
                && context.address.isInRange(ip("127.0.0.0/8")) };"#,
    )
    .await;
    assert!(request["examined"].as_u64().unwrap() > 0, "{request}");
    let refused = alice.transfer(&new_key(), &from, &to, 700).await;
    let refused = refused.refused(403, "forbidden");
    let filter = format!(
        "principal={}&action=transfer.create&decision=deny",
        alice.id().await
    );
    let denied = found(&auditor, &filter).await;
    assert_eq!(denied["request_id"], refused.header("x-request-id").unwrap());
    assert_eq!(denied["policy_version"], 2);
    let asked = maker
        .client
        .send(
            maker
                .client
                .request(reqwest::Method::POST, &format!("{POLICIES}/{id}/deactivate")),
        )
        .await
        .expect(202);
    decide(&checker, &asked.text("approval_id"), "approve")
        .await
        .expect(200);
    alice.transfer(&new_key(), &from, &to, 700).await.expect(201);
    // Today it is allowed; of that day's decision the answer is the same as then, and so are its reasons.
    let told = again(&auditor, &denied).await;
    assert_eq!(
        (&told.body["decision"], &told.body["same"]),
        (&json!("deny"), &json!(true)),
        "{told:?}"
    );
    let reasons = told.body["reasons"].as_array().unwrap();
    assert!(reasons[0].as_str().unwrap().ends_with("/much"), "{told:?}");
    assert_eq!(told.body["facts"]["amount"], 700);
    assert_eq!(told.body["facts"]["address"], "127.0.0.1");
    assert_eq!(told.body["complete"], true);
    let filter = filter.replace("deny", "allow");
    for _ in 0..2 {
        let told = again(&auditor, &found(&auditor, &filter).await).await;
        assert_eq!(
            (&told.body["decision"], &told.body["same"]),
            (&json!("allow"), &json!(true))
        );
    }
    // What an operator read is there, too, and nobody else's to read.
    let id = from["id"].as_str().unwrap();
    teller
        .client
        .get(&format!("/api/v1/accounts/{id}"))
        .await
        .expect(200);
    found(
        &auditor,
        &format!("principal={}&action=account.read", teller.id().await),
    )
    .await;
    teller.client.get(DECISIONS).await.refused(403, "forbidden");
    alice.client.get(DECISIONS).await.refused(403, "forbidden");
}

async fn a_draft_is_compared_with_what_was_decided(server: Server) {
    let (maker, auditor) = (server.operator("admin").await, server.operator("auditor").await);
    let (teller, alice) = (server.operator("teller").await, server.customer("alice").await);
    let account = alice.account("Main").await;
    let path = format!("{POLICIES}/diff");
    freeze(&teller, &account).await.expect(200);
    let frozen = found(&auditor, "action=account.freeze&decision=allow").await;
    let compare = |text: &str| {
        let (client, draft, path) = (
            maker.client.clone(),
            json!({"name": "draft", "text": text}),
            path.clone(),
        );
        async move { client.post(&path, draft).await }
    };
    let harmless = r#"forbid (principal in Role::"support", action == Action::"key.manage", resource);"#;
    let same = compare(harmless).await.expect(200);
    assert_eq!(same.body["changed"], json!([]));
    assert!(same.body["examined"].as_u64().unwrap() > 0);
    let other =
        compare(r#"forbid (principal in Role::"teller", action == Action::"account.freeze", resource);"#)
            .await
            .expect(200);
    let changed = json!([{"decision_id": frozen["id"], "before": "allow", "after": "deny"}]);
    assert_eq!(other.body["changed"], changed);
    compare("permit").await.refused(400, "validation_failed");
    // Nothing was kept, and the teller still may.
    freeze(&teller, &account).await.expect(200);
    let body = json!({"name": "draft", "text": harmless});
    teller.client.post(&path, body).await.refused(403, "forbidden");
}

async fn decisions_of_a_process_that_ends_are_written(mut server: Server) {
    let (auditor, teller) = (server.operator("auditor").await, server.operator("teller").await);
    let me = teller.id().await;
    for round in 0..3 {
        let refused = teller.client.get(POLICIES).await.refused(403, "forbidden");
        assert_eq!(server.stop().await, Some(0));
        server.resume().await;
        let filter = format!("principal={me}&action=policy.read&decision=deny");
        let denied = found(&auditor, &filter).await;
        assert_eq!(
            denied["request_id"],
            refused.header("x-request-id").unwrap(),
            "round {round}"
        );
    }
}

/// Somebody who owns the database and has the keys.
enum Owner {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Owner {
    async fn of(server: &Server) -> Self {
        match server.database() {
            None => {
                let options = SqliteConnectOptions::new().filename(server.data().join("strongroom.db"));
                let mut open = SqliteConnection::connect_with(&options).await.unwrap();
                for trigger in ["decisions_fixed", "decisions_kept"] {
                    let sql = format!("DROP TRIGGER {trigger}");
                    open.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
                }
                Self::Sqlite(open)
            }
            Some(database) => {
                let mut open = database.connect().await;
                open.execute("SET session_replication_role = replica")
                    .await
                    .unwrap();
                Self::Postgres(open)
            }
        }
    }

    async fn run(&mut self, sql: &str) -> u64 {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(open) => open.execute(sql).await.unwrap().rows_affected(),
            Self::Postgres(open) => open.execute(sql).await.unwrap().rows_affected(),
        }
    }

    /// Bytes that a query gives; ids as bytes.
    async fn bytes(&mut self, sql: &str) -> Vec<u8> {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(open) => sqlx::query(sql).fetch_one(open).await.unwrap().get(0),
            Self::Postgres(open) => sqlx::query(sql).fetch_one(open).await.unwrap().get(0),
        }
    }

    async fn number(&mut self, sql: &str) -> i64 {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(open) => sqlx::query(sql).fetch_one(open).await.unwrap().get(0),
            Self::Postgres(open) => sqlx::query(sql).fetch_one(open).await.unwrap().get(0),
        }
    }

    /// How an id is read as bytes, and how bytes are written.
    fn read_id(&self, column: &str) -> String {
        match self {
            Self::Sqlite(_) => column.to_owned(),
            Self::Postgres(_) => format!("uuid_send({column})"),
        }
    }

    fn literal(&self, bytes: &[u8]) -> String {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        match self {
            Self::Sqlite(_) => format!("x'{digits}'"),
            Self::Postgres(_) => format!("'\\x{digits}'::bytea"),
        }
    }

    async fn close(self) {
        match self {
            Self::Sqlite(open) => open.close().await.unwrap(),
            Self::Postgres(open) => open.close().await.unwrap(),
        }
    }
}

/// The code over a decision of a teller about an account, refused where it was allowed, made anew with the stolen key.
async fn code_refused(owner: &mut Owner, server: &Server, row: &str) -> Vec<u8> {
    let one = |what: &str| format!("SELECT {what} FROM decisions WHERE {row}");
    let mut code = b"strongroom.decision.v1".to_vec();
    let (id, request, principal) = (
        owner.read_id("id"),
        owner.read_id("request"),
        owner.read_id("principal_id"),
    );
    code.extend(owner.bytes(&one(&id)).await);
    code.extend(owner.number(&one("at")).await.to_be_bytes());
    code.extend(owner.bytes(&one(&request)).await);
    code.push(owner.number(&one("principal_kind")).await as u8);
    code.extend(owner.bytes(&one(&principal)).await);
    code.push(0);
    code.extend(owner.number(&one("version")).await.to_be_bytes());
    code.extend(owner.bytes(&one("inputs")).await);
    code.extend(b"account.freeze");
    let whose = owner.read_id("owner");
    code.extend([0, 1]);
    code.extend(owner.bytes(&one(&whose)).await);
    let ring = FileProvider::plain(server.data().join("keys").join("keyring"));
    ring.load(0).unwrap().unwrap().audit_mac().sign(&code).to_vec()
}

fn findings(server: &Server) -> (bool, String) {
    let (clean, said, error) = server.cli(&["audit", "verify", "--json"]);
    (clean, format!("{said}{error}"))
}

async fn a_decision_that_the_owner_of_the_database_rewrites_is_named(mut server: Server) {
    let (teller, auditor) = (server.operator("teller").await, server.operator("auditor").await);
    let account = server.customer("alice").await.account("Main").await;
    let cashier = teller.client.with_reason(Some("counter 4"));
    let cash = json!({"account_id": account["id"], "amount": {"amount": 4_200, "currency": account["currency"]},
        "reference": "cash"});
    cashier
        .post_once("/api/v1/deposits", &new_key(), cash)
        .await
        .expect(201);
    freeze(&teller, &account).await.expect(200);
    found(&auditor, "action=deposit.create&decision=allow").await;
    found(&auditor, "action=account.freeze&decision=allow").await;
    assert_eq!(server.stop().await, Some(0));
    let (clean, said) = findings(&server);
    assert!(clean, "{said}");
    let row = "action = 'account.freeze'";
    let mut owner = Owner::of(&server).await;
    let (no, yes) = match owner {
        Owner::Sqlite(_) => ("0", "1"),
        Owner::Postgres(_) => ("false", "true"),
    };
    let before = owner
        .bytes(&format!("SELECT mac FROM decisions WHERE {row}"))
        .await;
    let record = owner
        .number(&format!("SELECT record FROM decisions WHERE {row}"))
        .await;
    let forged = code_refused(&mut owner, &server, row).await;
    let (forged, before) = (owner.literal(&forged), owner.literal(&before));
    let id = owner.read_id("id");
    let cash = format!("SELECT {id} FROM decisions WHERE action = 'deposit.create' AND amount = 4200");
    let cash = owner.bytes(&cash).await;
    let cash = format!("{id} = {}", owner.literal(&cash));
    let cash_record = owner
        .number(&format!("SELECT record FROM decisions WHERE {cash}"))
        .await;
    let reason = owner
        .bytes(&format!("SELECT sealed_reason FROM decisions WHERE {cash}"))
        .await;
    let moved = [reason.as_slice(), &[0, 3], &4_200_i64.to_be_bytes(), b"EUR"].concat();
    let (reason, moved) = (owner.literal(&reason), owner.literal(&moved));
    // Another amount; none, with its bytes in another column. A decision that says the opposite with the right code,
    // back again; one of another batch; one more; one less.
    let edits = [
        (
            format!("UPDATE decisions SET amount = 42 WHERE {cash}"),
            "decisions_changed",
            format!("UPDATE decisions SET amount = 4200 WHERE {cash}"),
        ),
        (
            format!(
                "UPDATE decisions SET amount = NULL, currency = NULL, sealed_reason = {moved} WHERE {cash}"
            ),
            "decisions_changed",
            format!(
                "UPDATE decisions SET amount = 4200, currency = 'EUR', sealed_reason = {reason} WHERE {cash}"
            ),
        ),
        (
            format!("UPDATE decisions SET allowed = {no}, mac = {forged} WHERE {row}"),
            "decisions_changed",
            format!("UPDATE decisions SET allowed = {yes}, mac = {before} WHERE {row}"),
        ),
        (
            format!("UPDATE decisions SET record = 0 WHERE {row}"),
            "decisions_missing",
            format!("UPDATE decisions SET record = {record} WHERE {row}"),
        ),
        (
            format!("UPDATE decisions SET record = 1 WHERE {row}"),
            "decisions_unrecorded",
            format!("UPDATE decisions SET record = {record} WHERE {row}"),
        ),
        (
            format!("DELETE FROM decisions WHERE {row}"),
            "decisions_missing",
            String::new(),
        ),
    ];
    for (edit, code, undo) in edits {
        assert_eq!(owner.run(&edit).await, 1, "{edit}");
        owner.close().await;
        let (clean, said) = findings(&server);
        assert!(!clean && said.contains(code), "{edit}: {said}");
        let record = if edit.ends_with(&cash) {
            cash_record
        } else {
            record
        };
        assert!(
            said.contains(&format!("of audit record {record}")) || code == "decisions_unrecorded",
            "{said}"
        );
        owner = reopened(&server).await;
        if !undo.is_empty() {
            assert_eq!(owner.run(&undo).await, 1, "{undo}");
            owner.close().await;
            let (clean, said) = findings(&server);
            assert!(clean, "{said}");
            owner = reopened(&server).await;
        }
    }
    owner.close().await;
}

/// The same again; triggers that are gone stay so.
async fn reopened(server: &Server) -> Owner {
    match server.database() {
        None => {
            let options = SqliteConnectOptions::new().filename(server.data().join("strongroom.db"));
            Owner::Sqlite(SqliteConnection::connect_with(&options).await.unwrap())
        }
        Some(_) => Owner::of(server).await,
    }
}
