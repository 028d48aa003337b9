//! Passwords over HTTPS: measured, made, brought in from elsewhere, and asked for by five hundred at once.

use std::{
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use futures::future::join_all;
use serde_json::json;

use crate::harness::{Answer, BUSY, Server, stories};

const LOGIN: &str = "/api/v1/auth/login";
const STRENGTH: &str = "/api/v1/auth/password/strength";
const GENERATE: &str = "/api/v1/auth/password/generate";
/// A bcrypt hash that was published with the algorithm, and its password.
const PUBLISHED: (&str, &str) = (
    "U*U",
    "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
);
/// Most memory of a server during a flood of logins, in MiB: two hashes of 46 MiB at a time, however many wait.
const FLOOD_MEMORY_MIB_MAX: u64 = 400;

stories!(
    with BUSY;
    a_password_is_measured_and_made,
    customers_of_another_system_log_in_with_the_passwords_they_had,
    five_hundred_logins_at_once_hold_up_nobody_else_and_take_no_memory,
);

/// The codes of the rules that a measured password breaks.
fn broken(answer: &Answer) -> Vec<&str> {
    let rules = answer.body["broken"].as_array().unwrap();
    rules.iter().map(|rule| rule["code"].as_str().unwrap()).collect()
}

async fn a_password_is_measured_and_made(server: Server) {
    let client = server.client();
    let weak = client
        .post(STRENGTH, json!({"password": "Password1234!"}))
        .await
        .expect(200);
    assert_eq!(weak.body["acceptable"], false);
    assert!(
        weak.body["score"].as_u64().unwrap() < 3 && weak.body["advice"].is_string(),
        "{weak:?}"
    );
    assert_eq!(
        weak.body["classes"],
        json!({"lower_case": true, "upper_case": true, "digit": true, "special": true})
    );
    let known = client
        .post(STRENGTH, json!({"password": "chickenwing101"}))
        .await
        .expect(200);
    assert_eq!(broken(&known), ["password_too_guessable", "password_breached"]);
    let own = json!({"password": "KrautwurstWilhelmina1977!", "full_name": "Wilhelmina Krautwurst"});
    let own = client.post(STRENGTH, own).await.expect(200);
    assert!(broken(&own).contains(&"password_is_own_words"), "{own:?}");
    let long = client
        .post(STRENGTH, json!({"password": "x".repeat(10_000)}))
        .await
        .expect(200);
    assert!(broken(&long).contains(&"password_too_long"), "{long:?}");
    client
        .post(STRENGTH, json!({}))
        .await
        .refused(400, "validation_failed");

    let (one, other) = (
        client.post(GENERATE, json!({})).await,
        client.post(GENERATE, json!({})).await,
    );
    let (one, other) = (
        one.expect(200).text("password"),
        other.expect(200).text("password"),
    );
    assert_ne!(one, other);
    let measured = client.post(STRENGTH, json!({"password": one})).await.expect(200);
    assert_eq!(measured.body["acceptable"], true, "{measured:?}");
}

async fn customers_of_another_system_log_in_with_the_passwords_they_had(server: Server) {
    let file = server.folder().join("customers.jsonl");
    let line = |email: &str, hash: &str| {
        json!({"email": email, "full_name": "Ida Imported", "password_hash": hash}).to_string()
    };
    let (password, hash) = PUBLISHED;
    let lines = [
        line("ida@example.com", hash),
        line("Ida@Example.com", hash),
        line("weak@example.com", "5f4dcc3b5aa765d61d8327deb882cf99"),
        "{}".to_owned(),
        line("ivo@example.com", hash),
    ];
    std::fs::write(&file, lines.join("\n")).unwrap();
    let (ok, out, err) = server.cli(&["customer", "import", &file.to_string_lossy()]);
    assert!(!ok, "{out}{err}");
    assert!(out.starts_with("2 customers\n"), "{out}");
    for (line, reason) in [(2, "email_taken"), (3, "password_hash"), (4, "no object")] {
        let told = out
            .lines()
            .find(|told| told.starts_with(&format!("line {line}:")));
        assert!(told.is_some_and(|told| told.contains(reason)), "{out}");
    }
    assert!(
        !out.contains("5f4dcc3b"),
        "a rejected hash is not repeated: {out}"
    );
    let client = server.client();
    let login =
        |email: &str, password: &str| client.post(LOGIN, json!({"email": email, "password": password}));
    login("ida@example.com", "u*u")
        .await
        .refused(401, "invalid_credentials");
    // The first time by the old hash, then by ours.
    for _ in 0..2 {
        login("ida@example.com", password).await.expect(200);
    }
    login("ivo@example.com", password).await.expect(200);
}

async fn five_hundred_logins_at_once_hold_up_nobody_else_and_take_no_memory(server: Server) {
    let alice = server.customer("alice").await;
    let (flood, over) = (server.client(), AtomicBool::new(false));
    let attempt = |number: usize| {
        flood.post(
            LOGIN,
            json!({"email": format!("nobody-{number}@example.com"), "password": "x"}),
        )
    };
    let logins = async {
        let answers = join_all((0..500).map(attempt)).await;
        over.store(true, Ordering::Release);
        answers
    };
    // Somebody who is logged in asks one thing after the other for as long as it lasts.
    let others = async {
        let mut during = 0;
        while !over.load(Ordering::Acquire) {
            alice.client.get("/api/v1/me").await.expect(200);
            during += 1;
        }
        during
    };
    let (answers, during) = tokio::join!(logins, others);
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    // After enough wrong ones strangers are asked for work (428).
    assert_eq!(count(401) + count(428) + count(503), 500, "{answers:?}");
    assert!(count(401) > 0);
    for refused in answers.iter().filter(|answer| answer.status == 503) {
        assert!(
            refused.code() == "overloaded" && refused.header("retry-after").is_some(),
            "{refused:?}"
        );
    }
    assert!(during >= 10, "{during} answers during the flood");
    let used = server.memory_peak_mib();
    assert!(used < FLOOD_MEMORY_MIB_MAX, "{used} MiB");
}

mod complexity {
    use super::*;

    const ASKED_FOR: &[(&str, &str)] = &[("STRONGROOM_AUTH__PASSWORD_POLICY", "complexity")];

    stories!(with ASKED_FOR; a_bank_that_asks_for_classes_names_every_missing_one);

    async fn a_bank_that_asks_for_classes_names_every_missing_one(server: Server) {
        let client = server.client();
        let register = |password: &str| {
            let body = json!({"email": "alice@example.com", "full_name": "Alice", "password": password});
            client.post("/api/v1/auth/register", body)
        };
        let refused = register("qzkvwxjbnmtr").await.refused(400, "validation_failed");
        let codes: Vec<_> = refused.body["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| &error["code"])
            .collect();
        assert_eq!(
            codes,
            [
                "password_no_upper_case",
                "password_no_digit",
                "password_no_special"
            ]
        );
        register("qzkvwXjbnm7-r").await.expect(202);
    }
}

mod breached {
    use super::*;

    stories!(what_is_on_the_operators_list_is_not_taken);

    async fn what_is_on_the_operators_list_is_not_taken(mut server: Server) {
        let (leaked, free) = ("grumpy lantern orbit seven", "grumpy lantern orbit eight");
        let (list, filter) = (
            server.folder().join("list.txt"),
            server.folder().join("list.filter"),
        );
        std::fs::write(&list, format!("short\n{leaked}\n")).unwrap();
        let (list, filter) = (list.to_string_lossy(), filter.to_string_lossy().into_owned());
        let made = Command::new(env!("CARGO_BIN_EXE_strongroom"))
            .args(["passwords", "filter", "--list", &list, "--out", &filter, "--json"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        assert!(
            String::from_utf8_lossy(&made.stdout).contains(r#""passwords":1"#),
            "{made:?}"
        );
        let measure = async |server: &Server, password: &str| {
            let answer = server
                .client()
                .post(STRENGTH, json!({"password": password}))
                .await
                .expect(200);
            answer.body["acceptable"].as_bool().unwrap()
        };
        assert!(measure(&server, leaked).await);
        assert_eq!(server.stop().await, Some(0));
        server.set("STRONGROOM_AUTH__BREACHED_PASSWORDS", &filter);
        server.resume().await;
        assert!(!measure(&server, leaked).await);
        assert!(measure(&server, free).await);
    }
}
