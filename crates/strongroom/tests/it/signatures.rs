//! Requests that programs sign: money is moved by these only, each once, unchanged and in time.

use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};
use strongroom_crypto::{
    http_signature::{SigningKey, content_digest},
    random,
};
use tokio::{sync::Barrier, task::JoinSet};

use crate::harness::{
    Answer, Engine, Person, Server,
    people::{new_key, transfer_body},
    signed::{Signed, shared},
    stories,
};

const KEYS: &str = "/api/v1/api-keys";
const TRANSFERS: &str = "/api/v1/transfers";

stories!(
    money_by_a_key_is_moved_by_signed_requests_only,
    a_key_pair_signs_and_its_key_alone_does_not,
    a_program_pays_and_gives_back_by_signed_requests,
    a_signed_request_counts_once_however_often_it_comes,
    a_signed_request_is_refused_after_a_restart,
    what_was_changed_after_signing_is_refused,
    the_plain_scheme_is_for_keys_that_were_made_for_it,
    every_way_to_move_money_by_a_key_needs_a_signature,
    whoever_signs_gets_a_signed_answer_to_that_request_and_no_other,
);

/// A customer with money, two accounts, and a key made with this wish.
pub(crate) async fn customer(server: &Server, more: Value) -> (Person, Value, Value, Answer) {
    let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
    let (from, to) = (alice.account("From").await, alice.account("To").await);
    teller.deposit(&from, 10_000).await.expect(201);
    let proof = json!({"method": "password", "code": alice.password});
    let set = alice.client.post("/api/v1/auth/step-up", proof).await.expect(200);
    let client = alice.client.with_token(&set.text("access_token"));
    let mut wish =
        json!({"name": "Payments", "scopes": ["accounts:read", "transfers:write", "transfers:read"]});
    for (name, value) in more.as_object().unwrap() {
        wish[name] = value.clone();
    }
    let made = client.post(KEYS, wish).await.expect(201);
    (Person { client, ..alice }, from, to, made)
}

async fn money_by_a_key_is_moved_by_signed_requests_only(server: Server) {
    let (alice, from, to, made) = customer(&server, json!({})).await;
    let client = server.client();
    let bearer = |method, path: &str| client.request(method, path).header("X-API-Key", made.text("key"));
    let body = transfer_body(&from, &to, 100);
    let unsigned = bearer(Method::POST, TRANSFERS)
        .header("Idempotency-Key", new_key())
        .json(&body);
    client.send(unsigned).await.refused(401, "signature_required");
    assert_eq!(alice.posted(&to).await, 0);
    client
        .send(bearer(Method::GET, "/api/v1/accounts"))
        .await
        .expect(200);
    let (id, key) = (
        made.text("id"),
        SigningKey::Shared(shared(&made.text("signing_secret"))),
    );
    let signed = Signed::new(Method::POST, TRANSFERS, Some(&body), &id).by(&server, &key, &id);
    signed.send(&server).await.expect(201);
    assert_eq!(alice.posted(&to).await, 100);
    let reading = Signed::new(Method::GET, "/api/v1/accounts?limit=1", None, &id).by(&server, &key, &id);
    reading.send(&server).await.expect(200);
    reading.send(&server).await.refused(401, "signature_replayed");
    // The key itself beside the signature is a second credential.
    let mut both = Signed::new(Method::GET, "/api/v1/accounts", None, &id).by(&server, &key, &id);
    both.headers.push(("x-api-key".to_owned(), made.text("key")));
    both.send(&server).await.refused(401, "unauthenticated");
}

