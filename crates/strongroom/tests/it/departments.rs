//! Where operators work and customers belong: roles that count in one department, and policies that ask for it.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    decisions::found,
    harness::{Answer, BUSY, Engine, Person, Server, decide, people::new_key, stories},
    payments::euros,
};

const USERS: &str = "/api/v1/admin/users";
const ACCOUNTS: &str = "/api/v1/admin/accounts";
/// New administrators decide at once; cash above a hundred euros takes two.
const SETTINGS: &[(&str, &str)] = &[
    BUSY[0],
    BUSY[1],
    BUSY[2],
    BUSY[3],
    BUSY[4],
    BUSY[5],
    ("STRONGROOM_APPROVALS__BOOTSTRAP", "true"),
    ("STRONGROOM_COUNTER__TWO_PEOPLE_OVER", "100"),
];

stories! {
    with SETTINGS;
    a_teller_of_one_department_serves_its_customers_and_nobody_elses,
    whoever_moves_to_another_department_is_served_there_from_the_next_request,
    a_role_for_one_department_is_given_by_two_and_gives_nothing_beyond_it,
    nobody_says_to_which_department_one_belongs_oneself,
    what_a_department_asks_for_is_decided_by_who_works_everywhere,
    a_policy_of_departments_is_about_both_and_never_about_nothing,
}

async fn place(admin: &Person, user: &str, department: Value) -> Answer {
    let path = format!("{USERS}/{user}/department");
    let request = admin.client.request(Method::PUT, &path);
    admin
        .client
        .send(request.json(&json!({"department": department})))
        .await
}

/// Two administrators, and the role of a teller that counts in one department only.
struct Desk {
    admins: [Person; 2],
    teller: Person,
}

async fn give(admins: &[Person; 2], user: &str, body: Value) {
    let asked = admins[0]
        .client
        .post(&format!("{USERS}/{user}/grants"), body)
        .await
        .expect(202);
    decide(&admins[1], &asked.text("approval_id"), "approve")
        .await
        .expect(200);
}

async fn desk(server: &Server, department: &str) -> Desk {
    let admins = [server.operator("admin").await, server.operator("admin").await];
    let teller = server.operator("teller").await;
    let body = json!({"role": "teller", "department": department});
    give(&admins, &teller.id().await, body).await;
    Desk { admins, teller }
}

async fn account(teller: &Person, account: &Value) -> Answer {
    let id = account["id"].as_str().unwrap();
    teller.client.get(&format!("/api/v1/accounts/{id}")).await
}

async fn deposit(teller: &Person, account: &Value, minor: i64) -> Answer {
    let body = json!({"account_id": account["id"], "amount": euros(minor)});
    teller
        .client
        .post_once("/api/v1/deposits", &new_key(), body)
        .await
}

