//! Keys of the ring, rotated by two people while the bank runs.

use std::fs;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    harness::{Answer, BUSY, Client, Engine, Person, Server, awaited, decide, stories, until},
    payments::is_clean,
    two_nodes::customer,
};

const KEYS: &str = "/api/v1/admin/keys";
const APPROVALS: &str = "/api/v1/admin/approvals";
const ROTATED: [&str; 9] = [
    "seal",
    "audit_mac",
    "access_token",
    "refresh",
    "pepper",
    "device",
    "api_key",
    "answer",
    "proof",
];
const SETTINGS: &[(&str, &str)] = &[
    BUSY[0],
    BUSY[1],
    BUSY[2],
    BUSY[3],
    BUSY[4],
    BUSY[5],
    ("STRONGROOM_APPROVALS__BOOTSTRAP", "true"),
];

stories! {
    with SETTINGS;
    keys_are_rotated_by_two_people_and_what_old_ones_made_stays_good,
    of_many_decisions_at_once_one_key_comes_in_force,
    a_ring_from_before_a_rotation_learns_what_it_missed,
    keys_that_must_stay_stay,
    the_host_lists_keys_and_asks_for_a_new_one_that_an_administrator_decides,
}

async fn ask(admin: &Person, purpose: &str) -> Answer {
    let path = format!("{KEYS}/{purpose}/rotations");
    admin.client.post(&path, json!({"reason": "once a year"})).await
}

async fn asked(admin: &Person, purpose: &str) -> String {
    ask(admin, purpose).await.expect(202).text("approval_id")
}

async fn keys(client: &Client) -> Vec<Value> {
    let listed = client.get(KEYS).await.expect(200);
    listed.body["data"].as_array().unwrap().clone()
}

/// The number of the active key of a purpose.
fn active(keys: &[Value], purpose: &str) -> u64 {
    let found: Vec<_> = keys
        .iter()
        .filter(|key| key["purpose"] == purpose && key["state"] == "active")
        .collect();
    assert_eq!(found.len(), 1, "{purpose}: {keys:?}");
    found[0]["kid"].as_u64().unwrap()
}

/// Asks until no key is on its way any more.
async fn settled(client: &Client) -> Vec<Value> {
    awaited("keys", async || {
        let found = keys(client).await;
        let on_its_way = found.iter().any(|key| key["state"] == "announced");
        (!on_its_way).then_some(found)
    })
    .await
}

/// The number of the key that signed a token.
fn signer_of(token: &str) -> u64 {
    let head = token.split('.').next().unwrap();
    let head: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).unwrap()).unwrap();
    head["kid"].as_str().unwrap().parse().unwrap()
}

async fn keys_are_rotated_by_two_people_and_what_old_ones_made_stays_good(server: Server) {
    let (maker, checker) = (server.operator("admin").await, server.operator("admin").await);
    let (teller, auditor) = (server.operator("teller").await, server.operator("auditor").await);
    let alice = server.customer("alice").await;
    let account = alice.account("Household").await;
    teller.deposit(&account, 1_000).await.expect(201);
    let before = keys(&auditor.client).await;
    for stranger in [&alice, &teller, &auditor] {
        ask(stranger, "seal").await.refused(403, "forbidden");
    }
    for stranger in [&alice, &teller] {
        stranger.client.get(KEYS).await.refused(403, "forbidden");
    }

    for purpose in ROTATED {
        let approval = asked(&maker, purpose).await;
        decide(&maker, &approval, "approve")
            .await
            .refused(403, "maker_is_checker");
        decide(&teller, &approval, "approve")
            .await
            .refused(403, "forbidden");
        assert_eq!(
            active(&keys(&auditor.client).await, purpose),
            active(&before, purpose)
        );
        let done = decide(&checker, &approval, "approve").await.expect(200);
        assert_eq!(done.body["state"], "approved");
        // Both people are in the log, and no key is.
        let path = "/api/v1/admin/audit/records?action=key.manage&limit=1";
        let told = awaited("the record", async || {
            let newest = auditor.client.get(path).await.expect(200);
            let details = newest.body["data"].get(0)?["details"].to_string();
            details.contains(&approval).then_some(details)
        })
        .await;
        assert!(told.contains(purpose), "{told}");
    }
    let after = settled(&auditor.client).await;
    for purpose in ROTATED {
        let kid = active(&after, purpose);
        assert!(kid > active(&before, purpose), "{purpose}: {after:?}");
        let old = after.iter().find(|key| key["kid"] == active(&before, purpose));
        assert_eq!(old.unwrap()["state"], "retired");
    }

    // What was given out before is good, and what is given out now is made with the new keys.
    alice.client.get("/api/v1/me").await.expect(200);
    assert_eq!(alice.posted(&account).await, 1_000);
    let refresh = json!({"refresh_token": alice.tokens["refresh_token"]});
    let renewed = server
        .client()
        .post("/api/v1/auth/refresh", refresh)
        .await
        .expect(200);
    let signer = active(&after, "access_token");
    assert_eq!(signer_of(alice.client.token()), active(&before, "access_token"));
    assert_eq!(signer_of(&renewed.text("access_token")), signer);
    let published = server.client().get("/.well-known/jwks.json").await.expect(200);
    for kid in [signer, active(&before, "access_token")] {
        let (known, kid) = (published.body["keys"].as_array().unwrap(), kid.to_string());
        assert!(
            known.iter().any(|key| key["kid"] == kid.as_str()),
            "{published:?}"
        );
    }
    // The password's hash is made anew at the first login, and both logins go.
    for _ in 0..2 {
        let again = server.login(&alice.email, &alice.password).await;
        let me = again.client.get("/api/v1/me").await.expect(200);
        assert_eq!(me.body["email"], alice.email.as_str());
    }
    let bob = server.customer("bob").await;
    teller.deposit(&bob.account("Main").await, 500).await.expect(201);
    is_clean(&server);
    assert!(!server.logged().contains("panicked"));
}

