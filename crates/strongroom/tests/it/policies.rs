//! Policies of the bank's own: written, checked, put in force by two administrators, and taken back.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Engine, Person, Server, decide, people::new_key, stories, until};

const POLICIES: &str = "/api/v1/admin/policies";
const APPROVALS: &str = "/api/v1/admin/approvals";
pub(crate) const NO_FREEZE: &str =
    r#"forbid (principal in Role::"teller", action == Action::"account.freeze", resource);"#;
const HARMLESS: &str = r#"forbid (principal in Role::"support", action == Action::"key.manage", resource);"#;
const EVERYTHING: &str = "permit (principal, action, resource);";
const NOTHING: &str = "forbid (principal, action, resource);";

/// New administrators decide at once.
const SETTINGS: &[(&str, &str)] = &[("STRONGROOM_APPROVALS__BOOTSTRAP", "true")];

stories!(
    with SETTINGS;
    a_policy_is_in_force_from_the_next_request_after_two_administrators,
    going_back_is_an_earlier_text_in_force,
    the_newest_text_comes_in_force_where_nothing_else_is_said,
    what_would_lock_out_break_a_rail_or_fail_its_cases_comes_not_in_force,
    guardrails_hold_where_everything_is_permitted,
    conditions_see_amount_and_address,
    conditions_see_the_state_of_an_account,
    three_approvals_at_once_are_all_in_force,
    who_may_not_write_policies_learns_nothing_of_them,
    the_host_takes_back_what_locks_everybody_out,
    the_host_writes_policies_and_asks_for_roles_that_administrators_decide,
);

/// Two administrators.
pub(crate) struct Desk {
    pub(crate) maker: Person,
    checker: Person,
}

impl Desk {
    pub(crate) async fn of(server: &Server) -> Self {
        Self {
            maker: server.operator("admin").await,
            checker: server.operator("admin").await,
        }
    }

    async fn draft(&self, text: &str) -> String {
        let body = json!({"name": new_key(), "text": text});
        let kept = self.maker.client.post(POLICIES, body).await.expect(201);
        assert_eq!(kept.body["state"], "draft");
        kept.text("id")
    }

    async fn ask(&self, id: &str, verb: &str, body: Value) -> Answer {
        let path = format!("{POLICIES}/{id}/{verb}");
        match verb {
            "deactivate" => {
                let request = self.maker.client.request(Method::POST, &path);
                self.maker.client.send(request).await
            }
            _ => self.maker.client.post(&path, body).await,
        }
    }

    async fn approve(&self, asked: &Answer) -> Answer {
        decide(&self.checker, &asked.text("approval_id"), "approve").await
    }

    pub(crate) async fn put_in_force(&self, text: &str) -> String {
        let id = self.draft(text).await;
        let asked = self.ask(&id, "activate", json!({})).await.expect(202);
        self.approve(&asked).await.expect(200);
        id
    }
}

/// A teller and a customer's account.
pub(crate) async fn counter(server: &Server) -> (Person, Person, String) {
    let (teller, alice) = (server.operator("teller").await, server.customer("alice").await);
    let id = alice.account("Main").await["id"].as_str().unwrap().to_owned();
    (teller, alice, id)
}

pub(crate) async fn freeze(teller: &Person, account: &str) -> Answer {
    let path = format!("/api/v1/admin/accounts/{account}/freeze");
    teller.client.post(&path, json!({"scope": "all"})).await
}

pub(crate) fn asks(roles: &[&str], action: &str) -> Value {
    json!({"principal": {"kind": "user", "roles": roles}, "action": action, "resource": {"owner": "anothers"},
        "context": {"assurance": 2}})
}

