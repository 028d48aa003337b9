//! What people typed and what opens doors is nowhere to be read: not in the log, not in the database, not in its
//! journal.

use std::path::Path;

use serde_json::json;
use sqlx::Row;

use crate::harness::{Engine, Server, people::new_key, stories};

stories! {
    nothing_that_people_typed_can_be_read_in_log_database_or_files,
    the_search_finds_a_planted_canary_in_every_form,
}

/// A place that was searched, as text; bytes that are no text are replaced.
type Found = Vec<(String, String)>;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The characters of a base64 text that depend on these bytes alone, at one of the three alignments.
fn base64(bytes: &[u8], shift: usize) -> String {
    let padded = [vec![0; shift], bytes.to_vec()].concat();
    let bit = |index: usize| padded[index / 8] >> (7 - index % 8) & 1;
    let whole = padded.len() * 8 / 6;
    ((shift * 8).div_ceil(6)..whole)
        .map(|digit| (0..6).fold(0_u8, |value, place| value << 1 | bit(digit * 6 + place)))
        .map(|value| char::from(BASE64[usize::from(value)]))
        .collect()
}

/// Every way in which a text may lie around.
fn forms(text: &str) -> Vec<(&'static str, String)> {
    let bytes = text.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let url: String = bytes
        .iter()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(*byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect();
    let json = json!(text).to_string();
    let mut forms = vec![
        ("plain", text.to_owned()),
        ("JSON", json.trim_matches('"').to_owned()),
        (
            "JSON in JSON",
            json!(json).to_string().trim_matches('"').to_owned(),
        ),
        ("URL", url.clone()),
        ("form", url.replace("%20", "+")),
        ("hex", hex.clone()),
        ("HEX", hex.to_uppercase()),
    ];
    for shift in 0..3 {
        let standard = base64(bytes, shift);
        forms.push(("base64url", standard.replace('+', "-").replace('/', "_")));
        forms.push(("base64", standard));
    }
    forms
}

/// Where a text can be read, and in which form.
fn search(places: &Found, text: &str) -> Vec<String> {
    let mut hits = Vec::new();
    for (form, wanted) in forms(text) {
        for (place, content) in places {
            if content.contains(&wanted) {
                hits.push(format!("{form} in {place}"));
            }
        }
    }
    hits
}

/// Every file below a folder.
fn files(folder: &Path, found: &mut Found) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            files(&path, found);
        } else if let Ok(bytes) = std::fs::read(&path) {
            found.push((
                path.display().to_string(),
                String::from_utf8_lossy(&bytes).into_owned(),
            ));
        }
    }
}

/// Every row of every table, as the database itself writes it.
async fn rows(server: &Server) -> Found {
    let mut connection = server.database().unwrap().connect().await;
    let tables = "SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables \
        WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')";
    let tables: Vec<String> = sqlx::query_scalar(tables)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let mut found = Found::new();
    for table in tables {
        let all = format!("SELECT coalesce(string_agg(to_jsonb(t)::text, E'\\n'), '') FROM {table} t");
        let row = sqlx::query(sqlx::AssertSqlSafe(all))
            .fetch_one(&mut connection)
            .await
            .unwrap();
        found.push((table, row.get(0)));
    }
    found
}

/// Database and journal, log, and every other file of the data directory but the mails.
async fn everything(server: &Server) -> Found {
    let mut found = Found::new();
    files(server.folder(), &mut found);
    let outbox = server.outbox().display().to_string();
    found.retain(|(place, _)| !place.starts_with(&outbox));
    if server.engine == Engine::Postgres {
        found.extend(rows(server).await);
    }
    found
}

