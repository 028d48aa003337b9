//! What cannot be written down is not done: while nothing can be added to the audit log, every change fails as a whole.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    harness::{Answer, Engine, Person, Server, decide, people::new_key, stories},
    payments::is_clean,
};

const USERS: &str = "/api/v1/admin/users";
/// The first password of a story's customer is replaced by this one, or not.
const OTHER_PASSWORD: &str = "osprey-58-lantern-quilt-harbour";

/// New administrators decide at once; lines of the log are JSON.
const SETTINGS: &[(&str, &str)] = &[
    ("STRONGROOM_APPROVALS__BOOTSTRAP", "true"),
    ("STRONGROOM_LOG__FORMAT", "json"),
];

stories!(
    with SETTINGS;
    what_cannot_be_written_down_is_not_done,
);

/// The tables that a change writes its record to in its own commit.
const fn tables(engine: Engine) -> &'static [&'static str] {
    match engine {
        Engine::Sqlite => &["audit_records", "audit_leaves"],
        // The sealer gives places later, in transactions of its own.
        Engine::Postgres => &["audit_records"],
    }
}

async fn forbid(server: &Server, table: &str) {
    match server.engine {
        Engine::Sqlite => {
            let sql = format!(
                "CREATE TRIGGER forbidden BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'by the owner'); END"
            );
            server.as_owner(&sql).await;
        }
        Engine::Postgres => {
            let raise = "BEGIN RAISE EXCEPTION 'by the owner'; END";
            server
                .as_owner(&format!(
                    "CREATE OR REPLACE FUNCTION forbid() RETURNS trigger LANGUAGE plpgsql AS $$ {raise} $$"
                ))
                .await;
            let sql = format!(
                "CREATE TRIGGER forbidden BEFORE INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION forbid()"
            );
            server.as_owner(&sql).await;
        }
    }
}

async fn allow(server: &Server, table: &str) {
    let sql = match server.engine {
        Engine::Sqlite => "DROP TRIGGER forbidden".to_owned(),
        Engine::Postgres => format!("DROP TRIGGER forbidden ON {table}"),
    };
    server.as_owner(&sql).await;
}

/// Everybody, and what is theirs.
struct Town {
    alice: Person,
    admin: Person,
    checker: Person,
    teller: Person,
    from: Value,
    to: Value,
}

impl Town {
    async fn of(server: &Server) -> Self {
        let alice = server.customer("alice").await;
        let (from, to) = (alice.account("Main").await, alice.account("Other").await);
        let teller = server.operator("teller").await;
        teller.deposit(&from, 10_000).await.expect(201);
        Self {
            alice,
            admin: server.operator("admin").await,
            checker: server.operator("admin").await,
            teller,
            from,
            to,
        }
    }

    fn account(&self) -> String {
        self.from["id"].as_str().unwrap().to_owned()
    }

    /// All that could have changed.
    async fn state(&self) -> Value {
        let (user, teller) = (self.alice.id().await, self.teller.id().await);
        let read = async |path: String| self.admin.client.get(&path).await.expect(200).body;
        json!({
            "alice": read(format!("{USERS}/{user}")).await,
            "sessions": read(format!("{USERS}/{user}/sessions")).await["data"].as_array().unwrap().len(),
            "grants": read(format!("{USERS}/{teller}/grants")).await,
            "approvals": read("/api/v1/admin/approvals".to_owned()).await,
            "account": self.alice.client.get(&format!("/api/v1/accounts/{}", self.account())).await.expect(200).body,
            "posted": [self.alice.posted(&self.from).await, self.alice.posted(&self.to).await],
        })
    }
}