async fn a_policy_is_in_force_from_the_next_request_after_two_administrators(mut server: Server) {
    let desk = Desk::of(&server).await;
    let (teller, _, account) = counter(&server).await;
    freeze(&teller, &account).await.expect(200);
    let id = desk.draft(NO_FREEZE).await;
    let simulate = format!("{POLICIES}/simulate");
    let question = asks(&["teller"], "account.freeze");
    let before = desk
        .maker
        .client
        .post(&simulate, question.clone())
        .await
        .expect(200);
    assert_eq!(before.body["allowed"], true);
    assert_eq!(before.body["reasons"], json!(["teller.counter"]));
    assert_eq!(before.body["facts"]["assurance"], 2);
    let asked = desk.ask(&id, "activate", json!({})).await.expect(202);
    freeze(&teller, &account).await.expect(200);
    // Who asks does not decide.
    let own = format!("{APPROVALS}/{}/approve", asked.text("approval_id"));
    let refused = desk.maker.client.post(&own, json!({})).await;
    refused.refused(403, "maker_is_checker");
    freeze(&teller, &account).await.expect(200);
    desk.approve(&asked).await.expect(200);
    freeze(&teller, &account).await.refused(403, "forbidden");
    let after = desk.maker.client.post(&simulate, question).await.expect(200);
    assert_eq!(after.body["allowed"], false);
    assert_eq!(after.body["policy_version"], 2);
    let reasons = after.body["reasons"].as_array().unwrap();
    let read = desk
        .maker
        .client
        .get(&format!("{POLICIES}/{id}"))
        .await
        .expect(200);
    assert_eq!(read.body["state"], "active");
    let name = read.text("name");
    assert!(
        reasons[0].as_str().unwrap().starts_with(&format!("{name}/")),
        "{reasons:?}"
    );
    let delete = |client: &crate::harness::Client| {
        let request = client.request(Method::DELETE, &format!("{POLICIES}/{id}"));
        let client = client.clone();
        async move { client.send(request).await }
    };
    delete(&desk.maker.client).await.refused(409, "policy_active");
    // Also in the next process.
    assert_eq!(server.stop().await, Some(0));
    server.resume().await;
    freeze(&teller, &account).await.refused(403, "forbidden");
    let asked = desk.ask(&id, "deactivate", json!({})).await.expect(202);
    desk.approve(&asked).await.expect(200);
    freeze(&teller, &account).await.expect(200);
    let again = desk.ask(&id, "deactivate", json!({})).await;
    again.refused(409, "policy_not_active");
    delete(&desk.maker.client).await.expect(204);
    delete(&desk.maker.client).await.refused(404, "not_found");
    let listed = desk.maker.client.get(POLICIES).await.expect(200);
    assert_eq!(listed.body["data"], json!([]));
}

async fn the_newest_text_comes_in_force_where_nothing_else_is_said(server: Server) {
    let desk = Desk::of(&server).await;
    let (teller, _, account) = counter(&server).await;
    let id = desk.draft(NO_FREEZE).await;
    let path = format!("{POLICIES}/{id}/activate");
    let bare = desk.maker.client.request(Method::POST, &path);
    let asked = desk.maker.client.send(bare).await.expect(202);
    desk.approve(&asked).await.expect(200);
    freeze(&teller, &account).await.refused(403, "forbidden");
}

async fn going_back_is_an_earlier_text_in_force(server: Server) {
    let desk = Desk::of(&server).await;
    let (teller, _, account) = counter(&server).await;
    let id = desk.put_in_force(NO_FREEZE).await;
    freeze(&teller, &account).await.refused(403, "forbidden");
    let path = format!("{POLICIES}/{id}");
    let request = desk.maker.client.request(Method::PUT, &path);
    let written = desk
        .maker
        .client
        .send(request.json(&json!({"text": HARMLESS})))
        .await
        .expect(200);
    assert_eq!(
        (&written.body["newest_revision"], &written.body["active_revision"]),
        (&json!(2), &json!(1))
    );
    freeze(&teller, &account).await.refused(403, "forbidden");
    let asked = desk.ask(&id, "activate", json!({})).await.expect(202);
    desk.approve(&asked).await.expect(200);
    freeze(&teller, &account).await.expect(200);
    let none = desk.ask(&id, "activate", json!({"revision": 3})).await;
    none.refused(400, "validation_failed");
    let asked = desk
        .ask(&id, "activate", json!({"revision": 1}))
        .await
        .expect(202);
    desk.approve(&asked).await.expect(200);
    freeze(&teller, &account).await.refused(403, "forbidden");
}