async fn a_teller_of_one_department_serves_its_customers_and_nobody_elses(server: Server) {
    let Desk { admins, teller } = desk(&server, "north").await;
    let anywhere = server.operator("teller").await;
    let (alice, bob, carol) = (
        server.customer("alice").await,
        server.customer("bob").await,
        server.customer("carol").await,
    );
    place(&admins[0], &alice.id().await, json!("north"))
        .await
        .expect(200);
    let placed = place(&admins[0], &bob.id().await, json!("south"))
        .await
        .expect(200);
    assert_eq!(placed.body["department"], "south");
    let mut accounts = Vec::new();
    for person in [&alice, &bob, &carol] {
        let account = person.account("Household").await;
        anywhere.deposit(&account, 5_000).await.expect(201);
        accounts.push(account);
    }
    // Carol belongs nowhere: what is absent is in no department.
    for (number, person) in [&alice, &bob, &carol].into_iter().enumerate() {
        let mine = number == 0;
        let known = |answer: Answer, status: u16| match mine {
            true => drop(answer.expect(status)),
            false => drop(answer.refused(403, "forbidden")),
        };
        let (opened, id) = (&accounts[number], person.id().await);
        let text = opened["id"].as_str().unwrap();
        known(account(&teller, opened).await, 200);
        for part in ["balance", "transactions"] {
            known(
                teller
                    .client
                    .get(&format!("/api/v1/accounts/{text}/{part}"))
                    .await,
                200,
            );
        }
        known(teller.client.get(&format!("{ACCOUNTS}/{text}/limits")).await, 200);
        known(
            teller.client.get(&format!("{ACCOUNTS}?customer_id={id}")).await,
            200,
        );
        let email = person.email.replace('@', "%40");
        known(teller.client.get(&format!("{USERS}?email={email}")).await, 200);
        known(deposit(&teller, opened, 700).await, 201);
        let new = json!({"customer_id": id, "kind": "savings", "currency": "EUR", "name": "Savings"});
        known(teller.client.post_once(ACCOUNTS, &new_key(), new).await, 201);
        for verb in ["freeze", "unfreeze"] {
            let path = format!("{ACCOUNTS}/{text}/{verb}");
            known(teller.client.post(&path, json!({})).await, 200);
        }
        account(&anywhere, opened).await.expect(200);
        assert_eq!(person.posted(opened).await, if mine { 5_700 } else { 5_000 });
    }
    // What is reserved for somebody of the north, or by somebody, is the north's to see and to give back.
    for (from, to, mine) in [(0, 1, true), (1, 0, true), (1, 2, false)] {
        let body = json!({"account_id": accounts[from]["id"], "to_account_id": accounts[to]["id"],
            "amount": {"amount": 50, "currency": "EUR"}});
        let placer = [&alice, &bob, &carol][from];
        let hold = placer.client.post_once("/api/v1/holds", &new_key(), body).await;
        let path = format!("/api/v1/holds/{}", hold.expect(201).text("id"));
        let void = format!("{path}/void");
        if mine {
            teller.client.get(&path).await.expect(200);
            teller
                .client
                .post_once(&void, &new_key(), json!({}))
                .await
                .expect(200);
        } else {
            teller.client.get(&path).await.refused(404, "hold_not_found");
            let refused = teller.client.post_once(&void, &new_key(), json!({})).await;
            refused.refused(404, "hold_not_found");
        }
    }
    // Everybody's and the bank's are in no department either.
    for path in [
        ACCOUNTS,
        USERS,
        "/api/v1/admin/reviews",
        "/api/v1/admin/approvals",
    ] {
        teller.client.get(path).await.refused(403, "forbidden");
        anywhere.client.get(path).await.expect(200);
    }
    // A transfer is its parties': what is between the south and nobody is no affair of the north.
    let shared = alice
        .transfer(&new_key(), &accounts[0], &accounts[1], 100)
        .await
        .expect(201);
    let other = bob
        .transfer(&new_key(), &accounts[1], &accounts[2], 100)
        .await
        .expect(201);
    let read = async |transfer: &Answer| {
        let path = format!("/api/v1/transfers/{}", transfer.text("id"));
        teller.client.get(&path).await
    };
    read(&shared).await.expect(200);
    read(&other).await.refused(404, "not_found");
    // One's own login is one's own.
    let me = teller.client.get("/api/v1/me").await.expect(200);
    assert_eq!(me.body["roles"], json!(["teller"]));
}