async fn a_program_pays_and_gives_back_by_signed_requests(server: Server) {
    let scopes = json!({"scopes": ["payments:write", "transfers:read"]});
    let (alice, from, shop, made) = customer(&server, scopes).await;
    let teller = server.operator("teller").await;
    let merchant = json!({"account_id": shop["id"], "name": "Alice's Bakery"});
    let merchant = teller.client.post("/api/v1/admin/merchants", merchant).await;
    let merchant = merchant.expect(201).text("id");
    let (id, key) = (
        made.text("id"),
        SigningKey::Shared(shared(&made.text("signing_secret"))),
    );
    let send = async |path: &str, body: Value| {
        let signed = Signed::new(Method::POST, path, Some(&body), &id).by(&server, &key, &id);
        (signed.send(&server).await, signed)
    };
    let body = json!({"from_account_id": from["id"], "merchant_id": merchant,
        "amount": {"amount": 700, "currency": "EUR"}});
    let (paid, signed) = send("/api/v1/payments", body.clone()).await;
    let payment = paid.expect(201).text("id");
    signed.send(&server).await.refused(401, "signature_replayed");
    let (again, _) = send("/api/v1/payments", body).await;
    again.refused(409, "duplicate_suspected");
    let refund = format!("/api/v1/payments/{payment}/refund");
    let (given, _) = send(&refund, json!({"amount": {"amount": 300, "currency": "EUR"}})).await;
    given.expect(201);
    assert_eq!(
        (alice.posted(&from).await, alice.posted(&shop).await),
        (9_600, 400)
    );
}

async fn a_key_pair_signs_and_its_key_alone_does_not(server: Server) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&random::bytes::<32>()).unwrap();
    let public = URL_SAFE_NO_PAD.encode(pair.public_key());
    let (alice, from, to, made) = customer(&server, json!({"public_key": public})).await;
    assert!(made.body.get("signing_secret").is_none(), "{made:?}");
    let (id, key) = (made.text("id"), SigningKey::Ed25519(pair));
    let wish = || {
        Signed::new(
            Method::POST,
            TRANSFERS,
            Some(&transfer_body(&from, &to, 100)),
            &id,
        )
    };
    wish().by(&server, &key, &id).send(&server).await.expect(201);
    // Neither another pair nor what everybody knows of this one makes its signatures.
    let other = SigningKey::Ed25519(Ed25519KeyPair::from_seed_unchecked(&random::bytes::<32>()).unwrap());
    for wrong in [
        other,
        SigningKey::Shared(shared(&public)),
        SigningKey::Shared(shared(&made.text("key"))),
    ] {
        let forged = wish().by(&server, &wrong, &id).send(&server).await;
        forged.refused(401, "signature_invalid");
    }
    assert_eq!(alice.posted(&to).await, 100);
    // Gone is gone for signed requests, too, and looks like any other that is not there.
    alice
        .client
        .send(alice.client.request(Method::DELETE, &format!("{KEYS}/{id}")))
        .await
        .expect(204);
    let late = wish().by(&server, &key, &id).send(&server).await;
    late.refused(401, "signature_invalid");
}

async fn a_signed_request_counts_once_however_often_it_comes(server: Server) {
    let (alice, from, to, made) = customer(&server, json!({})).await;
    let (id, key) = (
        made.text("id"),
        SigningKey::Shared(shared(&made.text("signing_secret"))),
    );
    let server = Arc::new(server);
    for round in 1..=5 {
        let wish = Signed::new(
            Method::POST,
            TRANSFERS,
            Some(&transfer_body(&from, &to, 100)),
            &id,
        );
        let signed = wish.by(&server, &key, &id);
        let (start, mut tasks) = (Arc::new(Barrier::new(8)), JoinSet::new());
        for _ in 0..8 {
            let (server, signed, start) = (server.clone(), signed.clone(), start.clone());
            tasks.spawn(async move {
                start.wait().await;
                signed.send(&server).await
            });
        }
        let answers = tasks.join_all().await;
        let done = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(done, 1, "{answers:?}");
        for answer in answers.into_iter().filter(|answer| answer.status != 201) {
            answer.refused(401, "signature_replayed");
        }
        assert_eq!(alice.posted(&to).await, 100 * round);
    }
    // What the books refuse, and what they never saw, was sent once, too.
    for (body, code) in [
        (transfer_body(&from, &to, 999_999), "insufficient_funds"),
        (
            transfer_body(
                &json!({"id": "acct_01jd3vw4ezfkx8y0q4sfcmj2t9", "currency": "EUR"}),
                &to,
                1,
            ),
            "account_not_found",
        ),
    ] {
        let signed = Signed::new(Method::POST, TRANSFERS, Some(&body), &id).by(&server, &key, &id);
        assert_eq!(signed.send(&server).await.code(), code);
        signed.send(&server).await.refused(401, "signature_replayed");
    }
}

