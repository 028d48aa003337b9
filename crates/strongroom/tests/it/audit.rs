//! What the log proves, told from outside: receipts over HTTPS, verified by the command line without the server; `audit
//! verify` beside a running server and on a stopped one.

use std::process::Command;

use serde_json::Value;

use crate::harness::{Server, people::new_key, stories};

stories! {
    a_receipt_is_verified_without_the_server,
    the_log_and_the_books_verify_beside_the_server_after_a_kill_and_after_a_stop,
    an_administrator_whom_the_owner_of_the_database_made_is_named,
    operators_see_the_books_and_the_log,
}

/// The log's public key, as an auditor would have copied it.
fn public_key(server: &Server) -> String {
    let keys = std::fs::read_to_string(server.data().join("checkpoints").join("key")).unwrap();
    keys.trim().to_owned()
}

async fn a_receipt_is_verified_without_the_server(mut server: Server) {
    let (alice, bob, teller) = (
        server.customer("alice").await,
        server.customer("bob").await,
        server.operator("teller").await,
    );
    let (from, to) = (alice.account("Household").await, bob.account("Savings").await);
    let cash = teller.deposit(&from, 10_000).await.expect(201).text("id");
    let sent = alice
        .transfer(&new_key(), &from, &to, 2_500)
        .await
        .expect(201)
        .text("id");
    let mut receipts = Vec::new();
    for (reader, id) in [(&alice, &sent), (&bob, &sent), (&teller, &sent), (&alice, &cash)] {
        let receipt = reader
            .client
            .get(&format!("/api/v1/receipts/{id}"))
            .await
            .expect(200);
        receipts.push(receipt.body);
    }
    let mallory = server.customer("mallory").await;
    for id in [sent.as_str(), "tfr_01jd3vw4ezfkx8y0q4sfcmj2t9", "nonsense"] {
        let path = format!("/api/v1/receipts/{id}");
        mallory.client.get(&path).await.refused(404, "not_found");
    }
    let (key, copied) = (public_key(&server), tempfile::tempdir().unwrap());
    server.stop().await;
    drop(server);

    for (number, receipt) in receipts.iter().enumerate() {
        let path = copied.path().join(format!("{number}.json"));
        std::fs::write(&path, receipt.to_string()).unwrap();
        let verify = |file: &std::path::Path| {
            Command::new(env!("CARGO_BIN_EXE_strongroom"))
                .args(["receipt", "verify", "--json", "--key", &key])
                .arg(file)
                .env_clear()
                .current_dir(copied.path())
                .output()
                .unwrap()
        };
        let good = verify(&path);
        assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
        let said: Value = serde_json::from_slice(&good.stdout).unwrap();
        assert_eq!(said["transaction"]["amount"], receipt["transaction"]["amount"]);

        let mut forged = receipt.clone();
        forged["transaction"]["amount"]["amount"] = 1_000_000.into();
        std::fs::write(&path, forged.to_string()).unwrap();
        let bad = verify(&path);
        assert!(!bad.status.success() && bad.stdout.is_empty());
        assert!(String::from_utf8_lossy(&bad.stderr).contains("the facts are not the recorded ones"));
    }
}

async fn the_log_and_the_books_verify_beside_the_server_after_a_kill_and_after_a_stop(mut server: Server) {
    let (alice, bob, teller) = (
        server.customer("alice").await,
        server.customer("bob").await,
        server.operator("teller").await,
    );
    let (from, to) = (alice.account("Household").await, bob.account("Savings").await);
    teller.deposit(&from, 10_000).await.expect(201);
    let sent = alice
        .transfer(&new_key(), &from, &to, 1)
        .await
        .expect(201)
        .text("id");
    alice
        .client
        .get(&format!("/api/v1/receipts/{sent}"))
        .await
        .expect(200);
    let kept = server.folder().join("kept.checkpoint");
    let (done, note, error) = server.cli(&["audit", "checkpoint"]);
    assert!(done, "{error}");
    std::fs::write(&kept, note).unwrap();
    let kept = kept.to_str().unwrap().to_owned();
    let verified = |server: &Server, more: &[&str]| -> Value {
        let arguments = [&["audit", "verify", "--json"], more].concat();
        let (done, said, error) = server.cli(&arguments);
        assert!(done, "{said}{error}");
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["clean"], true);
        said
    };
    let running = verified(&server, &["--checkpoint", &kept]);
    assert!(running["transactions"].as_u64() >= Some(2) && running["accounts"].as_u64() >= Some(8));

    server.kill();
    let killed = verified(&server, &["--checkpoint", &kept]);
    assert!(killed["records"].as_u64() >= running["records"].as_u64());
    server.resume().await;
    let alice = server.login(&alice.email, &alice.password).await;
    for minor in 2..6 {
        alice.transfer(&new_key(), &from, &to, minor).await.expect(201);
    }
    assert_eq!(server.stop().await, Some(0));
    let stopped = verified(&server, &["--checkpoint", &kept]);
    assert_eq!(stopped["transactions"].as_u64(), Some(6));
    let tail = verified(&server, &["--since", &kept, "--key", &public_key(&server)]);
    assert!(tail["records"].as_u64() < stopped["records"].as_u64());
    assert_eq!(tail["root"], stopped["root"]);

    // A checkpoint that somebody else signed is not silently left out.
    let stranger = "localhost/log+8fcb6a37+AVGfyVJXhXzaQQNiLuEQNBNMHCS5iAlCAiiXf7mx/Y9h";
    let (done, _, error) = server.cli(&["audit", "verify", "--checkpoint", &kept, "--key", stranger]);
    assert!(!done, "{error}");
}