async fn what_would_lock_out_break_a_rail_or_fail_its_cases_comes_not_in_force(server: Server) {
    let desk = Desk::of(&server).await;
    let (teller, _, account) = counter(&server).await;
    for wrong in [
        json!({"name": "a", "text": "allow (principal, action, resource);"}),
        json!({"name": "a", "text": "permit (principal, action == Action::\"no.such\", resource);"}),
        json!({"name": "a", "text": "permit (principal is Job, action, resource);"}),
        json!({"name": "Not A Name", "text": HARMLESS}),
        json!({"name": "a", "text": HARMLESS, "tests": [{"name": "", "allowed": true,
            "question": asks(&["teller"], "account.freeze")}]}),
        json!({"name": "a", "text": HARMLESS, "tests": [{"name": "x", "allowed": true,
            "question": asks(&["emperor"], "account.freeze")}]}),
    ] {
        let refused = desk.maker.client.post(POLICIES, wrong).await;
        refused.refused(400, "validation_failed");
    }
    let id = desk.draft(NOTHING).await;
    let locks = desk.ask(&id, "activate", json!({})).await;
    locks.refused(422, "policy_locks_out");
    let case = |allowed: bool| json!([{"name": "tellers freeze", "question": asks(&["teller"], "account.freeze"), "allowed": allowed}]);
    for (allowed, valid) in [(true, false), (false, true)] {
        let name = new_key();
        let body = json!({"name": name, "text": NO_FREEZE, "tests": case(allowed)});
        let found = desk
            .maker
            .client
            .post(&format!("{POLICIES}/validate"), body.clone())
            .await
            .expect(200);
        assert_eq!(found.body["valid"], valid, "{found:?}");
        assert_eq!(found.body["tests"][0]["passed"], valid);
        let kept = desk.maker.client.post(POLICIES, body.clone()).await.expect(201);
        let again = desk.maker.client.post(POLICIES, body).await;
        again.refused(409, "policy_name_taken");
        let asked = desk.ask(&kept.text("id"), "activate", json!({})).await;
        if valid {
            desk.approve(&asked.expect(202)).await.expect(200);
        } else {
            asked.refused(422, "policy_tests_failed");
            freeze(&teller, &account).await.expect(200);
        }
    }
    freeze(&teller, &account).await.refused(403, "forbidden");
    // The cases of what is in force hold also against what comes later.
    let id = desk.draft(HARMLESS).await;
    desk.ask(&id, "activate", json!({})).await.expect(202);
}

async fn guardrails_hold_where_everything_is_permitted(server: Server) {
    let desk = Desk::of(&server).await;
    let (teller, alice, account) = counter(&server).await;
    let (auditor, bob) = (server.operator("auditor").await, server.customer("bob").await);
    let blocks = |person: &Person| {
        let client = person.client.clone();
        async move { client.get("/api/v1/admin/blocks").await }
    };
    blocks(&teller).await.refused(403, "forbidden");
    desk.put_in_force(EVERYTHING).await;
    blocks(&teller).await.expect(200);
    freeze(&auditor, &account).await.refused(403, "forbidden");
    let cash = json!({"account_id": account, "amount": {"amount": 100, "currency": "EUR"}, "reference": "x"});
    let deposit = |person: &Person| {
        let (client, cash) = (person.client.clone(), cash.clone());
        async move { client.post_once("/api/v1/deposits", &new_key(), cash).await }
    };
    deposit(&teller).await.expect(201);
    deposit(&desk.maker).await.refused(403, "forbidden");
    deposit(&bob).await.refused(403, "forbidden");
    let path = format!("/api/v1/accounts/{account}");
    alice.client.get(&path).await.expect(200);
    bob.client.get(&path).await.refused(404, "account_not_found");
    bob.client.get(POLICIES).await.refused(403, "forbidden");
}