async fn a_signed_request_is_refused_after_a_restart(mut server: Server) {
    let (_, from, to, made) = customer(&server, json!({})).await;
    let (id, key) = (
        made.text("id"),
        SigningKey::Shared(shared(&made.text("signing_secret"))),
    );
    let signed = Signed::new(
        Method::POST,
        TRANSFERS,
        Some(&transfer_body(&from, &to, 100)),
        &id,
    )
    .by(&server, &key, &id);
    signed.send(&server).await.expect(201);
    server.kill();
    server.resume().await;
    signed.send(&server).await.refused(401, "signature_replayed");
}

async fn what_was_changed_after_signing_is_refused(server: Server) {
    let (alice, from, to, made) = customer(&server, json!({})).await;
    let (id, key) = (
        made.text("id"),
        SigningKey::Shared(shared(&made.text("signing_secret"))),
    );
    let wish = || {
        let path = format!("{TRANSFERS}?dry_run=false");
        Signed::new(Method::POST, &path, Some(&transfer_body(&from, &to, 100)), &id).by(&server, &key, &id)
    };
    wish().send(&server).await.expect(201);
    let dearer = String::from_utf8(wish().body)
        .unwrap()
        .replace("100", "900")
        .into_bytes();
    let field = |name: &str, value: &str| {
        let mut signed = wish();
        let found = signed.headers.iter_mut().find(|(other, _)| other == name);
        found.unwrap().1 = value.to_owned();
        signed
    };
    let without = |name: &str| {
        let mut signed = wish();
        signed.headers.retain(|(other, _)| other != name);
        signed
    };
    let digest = content_digest(&dearer);
    for (what, changed) in [
        (
            "body",
            Signed {
                body: dearer.clone(),
                ..wish()
            },
        ),
        (
            "body and digest",
            Signed {
                body: dearer.clone(),
                ..field("content-digest", &digest)
            },
        ),
        (
            "query",
            Signed {
                path: format!("{TRANSFERS}?dry_run=true"),
                ..wish()
            },
        ),
        (
            "no query",
            Signed {
                path: TRANSFERS.to_owned(),
                ..wish()
            },
        ),
        (
            "path",
            Signed {
                path: "/api/v1/deposits?dry_run=false".to_owned(),
                ..wish()
            },
        ),
        ("idempotency key", field("idempotency-key", "another")),
        ("key", field("x-api-key-id", "key_01jd3vw4ezfkx8y0q4sfcmj2t9")),
        ("no digest", without("content-digest")),
        ("no input", without("signature-input")),
        ("no signature", without("signature")),
    ] {
        let refused = changed.send(&server).await;
        assert_eq!(
            (refused.status, refused.code()),
            (401, "signature_invalid"),
            "{what}: {refused:?}"
        );
    }
    assert_eq!(alice.posted(&to).await, 100);
}

async fn the_plain_scheme_is_for_keys_that_were_made_for_it(server: Server) {
    let (alice, from, to, made) = customer(&server, json!({"signature_schemes": ["plain"]})).await;
    let (id, secret) = (made.text("id"), made.text("signing_secret"));
    let wish = || {
        Signed::new(
            Method::POST,
            TRANSFERS,
            Some(&transfer_body(&from, &to, 100)),
            &id,
        )
    };
    let signed = wish().plainly(&server, &secret, &id);
    signed.send(&server).await.expect(201);
    signed.send(&server).await.refused(401, "signature_replayed");
    let by_standard = wish().by(&server, &SigningKey::Shared(shared(&secret)), &id);
    by_standard.send(&server).await.refused(401, "signature_invalid");
    let body = json!({"name": "Standard", "scopes": ["transfers:write"]});
    let other = alice.client.post(KEYS, body).await.expect(201);
    let (id, secret) = (other.text("id"), other.text("signing_secret"));
    let wish = || {
        Signed::new(
            Method::POST,
            TRANSFERS,
            Some(&transfer_body(&from, &to, 100)),
            &id,
        )
    };
    let plain = wish().plainly(&server, &secret, &id).send(&server).await;
    plain.refused(401, "signature_invalid");
    let standard = wish().by(&server, &SigningKey::Shared(shared(&secret)), &id);
    standard.send(&server).await.expect(201);
    assert_eq!(alice.posted(&to).await, 200);
}