async fn of_many_decisions_at_once_one_key_comes_in_force(server: Server) {
    let maker = server.operator("admin").await;
    let checkers = [server.operator("admin").await, server.operator("admin").await];
    for _ in 0..3 {
        let before = settled(&maker.client).await;
        // One request, decided four times at once.
        let approval = asked(&maker, "device").await;
        let decisions = (0..4).map(|turn| decide(&checkers[turn % 2], &approval, "approve"));
        let answers = join_all(decisions).await;
        let won = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(won, 1, "{answers:?}");
        for lost in answers.iter().filter(|answer| answer.status != 200) {
            assert!(
                ["approval_closed", "approval_stale"].contains(&lost.code()),
                "{lost:?}"
            );
        }
        let after = settled(&maker.client).await;
        assert_eq!(after.len(), before.len() + 1);

        // Two requests about one key, and one about another, decided at once by two people.
        let requests = [
            asked(&maker, "proof").await,
            asked(&maker, "proof").await,
            asked(&maker, "answer").await,
        ];
        let answers = join_all(
            requests
                .iter()
                .enumerate()
                .map(|(turn, approval)| decide(&checkers[turn % 2], approval, "approve")),
        )
        .await;
        let of_proof: Vec<u16> = answers[..2].iter().map(|answer| answer.status).collect();
        assert!(
            [[200, 409], [409, 200]].contains(&[of_proof[0], of_proof[1]]),
            "{answers:?}"
        );
        let lost = answers[..2].iter().find(|answer| answer.status == 409).unwrap();
        assert_eq!(lost.code(), "approval_stale");
        assert_eq!(answers[2].status, 200, "{answers:?}");
        let both = settled(&maker.client).await;
        assert_eq!(both.len(), after.len() + 2);
        for purpose in ["proof", "answer"] {
            assert!(active(&both, purpose) > active(&after, purpose));
        }
    }
    is_clean(&server);
}

/// Killed after the decision and before the ring is kept, or given a copy of the ring from before: the key is not lost.
async fn a_ring_from_before_a_rotation_learns_what_it_missed(mut server: Server) {
    let (maker, checker) = (server.operator("admin").await, server.operator("admin").await);
    let place = server.data().join("keys").join("keyring");
    let old = fs::read(&place).unwrap();
    for purpose in ["seal", "access_token", "pepper", "audit_mac"] {
        let approval = asked(&maker, purpose).await;
        decide(&checker, &approval, "approve").await.expect(200);
    }
    let before = settled(&maker.client).await;
    // Sealed, signed and hashed under keys that the old ring has not.
    let alice = server.customer("alice").await;
    let again = asked(&maker, "device").await;
    decide(&checker, &again, "approve").await.expect(200);
    server.kill();
    fs::write(&place, old).unwrap();
    server.resume().await;
    let after = settled(&maker.client).await;
    assert_eq!(after.len(), before.len() + 1);
    for purpose in ["seal", "access_token", "pepper", "audit_mac"] {
        assert_eq!(active(&after, purpose), active(&before, purpose));
    }
    assert!(active(&after, "device") > active(&before, "device"));
    alice.client.get("/api/v1/me").await.expect(200);
    server.login(&alice.email, &alice.password).await;
    // It is kept where rings are kept, and read from there alone once more.
    let line = format!("\"kid\": {}", active(&after, "device"));
    until("the ring is kept", async || {
        fs::read_to_string(&place).unwrap().contains(&line)
    })
    .await;
    assert_eq!(server.stop().await, Some(0));
    server.resume().await;
    assert_eq!(settled(&maker.client).await, after);
    is_clean(&server);
}