async fn whoever_moves_to_another_department_is_served_there_from_the_next_request(server: Server) {
    let Desk { admins, teller } = desk(&server, "north").await;
    let alice = server.customer("alice").await;
    let (id, opened) = (alice.id().await, alice.account("Household").await);
    // On PostgreSQL the request is asked at another node than the change.
    let beside = match server.engine {
        Engine::Postgres => Some(server.start_behind_the_same_name().await),
        Engine::Sqlite => None,
    };
    let there = match &beside {
        Some(node) => Person {
            client: node.client().with_token(teller.client.token()),
            ..teller.clone()
        },
        None => teller.clone(),
    };
    for (department, status) in [
        (json!("north"), 200),
        (json!("south"), 403),
        (json!("north"), 200),
        (Value::Null, 403),
    ] {
        place(&admins[0], &id, department).await.expect(200);
        assert_eq!(account(&there, &opened).await.status, status);
        assert_eq!(account(&teller, &opened).await.status, status);
    }
    // While somebody moves back and forth, every freeze is decided under one department or the other.
    let path = format!("{ACCOUNTS}/{}/freeze", opened["id"].as_str().unwrap());
    for round in 0..8 {
        let department = if round % 2 == 0 {
            json!("north")
        } else {
            json!("south")
        };
        let (moved, frozen) = futures::future::join(
            place(&admins[0], &id, department),
            there.client.post(&path, json!({"scope": "all"})),
        )
        .await;
        moved.expect(200);
        assert!([200, 403].contains(&frozen.status), "{frozen:?}");
        let now = there.client.post(&path, json!({"scope": "all"})).await.status;
        assert_eq!(now, if round % 2 == 0 { 200 } else { 403 }, "round {round}");
    }
}

async fn a_role_for_one_department_is_given_by_two_and_gives_nothing_beyond_it(server: Server) {
    let Desk { admins, teller } = desk(&server, "north").await;
    let id = teller.id().await;
    let grants = format!("{USERS}/{id}/grants");
    let listed = admins[0].client.get(&grants).await.expect(200);
    let [grant] = listed.body["data"].as_array().unwrap().as_slice() else {
        panic!("{listed:?}")
    };
    assert_eq!(
        (&grant["role"], &grant["department"]),
        (&json!("teller"), &json!("north"))
    );
    for role in ["admin", "auditor", "compliance"] {
        let refused = admins[0]
            .client
            .post(&grants, json!({"role": role, "department": "north"}))
            .await;
        let refused = refused.refused(400, "validation_failed");
        assert_eq!(refused.body["errors"][0]["pointer"], "/department");
    }
    for name in ["", "North", "-x", "a b", &"a".repeat(25)] {
        let refused = admins[0]
            .client
            .post(&grants, json!({"role": "teller", "department": name}))
            .await;
        refused.refused(400, "validation_failed");
    }
    // Who holds it gives it to nobody.
    let other = server.operator("support").await;
    let path = format!("{USERS}/{}/grants", other.id().await);
    for wish in [
        json!({"role": "teller", "department": "north"}),
        json!({"role": "teller"}),
    ] {
        teller.client.post(&path, wish).await.refused(403, "forbidden");
    }
    let alice = server.customer("alice").await;
    place(&teller, &alice.id().await, json!("north"))
        .await
        .refused(403, "forbidden");
    // Beside one role for a department another one counts everywhere, for what it may.
    let opened = alice.account("Household").await;
    account(&teller, &opened).await.refused(403, "forbidden");
    give(&admins, &id, json!({"role": "compliance"})).await;
    account(&teller, &opened).await.expect(200);
    deposit(&teller, &opened, 1).await.refused(403, "forbidden");
    // Given anew without a department it counts everywhere.
    give(&admins, &id, json!({"role": "teller"})).await;
    let listed = admins[0].client.get(&grants).await.expect(200);
    let all = listed.body["data"].as_array().unwrap();
    assert!(all.iter().all(|grant| grant["department"].is_null()), "{all:?}");
}