async fn every_way_to_move_money_by_a_key_needs_a_signature(server: Server) {
    let (alice, from, to, made) = customer(&server, json!({})).await;
    let (id, key) = (
        made.text("id"),
        SigningKey::Shared(shared(&made.text("signing_secret"))),
    );
    let placed = |minor: i64| json!({"account_id": from["id"], "to_account_id": to["id"], "amount": {"amount": minor, "currency": "EUR"}});
    let hold = alice
        .client
        .post_once("/api/v1/holds", &new_key(), placed(10))
        .await;
    let hold = format!("/api/v1/holds/{}", hold.expect(201).text("id"));
    let other = alice
        .client
        .post_once("/api/v1/holds", &new_key(), placed(10))
        .await;
    let other = format!("/api/v1/holds/{}", other.expect(201).text("id"));
    let batch = json!({"mode": "atomic", "transfers": [transfer_body(&from, &to, 5)]});
    for (path, body, status) in [
        (TRANSFERS.to_owned(), transfer_body(&from, &to, 5), 201),
        (
            format!("{TRANSFERS}?dry_run=true"),
            transfer_body(&from, &to, 5),
            200,
        ),
        ("/api/v1/transfers/batch".to_owned(), batch, 200),
        ("/api/v1/holds".to_owned(), placed(10), 201),
        (format!("{hold}/capture"), json!({}), 200),
        (format!("{other}/void"), Value::Null, 200),
    ] {
        let body = Some(&body).filter(|body| !body.is_null());
        let mut signed = Signed::new(Method::POST, &path, body, &id);
        let client = server.client();
        let mut request = client
            .request(Method::POST, &path)
            .header("X-API-Key", made.text("key"));
        if path.ends_with("dry_run=true") {
            signed.headers.retain(|(name, _)| name != "idempotency-key");
        } else {
            request = request.header("Idempotency-Key", new_key());
        }
        let signed = signed.by(&server, &key, &id);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let before = balances(&alice, &from).await;
        client.send(request).await.refused(401, "signature_required");
        assert_eq!(balances(&alice, &from).await, before, "{path}");
        let answer = signed.send(&server).await.expect(status);
        assert!(
            signed.is_answered_by(&server, &answer).await,
            "{path}: {answer:?}"
        );
        let after = balances(&alice, &from).await;
        signed.send(&server).await.refused(401, "signature_replayed");
        assert_eq!(balances(&alice, &from).await, after, "{path} came again");
    }
    // At the counter it is the same, by a key of the bank's own program.
    let arguments = [
        "api-key",
        "add",
        "--name",
        "desk",
        "--role",
        "teller",
        "--scopes",
        "deposits:write",
        "--json",
    ];
    let (ok, out, err) = server.cli(&arguments);
    assert!(ok, "{out}{err}");
    let made: Value = serde_json::from_str(&out).unwrap();
    let (id, secret) = (
        made["id"].as_str().unwrap(),
        made["signing_secret"].as_str().unwrap(),
    );
    let key = SigningKey::Shared(shared(secret));
    for path in ["/api/v1/deposits", "/api/v1/withdrawals"] {
        let body = json!({"account_id": from["id"], "amount": {"amount": 3, "currency": "EUR"}});
        let client = server.client();
        let request = client
            .request(Method::POST, path)
            .header("X-API-Key", made["key"].as_str().unwrap())
            .header("Idempotency-Key", new_key());
        client
            .send(request.json(&body))
            .await
            .refused(401, "signature_required");
        let signed = Signed::new(Method::POST, path, Some(&body), id).by(&server, &key, id);
        signed.send(&server).await.expect(201);
        signed.send(&server).await.refused(401, "signature_replayed");
    }
}

/// What is on an account, booked and reserved.
async fn balances(person: &Person, account: &Value) -> Value {
    let path = format!("/api/v1/accounts/{}", account["id"].as_str().unwrap());
    person.client.get(&path).await.expect(200).body["balance"].clone()
}