async fn keys_that_must_stay_stay(server: Server) {
    let (maker, checker) = (server.operator("admin").await, server.operator("admin").await);
    let before = keys(&maker.client).await;
    asked(&maker, "device").await;
    for purpose in ["blind_index", "idempotency", "checkpoint"] {
        ask(&maker, purpose).await.refused(409, "key_not_rotatable");
        let line = before.iter().find(|key| key["purpose"] == purpose).unwrap();
        assert_eq!(line["rotatable"], false);
    }
    ask(&maker, "everything").await.refused(404, "not_found");
    let path = format!("{KEYS}/device/rotations");
    for body in [
        json!({}),
        json!({"reason": ""}),
        json!({"reason": "a".repeat(501)}),
    ] {
        maker
            .client
            .post(&path, body)
            .await
            .refused(400, "validation_failed");
    }
    // Rejected, nothing happens; and the maker takes it along.
    let approval = asked(&maker, "device").await;
    let reject = format!("{APPROVALS}/{approval}/reject");
    checker.client.post(&reject, json!({})).await.expect(200);
    decide(&checker, &approval, "approve")
        .await
        .refused(409, "approval_closed");
    let approval = asked(&maker, "device").await;
    let id = maker.client.get("/api/v1/me").await.expect(200).text("id");
    let grants = format!("/api/v1/admin/users/{id}/grants");
    let listed = checker.client.get(&grants).await.expect(200);
    let grant = listed.body["data"][0]["id"].as_str().unwrap().to_owned();
    let take = checker
        .client
        .request(Method::DELETE, &format!("{grants}/{grant}"));
    checker.client.send(take).await.expect(204);
    decide(&checker, &approval, "approve")
        .await
        .refused(409, "approval_closed");
    assert_eq!(keys(&checker.client).await, before);
}

async fn the_host_lists_keys_and_asks_for_a_new_one_that_an_administrator_decides(mut server: Server) {
    let admin = server.operator("admin").await;
    let listed = |server: &Server| -> Vec<Value> {
        let (ok, out, err) = server.cli(&["keys", "list", "--json"]);
        assert!(ok, "{err}");
        let mut listed = serde_json::from_str::<Value>(&out).unwrap()["data"].take();
        let keys = listed.as_array_mut().unwrap();
        for key in keys.iter_mut() {
            // The only field that the API leaves to its reader.
            assert_eq!(key.as_object_mut().unwrap().remove("age_days"), Some(json!(0)));
        }
        keys.clone()
    };
    let before = keys(&admin.client).await;
    assert_eq!(listed(&server), before);
    let (ok, table, err) = server.cli(&["keys", "list"]);
    assert!(ok, "{err}");
    assert_eq!(table.lines().count(), before.len() + 1, "{table}");
    for key in &before {
        let name = key["purpose"].as_str().unwrap();
        assert!(
            table
                .lines()
                .any(|line| line.contains(name) && line.contains("active")),
            "{table}"
        );
    }
    // No key is printed: what the ring's own file says of each, nobody else does.
    let ring = fs::read_to_string(server.data().join("keys").join("keyring")).unwrap();
    let ring: Value = serde_json::from_str(&ring).unwrap();
    let (_, document, _) = server.cli(&["keys", "list", "--json"]);
    let mut materials = 0;
    for key in ring["keys"].as_array().unwrap() {
        let material = key["material"].as_str().unwrap();
        assert!(!table.contains(material) && !document.contains(material));
        materials += 1;
    }
    assert_eq!(materials, before.len());

    let rotate = |server: &Server, purpose: &str| {
        server.cli(&["keys", "rotate", purpose, "--reason", "Somebody left.", "--json"])
    };
    for (purpose, code) in [("idempotency", "key_not_rotatable"), ("everything", "not_found")] {
        let (ok, _, err) = rotate(&server, purpose);
        assert!(!ok && err.contains(code), "{err}");
    }
    assert!(
        !server.cli(&["keys", "rotate", "device"]).0,
        "not without a reason"
    );
    let (ok, out, err) = rotate(&server, "device");
    assert!(ok, "{err}");
    let asked: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(keys(&admin.client).await, before, "nobody has decided");
    decide(&admin, asked["approval_id"].as_str().unwrap(), "approve")
        .await
        .expect(200);
    let after = settled(&admin.client).await;
    assert!(active(&after, "device") > active(&before, "device"));
    assert_eq!(listed(&server), after);

    // Where no server runs the command does it by itself.
    assert_eq!(server.stop().await, Some(0));
    assert_eq!(listed(&server), after);
    let (ok, out, err) = rotate(&server, "answer");
    assert!(ok, "{err}");
    let asked: Value = serde_json::from_str(&out).unwrap();
    server.resume().await;
    assert_eq!(settled(&admin.client).await, after);
    decide(&admin, asked["approval_id"].as_str().unwrap(), "approve")
        .await
        .expect(200);
    assert!(active(&settled(&admin.client).await, "answer") > active(&after, "answer"));
    is_clean(&server);
}