async fn conditions_see_amount_and_address(server: Server) {
    let desk = Desk::of(&server).await;
    let (teller, alice) = (server.operator("teller").await, server.customer("alice").await);
    let (from, to) = (alice.account("From").await, alice.account("To").await);
    teller.deposit(&from, 10_000).await.expect(201);
    alice.transfer(&new_key(), &from, &to, 501).await.expect(201);
    desk.put_in_force(
        r#"forbid (principal, action == Action::"transfer.create", resource)
           when { context has amount && context has currency && context.currency == "EUR" && context.amount > 500 };"#,
    )
    .await;
    alice.transfer(&new_key(), &from, &to, 500).await.expect(201);
    let much = alice.transfer(&new_key(), &from, &to, 501).await;
    much.refused(403, "forbidden");
    let batch = |amount: i64| {
        let one = json!({"from_account_id": from["id"], "to_account_id": to["id"],
            "amount": {"amount": amount, "currency": "EUR"}});
        let client = alice.client.clone();
        async move {
            let body = json!({"mode": "independent", "transfers": [one]});
            client
                .post_once("/api/v1/transfers/batch", &new_key(), body)
                .await
        }
    };
    batch(500).await.expect(200);
    batch(501).await.refused(403, "forbidden");
    assert_eq!(alice.posted(&to).await, 501 + 500 + 500);
    desk.put_in_force(
        r#"forbid (principal in Role::"teller", action == Action::"deposit.create", resource)
           unless { context has address && context.address.isInRange(ip("127.7.0.0/16")) };"#,
    )
    .await;
    teller.deposit(&from, 1).await.refused(403, "forbidden");
    let inside = server.client_from("127.7.1.2").with_token(teller.client.token());
    let cash =
        json!({"account_id": from["id"], "amount": {"amount": 1, "currency": "EUR"}, "reference": "x"});
    inside
        .post_once("/api/v1/deposits", &new_key(), cash)
        .await
        .expect(201);
}

async fn conditions_see_the_state_of_an_account(server: Server) {
    let desk = Desk::of(&server).await;
    let (teller, _, account) = counter(&server).await;
    let text = r#"forbid (principal in Role::"teller", action == Action::"account.freeze", resource)
        unless { context has account_state && context.account_state == "active" };"#;
    desk.put_in_force(text).await;
    // What is active is frozen; what is frozen already is not frozen again.
    freeze(&teller, &account).await.expect(200);
    freeze(&teller, &account).await.refused(403, "forbidden");
}

async fn three_approvals_at_once_are_all_in_force(server: Server) {
    let desk = Desk::of(&server).await;
    let checkers = [
        server.operator("admin").await,
        server.operator("admin").await,
        server.operator("admin").await,
    ];
    for _ in 0..3 {
        let mut asked = Vec::new();
        for _ in 0..checkers.len() {
            let id = desk.draft(HARMLESS).await;
            asked.push((desk.ask(&id, "activate", json!({})).await.expect(202), id));
        }
        let sent = asked.iter().zip(&checkers).map(|((asked, _), checker)| {
            let path = format!("{APPROVALS}/{}/approve", asked.text("approval_id"));
            async move { checker.client.post(&path, json!({})).await }
        });
        for answer in join_all(sent).await {
            answer.expect(200);
        }
        for (_, id) in &asked {
            let read = desk
                .maker
                .client
                .get(&format!("{POLICIES}/{id}"))
                .await
                .expect(200);
            assert_eq!(read.body["state"], "active");
        }
    }
}