async fn whoever_signs_gets_a_signed_answer_to_that_request_and_no_other(server: Server) {
    let (alice, from, to, made) = customer(&server, json!({"signature_schemes": ["rfc9421", "plain"]})).await;
    let (id, secret) = (made.text("id"), made.text("signing_secret"));
    let key = SigningKey::Shared(shared(&secret));
    let wish = |minor| {
        let body = transfer_body(&from, &to, minor);
        Signed::new(Method::POST, TRANSFERS, Some(&body), &id)
    };
    let (first, second) = (
        wish(1).by(&server, &key, &id),
        wish(1).plainly(&server, &secret, &id),
    );
    let told = first.send(&server).await.expect(201);
    let plainly = second.send(&server).await.expect(201);
    for (asked, answer, its) in [
        (&first, &told, true),
        (&second, &plainly, true),
        (&second, &told, false),
        (&first, &plainly, false),
    ] {
        assert_eq!(
            asked.is_answered_by(&server, answer).await,
            its,
            "{asked:?} {answer:?}"
        );
    }
    let mut forged = told.clone();
    forged.bytes = String::from_utf8(told.bytes.clone())
        .unwrap()
        .replace("posted", "failed")
        .into_bytes();
    assert!(!first.is_answered_by(&server, &forged).await);
    let forged = Answer {
        status: 200,
        ..told.clone()
    };
    assert!(!first.is_answered_by(&server, &forged).await);
    // Refusals are answers, too; whoever did not sign gets no signature, whatever they sent.
    let dear = wish(999_999).by(&server, &key, &id);
    let refused = dear.send(&server).await;
    assert_eq!(refused.code(), "insufficient_funds");
    assert!(dear.is_answered_by(&server, &refused).await, "{refused:?}");
    let reading = Signed::new(Method::GET, "/api/v1/accounts?limit=1", None, &id).by(&server, &key, &id);
    let listed = reading.send(&server).await.expect(200);
    assert!(reading.is_answered_by(&server, &listed).await, "{listed:?}");
    let mut changed = wish(1).by(&server, &key, &id);
    changed.path = "/api/v1/transfers/batch".to_owned();
    for unsigned in [
        changed.send(&server).await,
        alice.client.get("/api/v1/accounts").await,
    ] {
        assert_eq!(unsigned.header("signature"), None, "{unsigned:?}");
    }
}

mod nodes {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn on_postgres_a_signed_request_counts_once_on_all_nodes_together() {
        let Some(first) = Server::start(Engine::Postgres).await else {
            return;
        };
        let second = first.start_behind_the_same_name().await;
        let (alice, from, to, made) = customer(&first, json!({})).await;
        let (id, key) = (
            made.text("id"),
            SigningKey::Shared(shared(&made.text("signing_secret"))),
        );
        let wish = |path: &str, named: &Server| {
            let body = transfer_body(&from, &to, 100);
            let batch = json!({"mode": "independent", "transfers": [body]});
            let body = if path == TRANSFERS { body } else { batch };
            Signed::new(Method::POST, path, Some(&body), &id).by(named, &key, &id)
        };
        // Either node knows the key and takes the request; the other then refuses it.
        for (here, there) in [(&first, &second), (&second, &first)] {
            let signed = wish(TRANSFERS, &first);
            signed.send(here).await.expect(201);
            signed.send(there).await.refused(401, "signature_replayed");
            let reading = Signed::new(Method::GET, "/api/v1/accounts", None, &id).by(&first, &key, &id);
            reading.send(here).await.expect(200);
            reading.send(there).await.refused(401, "signature_replayed");
        }
        let mut booked = 200;
        let nodes = Arc::new([first, second]);
        for path in [TRANSFERS, "/api/v1/transfers/batch"] {
            for _ in 0..5 {
                let signed = wish(path, &nodes[0]);
                let (start, mut tasks) = (Arc::new(Barrier::new(6)), JoinSet::new());
                for copy in 0..6 {
                    let (nodes, signed, start) = (nodes.clone(), signed.clone(), start.clone());
                    tasks.spawn(async move {
                        start.wait().await;
                        signed.send(&nodes[copy % 2]).await
                    });
                }
                let answers = tasks.join_all().await;
                let done = answers.iter().filter(|answer| answer.status < 300).count();
                assert_eq!(done, 1, "{path}: {answers:?}");
                for answer in answers.into_iter().filter(|answer| answer.status >= 300) {
                    answer.refused(401, "signature_replayed");
                }
                booked += 100;
                assert_eq!(alice.posted(&to).await, booked);
            }
        }
        // Gone here is gone there, with the next request.
        let path = format!("{KEYS}/{id}");
        alice
            .client
            .send(alice.client.request(Method::DELETE, &path))
            .await
            .expect(204);
        let late = wish(TRANSFERS, &nodes[0]);
        late.send(&nodes[1]).await.refused(401, "signature_invalid");
    }
}