/// One change of each kind, and what it is called.
async fn changes(town: &Town, keys: &[String; 2], approval: &str) -> Vec<(&'static str, Answer)> {
    let (alice, admin, teller) = (&town.alice.client, &town.admin.client, &town.teller.client);
    let (hers, tellers) = (town.alice.id().await, town.teller.id().await);
    let rename = alice.request(Method::PATCH, "/api/v1/me");
    let place = admin.request(Method::PUT, &format!("{USERS}/{hers}/department"));
    vec![
        (
            "transfer",
            town.alice.transfer(&keys[0], &town.from, &town.to, 100).await,
        ),
        (
            "deposit",
            teller
                .post_once(
                    "/api/v1/deposits",
                    &keys[1],
                    json!({"account_id": town.from["id"], "amount": {"amount": 7, "currency": "EUR"}}),
                )
                .await,
        ),
        (
            "freeze",
            teller
                .post(
                    &format!("/api/v1/admin/accounts/{}/freeze", town.account()),
                    json!({"scope": "all"}),
                )
                .await,
        ),
        (
            "request for a role",
            admin
                .post(&format!("{USERS}/{tellers}/grants"), json!({"role": "support"}))
                .await,
        ),
        ("role", decide(&town.checker, approval, "approve").await),
        (
            "name",
            alice
                .send(rename.json(&json!({"full_name": "Alice Other"})))
                .await,
        ),
        (
            "password",
            alice
                .post(
                    "/api/v1/auth/password/change",
                    json!({"current_password": town.alice.password, "new_password": OTHER_PASSWORD}),
                )
                .await,
        ),
        (
            "department",
            admin.send(place.json(&json!({"department": "north"}))).await,
        ),
        (
            "lock",
            admin
                .post(
                    &format!("{USERS}/{hers}/lock"),
                    json!({"reason": "asked for by phone"}),
                )
                .await,
        ),
    ]
}

/// The lines of the log about a request.
fn lines(server: &Server, request: &str) -> Vec<Value> {
    let logged = server.logged();
    let all = logged.lines().filter(|line| line.contains(request));
    all.filter_map(|line| serde_json::from_str(line).ok()).collect()
}

async fn what_cannot_be_written_down_is_not_done(server: Server) {
    let town = Town::of(&server).await;
    let teller = town.teller.id().await;
    let asked = town
        .admin
        .client
        .post(&format!("{USERS}/{teller}/grants"), json!({"role": "compliance"}))
        .await
        .expect(202);
    let approval = asked.text("approval_id");
    let keys = [new_key(), new_key()];
    let before = town.state().await;
    for table in tables(server.engine) {
        forbid(&server, table).await;
        let mut failed = changes(&town, &keys, &approval).await;
        let login = json!({"email": town.alice.email, "password": town.alice.password});
        failed.push(("login", server.client().post("/api/v1/auth/login", login).await));
        let between = town.state().await;
        allow(&server, table).await;
        for (what, answer) in &failed {
            assert!(
                answer.status >= 500,
                "{what} without a line in {table}: {answer:?}"
            );
            // Whoever is told so can be helped: the log knows the request, and why it failed.
            let request = answer.text("request_id");
            assert_eq!(answer.header("x-request-id"), Some(request.as_str()));
            let lines = lines(&server, &request);
            let mut told = lines.iter().filter(|line| line["target"] != "access");
            assert!(
                told.any(|line| line["request_id"] == request.as_str()),
                "{what}: {lines:?}"
            );
            assert!(!answer.body.to_string().contains("owner"), "{answer:?}");
        }
        assert_eq!(between, before, "{table}");
        assert_eq!(town.state().await, before, "{table}");
    }
    // And now the same, under the same keys, once.
    for (what, answer) in changes(&town, &keys, &approval).await {
        assert!(answer.status < 300, "{what}: {answer:?}");
    }
    let after = town.admin.client.get(&format!("{USERS}/{teller}/grants")).await;
    let roles: Vec<_> = after.expect(200).body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|grant| grant["role"].as_str().unwrap().to_owned())
        .collect();
    assert!(roles.contains(&"compliance".to_owned()), "{roles:?}");
    is_clean(&server);
}