async fn nobody_says_to_which_department_one_belongs_oneself(server: Server) {
    let (admin, teller, support) = (
        server.operator("admin").await,
        server.operator("teller").await,
        server.operator("support").await,
    );
    let alice = server.customer("alice").await;
    place(&admin, &admin.id().await, json!("north"))
        .await
        .refused(403, "forbidden");
    for stranger in [&teller, &support, &alice] {
        place(stranger, &alice.id().await, json!("north"))
            .await
            .refused(403, "forbidden");
    }
    for name in [json!("North"), json!(""), json!("a".repeat(25)), json!(7)] {
        let answer = place(&admin, &alice.id().await, name).await;
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    place(&admin, "user_01jd3vw4ezfkx8y0q4sfcmj2t9", json!("north"))
        .await
        .refused(404, "not_found");
    assert_eq!(
        alice.client.get("/api/v1/me").await.expect(200).body["department"],
        Value::Null
    );
    place(&admin, &alice.id().await, json!("north")).await.expect(200);
    assert_eq!(
        alice.client.get("/api/v1/me").await.expect(200).body["department"],
        "north"
    );
}

async fn what_a_department_asks_for_is_decided_by_who_works_everywhere(server: Server) {
    let Desk { admins, teller } = desk(&server, "north").await;
    let second = desk(&server, "north").await.teller;
    let anywhere = server.operator("teller").await;
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let id = alice.id().await;
    place(&admins[0], &id, json!("north")).await.expect(200);
    let (north, nowhere) = (alice.account("Household").await, bob.account("Household").await);
    deposit(&teller, &nowhere, 10_001).await.refused(403, "forbidden");
    let ask = async || {
        deposit(&teller, &north, 10_001)
            .await
            .expect(202)
            .text("approval_id")
    };
    let (first, later) = (ask().await, ask().await);
    decide(&second, &first, "approve").await.refused(403, "forbidden");
    decide(&anywhere, &first, "approve").await.expect(200);
    assert_eq!(alice.posted(&north).await, 10_001);
    // Where the customer moved away, whoever asked may not ask any more.
    place(&admins[0], &id, json!("south")).await.expect(200);
    decide(&anywhere, &later, "approve")
        .await
        .refused(409, "approval_closed");
    assert_eq!(alice.posted(&north).await, 10_001);
}

async fn a_policy_of_departments_is_about_both_and_never_about_nothing(server: Server) {
    let admins = [server.operator("admin").await, server.operator("admin").await];
    let tellers = join_all((0..2).map(|_| server.operator("teller"))).await;
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let (of_alice, of_bob) = (alice.account("Household").await, bob.account("Household").await);
    // The example of docs/security/authorization.md.
    let text = "forbid (principal in Role::\"teller\", action, resource is Thing) unless {\n    \
        context.own || (context has department && context has resource_department\n        \
        && context.department == context.resource_department) };";
    assert!(include_str!("../../../../docs/security/authorization.md").contains(text));
    let draft = json!({"name": "own-branch", "text": text});
    let draft = admins[0]
        .client
        .post("/api/v1/admin/policies", draft)
        .await
        .expect(201);
    let path = format!("/api/v1/admin/policies/{}/activate", draft.text("id"));
    let asked = admins[0].client.post(&path, json!({})).await.expect(202);
    decide(&admins[1], &asked.text("approval_id"), "approve")
        .await
        .expect(200);
    let seen = async || {
        let mut all = Vec::new();
        for teller in &tellers {
            for opened in [&of_alice, &of_bob] {
                all.push(account(teller, opened).await.status);
            }
        }
        all
    };
    // Nobody belongs anywhere: two facts that are absent are not equal.
    assert_eq!(seen().await, [403; 4]);
    place(&admins[0], &alice.id().await, json!("north"))
        .await
        .expect(200);
    place(&admins[0], &tellers[0].id().await, json!("north"))
        .await
        .expect(200);
    assert_eq!(seen().await, [200, 403, 403, 403]);
    place(&admins[0], &bob.id().await, json!("south"))
        .await
        .expect(200);
    place(&admins[0], &tellers[1].id().await, json!("south"))
        .await
        .expect(200);
    assert_eq!(seen().await, [200, 403, 403, 200]);
    // And the decision is kept with the facts that it was taken on.
    let kept = found(&admins[0], "action=account.read").await;
    assert_eq!(kept["action"], "account.read", "{kept}");
}