async fn nothing_that_people_typed_can_be_read_in_log_database_or_files(mut server: Server) {
    let person = server.customer("zeppelin-canary-7731").await;
    let teller = server.operator("teller").await;
    let mailed = server.mailed_token(&person.email).await;
    let account = person.account("Savings \"canary\" 5512/a").await;
    let other = person.account("Other").await;
    let id = account["id"].as_str().unwrap();
    let slip = "Slip \"canary\" 8093 of a customer";
    let cash = json!({"account_id": id, "amount": {"amount": 1_000, "currency": "EUR"}, "reference": slip});
    teller
        .client
        .post_once("/api/v1/deposits", &new_key(), cash)
        .await
        .expect(201);
    let memo = "Memo \"canary\" 4410 / rent & more";
    let key = format!("key-canary-6650-{}", new_key());
    let mut body = crate::harness::people::transfer_body(&account, &other, 10);
    body["description"] = json!(memo);
    person
        .client
        .post_once("/api/v1/transfers", &key, body.clone())
        .await
        .expect(201);
    body["amount"]["amount"] = json!(11);
    let reused = person.client.post_once("/api/v1/transfers", &key, body).await;
    reused.refused(422, "idempotency_key_reused");
    let renamed = "Renamed \"canary\" 2207 person";
    person
        .client
        .patch("/api/v1/me", json!({"full_name": renamed}))
        .await
        .expect(200);
    let relabelled = "Relabelled \"canary\" 9934 account";
    let path = format!("/api/v1/accounts/{id}");
    person
        .client
        .patch(&path, json!({"name": relabelled}))
        .await
        .expect(200);
    let found = person
        .client
        .get(&format!("{path}/transactions?q=canary"))
        .await
        .expect(200);
    assert_eq!(
        found.body["data"].as_array().unwrap().len(),
        2,
        "the owner reads it"
    );
    let wrong = "wrong-password-canary-3318";
    let login = json!({"email": person.email, "password": wrong});
    server
        .client()
        .post("/api/v1/auth/login", login)
        .await
        .refused(401, "invalid_credentials");
    let old = person.tokens["refresh_token"].as_str().unwrap().to_owned();
    let fresh = server
        .client()
        .post("/api/v1/auth/refresh", json!({"refresh_token": old}))
        .await
        .expect(200);
    let stranger = "stranger-canary-1187@example.org";
    server
        .client()
        .post("/api/v1/auth/password/forgot", json!({"email": stranger}))
        .await
        .expect(202);
    let broken = format!("{{\"email\": \"broken-canary-7002\", \"password\": \"{wrong}\"");
    let request = server
        .client()
        .request(reqwest::Method::POST, "/api/v1/auth/login");
    let request = request.header("Content-Type", "application/json").body(broken);
    server
        .client()
        .send(request)
        .await
        .refused(400, "validation_failed");

    let (access, new_access) = (person.client.token().to_owned(), fresh.text("access_token"));
    let new_refresh = fresh.text("refresh_token");
    let signature = |token: &str| token.rsplit('.').next().unwrap().to_owned();
    let (signed, new_signed) = (signature(&access), signature(&new_access));
    let secrets = [
        ("password", person.password.as_str()),
        ("operator's password", teller.password.as_str()),
        ("wrong password", wrong),
        ("token of a mail", &mailed),
        ("access token", &access),
        ("its signature", &signed),
        ("refreshed access token", &new_access),
        ("its signature", &new_signed),
        ("spent refresh token", &old),
        ("refresh token", &new_refresh),
        ("e-mail", &person.email),
        ("its local part", "zeppelin-canary-7731"),
        ("operator's e-mail", &teller.email),
        ("stranger's e-mail", stranger),
        ("broken login", "broken-canary-7002"),
        ("name", renamed),
        ("name of an account", "Savings \"canary\" 5512/a"),
        ("new name of an account", relabelled),
        ("memo", memo),
        ("slip", slip),
        ("idempotency key", &key),
        ("part of a text", "\"canary\""),
    ];
    for running in [true, false] {
        if !running {
            assert_eq!(server.stop().await, Some(0));
        }
        let places = everything(&server).await;
        for (what, secret) in secrets {
            let hits = search(&places, secret);
            assert!(hits.is_empty(), "{what}, server running: {running}: {hits:?}");
        }
        // The same search finds what is there: a number in the database, a person's id in the log.
        let number = account["number"].as_str().unwrap();
        assert!(
            !search(&places, number).is_empty(),
            "the database was not searched"
        );
        let log = places
            .iter()
            .any(|(place, text)| place.ends_with("log") && text.contains("access"));
        assert!(log, "the log was not searched");
    }
    // Mails name their reader; they hold no password and no token of a session.
    let mut mails = Found::new();
    files(&server.outbox(), &mut mails);
    assert!(
        !search(&mails, &person.email).is_empty(),
        "the mails were not searched"
    );
    for (what, secret) in &secrets[..10] {
        if *what != "token of a mail" {
            assert!(search(&mails, secret).is_empty(), "{what} in a mail");
        }
    }
}

async fn the_search_finds_a_planted_canary_in_every_form(server: Server) {
    let canary = "Planted \"canary\" 6021 / & more";
    assert!(search(&everything(&server).await, canary).is_empty());
    let planted = server.data().join("planted");
    for (form, text) in forms(canary) {
        std::fs::write(
            &planted,
            [b"\xff\x00before".as_slice(), text.as_bytes(), b"after\xfe"].concat(),
        )
        .unwrap();
        let hits = search(&everything(&server).await, canary);
        assert!(!hits.is_empty(), "{form}: {text}");
    }
    std::fs::remove_file(&planted).unwrap();
    if server.engine == Engine::Postgres {
        let mut connection = server.database().unwrap().connect().await;
        for sql in [
            "CREATE TABLE planted AS SELECT 'Planted \"canary\" 6021 / & more'::text AS said",
            "CREATE TABLE planted AS SELECT convert_to('Planted \"canary\" 6021 / & more', 'UTF8') AS said",
            "CREATE TABLE planted AS SELECT encode(convert_to('xPlanted \"canary\" 6021 / & morey', 'UTF8'), 'base64') AS said",
        ] {
            sqlx::query(sql).execute(&mut connection).await.unwrap();
            assert!(!search(&everything(&server).await, canary).is_empty(), "{sql}");
            sqlx::query("DROP TABLE planted")
                .execute(&mut connection)
                .await
                .unwrap();
        }
    }
    // Where a customer's number is readable, so is the rest of the file that it is in.
    let person = server.customer("alice").await;
    let number = person.account("One").await["number"].as_str().unwrap().to_owned();
    assert!(!search(&everything(&server).await, &number).is_empty());
}