async fn who_may_not_write_policies_learns_nothing_of_them(server: Server) {
    let desk = Desk::of(&server).await;
    let (auditor, teller) = (server.operator("auditor").await, server.operator("teller").await);
    let id = desk.draft(HARMLESS).await;
    let path = format!("{POLICIES}/{id}");
    auditor.client.get(&path).await.expect(200);
    teller.client.get(&path).await.refused(403, "forbidden");
    for person in [&auditor, &teller] {
        let draft = json!({"name": new_key(), "text": HARMLESS});
        person
            .client
            .post(POLICIES, draft)
            .await
            .refused(403, "forbidden");
        let activate = person.client.post(&format!("{path}/activate"), json!({})).await;
        activate.refused(403, "forbidden");
        let request = person.client.request(Method::DELETE, &path);
        person.client.send(request).await.refused(403, "forbidden");
    }
    let asked = desk.ask(&id, "activate", json!({})).await.expect(202);
    let approve = format!("{APPROVALS}/{}/approve", asked.text("approval_id"));
    auditor
        .client
        .post(&approve, json!({}))
        .await
        .refused(403, "forbidden");
}

async fn the_host_takes_back_what_locks_everybody_out(server: Server) {
    let desk = Desk::of(&server).await;
    let (teller, _, account) = counter(&server).await;
    // Both administrators are where they still may; then they go.
    let body = json!({"name": "elsewhere", "text": r#"forbid (principal, action, resource)
        unless { context has address && context.address.isInRange(ip("127.9.0.0/16")) };"#});
    let id = desk
        .maker
        .client
        .post(POLICIES, body)
        .await
        .expect(201)
        .text("id");
    let there = |person: &Person| server.client_from("127.9.1.1").with_token(person.client.token());
    let asked = there(&desk.maker)
        .post(&format!("{POLICIES}/{id}/activate"), json!({}))
        .await
        .expect(202);
    let approve = format!("{APPROVALS}/{}/approve", asked.text("approval_id"));
    there(&desk.checker).post(&approve, json!({})).await.expect(200);
    freeze(&teller, &account).await.refused(403, "forbidden");
    desk.maker.client.get(POLICIES).await.refused(403, "forbidden");
    let (ok, out, err) = server.cli(&["policy", "list", "--json"]);
    assert!(ok && out.contains("elsewhere"), "{out}{err}");
    let (ok, out, _) = server.cli(&["policy", "deactivate", "--name", "nothing", "--json"]);
    assert!(!ok, "{out}");
    let (ok, out, err) = server.cli(&["policy", "deactivate", "--name", "elsewhere", "--json"]);
    assert!(ok, "{out}{err}");
    freeze(&teller, &account).await.expect(200);
    desk.maker.client.get(POLICIES).await.expect(200);
}

async fn the_host_writes_policies_and_asks_for_roles_that_administrators_decide(server: Server) {
    let (admin, auditor) = (server.operator("admin").await, server.operator("auditor").await);
    let (teller, _, account) = counter(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let (text, tests) = (
        folder.path().join("policy.cedar"),
        folder.path().join("tests.json"),
    );
    let mut case = json!([{"name": "tellers freeze nothing", "allowed": true,
        "question": asks(&["teller"], "account.freeze")}]);
    std::fs::write(&text, NO_FREEZE).unwrap();
    std::fs::write(&tests, case.to_string()).unwrap();
    let (text, tests) = (text.to_str().unwrap(), tests.to_str().unwrap());
    let run = |words: &[&str]| {
        let (ok, out, err) = server.cli(&[words, &["--json"]].concat());
        (
            ok,
            serde_json::from_str::<Value>(&out).unwrap_or(Value::Null),
            err,
        )
    };
    let with_text = ["--name", "no-freeze", "--file", text, "--tests", tests];
    let (ok, said, _) = run(&[&["policy", "validate"], &with_text[..]].concat());
    assert!(!ok && said["tests"][0]["passed"] == false, "{said}");
    case[0]["allowed"] = json!(false);
    std::fs::write(tests, case.to_string()).unwrap();
    let (ok, said, err) = run(&[&["policy", "validate"], &with_text[..]].concat());
    assert!(ok && said["valid"] == true, "{said}{err}");
    for revision in [1, 2] {
        let (ok, said, err) = run(&[&["policy", "draft"], &with_text[..]].concat());
        assert!(ok && said["revision"] == revision, "{said}{err}");
    }
    let decide = async |said: &Value| {
        let path = format!("{APPROVALS}/{}/approve", said["approval_id"].as_str().unwrap());
        admin.client.post(&path, json!({})).await.expect(200)
    };
    let (ok, asked, err) = run(&["policy", "activate", "--name", "no-freeze"]);
    assert!(ok, "{asked}{err}");
    freeze(&teller, &account).await.expect(200);
    decide(&asked).await;
    freeze(&teller, &account).await.refused(403, "forbidden");
    let (ok, asked, err) = run(&["policy", "rollback", "--name", "no-freeze", "--revision", "1"]);
    assert!(ok, "{asked}{err}");
    decide(&asked).await;
    let (ok, said, _) = run(&["policy", "rollback", "--name", "no-freeze", "--revision", "7"]);
    assert!(!ok, "{said}");

    let role = ["--email", &teller.email, "--role", "auditor"];
    let (ok, asked, err) = run(&[&["grant", "add"], &role[..]].concat());
    assert!(ok, "{asked}{err}");
    teller
        .client
        .get("/api/v1/admin/audit/records")
        .await
        .refused(403, "forbidden");
    decide(&asked).await;
    teller.client.get("/api/v1/admin/audit/records").await.expect(200);
    let (ok, listed, err) = run(&["grant", "list", "--email", &teller.email]);
    assert!(
        ok && listed["data"].as_array().unwrap().len() == 2,
        "{listed}{err}"
    );
    let (ok, said, err) = run(&[&["grant", "take"], &role[..]].concat());
    assert!(ok, "{said}{err}");
    teller
        .client
        .get("/api/v1/admin/audit/records")
        .await
        .refused(403, "forbidden");
    // Nobody administrates for good besides.
    let last = ["grant", "take", "--email", &admin.email, "--role", "admin"];
    let (ok, said, err) = run(&last);
    assert!(!ok && err.contains("last_administrator"), "{said}{err}");

    // The log names the host for each of them, once they are sealed.
    until("records of the host", async || {
        let path = "/api/v1/admin/audit/records?limit=100";
        let records = auditor.client.get(path).await.expect(200);
        let records = records.body["data"].as_array().unwrap().clone();
        let by_host = |action: &&str| {
            let mut all = records.iter();
            all.any(|record| record["principal_kind"] == "cli" && record["action"] == *action)
        };
        let all = ["policy.write", "approval.request", "grant.revoke"];
        all.iter().all(by_host)
    })
    .await;
}

mod on_two_nodes {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_next_request_on_every_node_is_decided_under_the_new_policies() {
        let Some(first) = Server::start_with(Engine::Postgres, SETTINGS).await else {
            return;
        };
        let second = first.start_beside().await;
        let desk = Desk::of(&first).await;
        let here = first.customer("alice").await;
        let id = here.account("Main").await["id"].as_str().unwrap().to_owned();
        let there = second.login(&here.email, &here.password).await;
        let rename = |person: &Person| {
            let (client, path) = (person.client.clone(), format!("/api/v1/accounts/{id}"));
            async move { client.patch(&path, json!({"name": "Renamed"})).await }
        };
        let text = r#"forbid (principal in Role::"customer", action == Action::"account.rename", resource);"#;
        for _ in 0..5 {
            rename(&here).await.expect(200);
            rename(&there).await.expect(200);
            let policy = desk.put_in_force(text).await;
            rename(&there).await.refused(404, "account_not_found");
            rename(&here).await.refused(404, "account_not_found");
            let asked = desk.ask(&policy, "deactivate", json!({})).await.expect(202);
            desk.approve(&asked).await.expect(200);
            rename(&there).await.expect(200);
        }
    }
}