mod wrapped {
    use super::*;

    const PASSPHRASE: &str = "canary of a ring that lies in a file";
    const WRAPPED: &[(&str, &str)] = &[
        BUSY[0],
        BUSY[1],
        BUSY[2],
        BUSY[3],
        BUSY[4],
        BUSY[5],
        ("STRONGROOM_APPROVALS__BOOTSTRAP", "true"),
        ("STRONGROOM_KEYS__PASSPHRASE", PASSPHRASE),
    ];

    stories! {
        with WRAPPED;
        a_wrapped_ring_stays_wrapped_while_its_keys_are_rotated,
    }

    async fn a_wrapped_ring_stays_wrapped_while_its_keys_are_rotated(mut server: Server) {
        let (maker, checker) = (server.operator("admin").await, server.operator("admin").await);
        let place = server.data().join("keys").join("keyring");
        let first = fs::read(&place).unwrap();
        let before = settled(&maker.client).await;
        for purpose in ["seal", "access_token", "pepper"] {
            let approval = asked(&maker, purpose).await;
            decide(&checker, &approval, "approve").await.expect(200);
        }
        let after = settled(&maker.client).await;
        until("the ring is kept", async || fs::read(&place).unwrap() != first).await;
        let alice = server.customer("alice").await;
        // Killed while it may be writing, it reads one whole ring or the other, and learns the rest.
        server.kill();
        let text = String::from_utf8_lossy(&fs::read(&place).unwrap()).into_owned();
        assert!(!text.contains("material") && !text.contains(PASSPHRASE), "{text}");
        server.resume().await;
        assert_eq!(settled(&maker.client).await, after);
        assert!(active(&after, "seal") > active(&before, "seal"));
        server.login(&alice.email, &alice.password).await;
        // Under another passphrase the ring does not open, and nothing is put in its place.
        assert_eq!(server.stop().await, Some(0));
        let kept = fs::read(&place).unwrap();
        server.set("STRONGROOM_KEYS__PASSPHRASE", "another long enough passphrase");
        let (ok, _, err) = server.cli(&["keys", "list"]);
        assert!(!ok && !err.contains("another long enough"), "{err}");
        assert_eq!(fs::read(&place).unwrap(), kept);
        server.set("STRONGROOM_KEYS__PASSPHRASE", PASSPHRASE);
        server.resume().await;
        assert_eq!(settled(&maker.client).await, after);
        assert!(!server.logged().contains("canary"));
        is_clean(&server);
    }
}

mod postgres_nodes {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_nodes_take_over_a_new_key_before_anybody_needs_it() {
        let Some(first) = Server::start_with(Engine::Postgres, SETTINGS).await else {
            return;
        };
        // A node with a place of its own for the ring, as on another machine.
        let mut second = first.start_with_own_ring().await;
        let (maker, checker) = (first.operator("admin").await, first.operator("admin").await);
        let there = |person: &Person| second.client().with_token(person.client.token());
        let maker_there = there(&maker);
        let before = keys(&maker_there).await;
        for purpose in ["access_token", "seal", "pepper"] {
            let approval = asked(&maker, purpose).await;
            decide(&checker, &approval, "approve").await.expect(200);
            // With its next request the other node knows, whoever uses the key first.
            let told = keys(&maker_there).await;
            assert!(
                told.iter()
                    .any(|key| key["purpose"] == purpose && key["active_from"].is_string())
            );
        }
        // Whatever one node makes from now on the other reads, before and after the keys come in use.
        for _ in 0..20 {
            let person = customer([&first, &second]).await;
            there(&person).get("/api/v1/me").await.expect(200);
            second.login(&person.email, &person.password).await;
        }
        let (here, now) = (settled(&maker.client).await, settled(&maker_there).await);
        assert_eq!(here, now);
        assert!(active(&now, "seal") > active(&before, "seal"));
        let person = customer([&first, &second]).await;
        second.login(&person.email, &person.password).await;
        assert_eq!(signer_of(person.client.token()), active(&now, "access_token"));

        // Away when it is decided, and given it at the next start.
        second.kill();
        let approval = asked(&maker, "access_token").await;
        decide(&checker, &approval, "approve").await.expect(200);
        let here = settled(&maker.client).await;
        let person = customer([&first, &second]).await;
        second.resume().await;
        let token = second.client().with_token(person.client.token());
        token.get("/api/v1/me").await.expect(200);
        assert_eq!(
            settled(&second.client().with_token(maker.client.token())).await,
            here
        );
        is_clean(&first);
    }
}