async fn an_administrator_whom_the_owner_of_the_database_made_is_named(mut server: Server) {
    let auditor = server.operator("auditor").await;
    server.customer("mallory").await;
    let kept = server.folder().join("kept.checkpoint");
    let (done, note, error) = server.cli(&["audit", "checkpoint"]);
    assert!(done, "{error}");
    std::fs::write(&kept, note).unwrap();
    let kept = kept.to_str().unwrap().to_owned();
    let verified = |server: &Server| {
        let (clean, said, error) = server.cli(&["audit", "verify", "--checkpoint", &kept]);
        (clean, format!("{said}{error}"))
    };
    let (clean, said) = verified(&server);
    assert!(clean, "{said}");
    let check = "/api/v1/admin/ledger/check";
    let before = auditor.client.get(check).await.expect(200);
    assert_eq!(before.body["result"]["findings"], serde_json::json!([]));

    let made = "INSERT INTO grants (id, person, role, granted_at) \
                SELECT person, person, 'admin', granted_at FROM grants WHERE role = 'customer'";
    assert_eq!(server.change_while_down(&[made.to_owned()]).await, [1]);

    let (clean, said) = verified(&server);
    assert!(
        !clean && said.contains("grants user_") && said.contains(" admin: "),
        "{said}"
    );
    let after = auditor.client.get(check).await.expect(200);
    let findings = &after.body["result"]["findings"];
    assert_eq!(findings.as_array().map(Vec::len), Some(1), "{after:?}");
    assert_eq!(
        (&findings[0]["table"], &findings[0]["code"]),
        (&"grants".into(), &"row_unrecorded".into())
    );

    // Taken back, nothing is left to find.
    let taken = "DELETE FROM grants WHERE role = 'admin' AND id = person";
    assert_eq!(server.change_while_down(&[taken.to_owned()]).await, [1]);
    let (clean, said) = verified(&server);
    assert!(clean, "{said}");
}

async fn operators_see_the_books_and_the_log(server: Server) {
    let (alice, teller, auditor) = (
        server.customer("alice").await,
        server.operator("teller").await,
        server.operator("auditor").await,
    );
    let account = alice.account("Household").await;
    let cash = teller.deposit(&account, 10_000).await.expect(201).text("id");
    alice
        .client
        .get(&format!("/api/v1/receipts/{cash}"))
        .await
        .expect(200);

    let books = auditor
        .client
        .get("/api/v1/admin/ledger/trial-balance")
        .await
        .expect(200);
    assert_eq!(books.body["balanced"], true);
    assert_eq!(books.body["totals"][0]["debit"], 10_000);
    let check = auditor.client.get("/api/v1/admin/ledger/check").await.expect(200);
    assert_eq!(check.body["state"], "finished", "{check:?}");
    assert_eq!(check.body["result"]["findings"], serde_json::json!([]));
    let head = auditor
        .client
        .get("/api/v1/admin/audit/checkpoint")
        .await
        .expect(200);
    assert_eq!(head.body["keys"][0], public_key(&server));

    let id = cash.replace("dep_", "txn_");
    let found = auditor
        .client
        .get(&format!("/api/v1/admin/audit/records?object={id}"))
        .await
        .expect(200);
    assert_eq!(found.body["data"].as_array().map(Vec::len), Some(1), "{found:?}");
    let record = &found.body["data"][0];
    assert_eq!(
        (&record["action"], &record["outcome"]),
        (&"deposit.create".into(), &"ok".into())
    );
    let proof = auditor
        .client
        .get(&format!("/api/v1/admin/audit/proof/{}", record["id"]))
        .await
        .expect(200);
    assert_eq!(proof.body["leaf"], record["leaf"]);

    // Page by page, every position once and none left out.
    let (mut cursor, mut leaves) = (String::new(), Vec::new());
    loop {
        let page = auditor
            .client
            .get(&format!("/api/v1/admin/audit/records?limit=3{cursor}"))
            .await
            .expect(200);
        let items = page.body["data"].as_array().cloned().unwrap_or_default();
        leaves.extend(items.iter().filter_map(|item| item["leaf"].as_u64()));
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let highest = leaves.first().copied().unwrap_or_default();
    assert!(highest > 5);
    assert_eq!(leaves, (0..=highest).rev().collect::<Vec<_>>());

    for path in [
        "ledger/trial-balance",
        "ledger/check",
        "audit/records",
        "audit/checkpoint",
        "audit/proof/1",
    ] {
        let path = format!("/api/v1/admin/{path}");
        alice.client.get(&path).await.refused(403, "forbidden");
        teller.client.get(&path).await.refused(403, "forbidden");
    }
    for query in ["limit=0", "cursor=x", "object=x", "principal=x", "colour=red"] {
        let path = format!("/api/v1/admin/audit/records?{query}");
        auditor.client.get(&path).await.refused(400, "validation_failed");
    }
}
