//! The audit log searched and taken away: by whom, what, with which outcome and when; and a file that proves itself.

use std::{
    path::Path,
    process::{Command, Output},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use strongroom_crypto::{Checkpoint, VerifierKey};
use strongroom_domain::audit::{Hash, check_consistency};

use crate::harness::{BUSY, Person, Server, awaited, people::new_key, stories, until};

const RECORDS: &str = "/api/v1/admin/audit/records";
const EXPORTS: &str = "/api/v1/admin/audit/exports";

stories!(
    with BUSY;
    an_auditor_finds_records_by_who_what_outcome_and_time,
    an_export_proves_itself_without_the_server_and_a_changed_one_does_not,
    the_log_is_shown_to_continue_itself,
);

async fn search(auditor: &Person, query: &str) -> Vec<Value> {
    let page = auditor.client.get(&format!("{RECORDS}?limit=100&{query}")).await;
    page.expect(200).body["data"].as_array().unwrap().clone()
}

/// Searches until there are so many.
async fn sealed(auditor: &Person, query: &str, count: usize) -> Vec<Value> {
    awaited("sealed records", async || {
        Some(search(auditor, query).await).filter(|found| found.len() >= count)
    })
    .await
}

/// Alice, who sent five times and once more than she had, and the auditor.
async fn told_bank(server: &Server) -> (Person, Person, String) {
    let (alice, bob, teller) = (
        server.customer("alice").await,
        server.customer("bob").await,
        server.operator("teller").await,
    );
    let auditor = server.operator("auditor").await;
    let (from, to) = (alice.account("Household").await, bob.account("Savings").await);
    teller.deposit(&from, 10_000).await.expect(201);
    for minor in 1..=5 {
        alice.transfer(&new_key(), &from, &to, minor).await.expect(201);
    }
    let broke = alice.transfer(&new_key(), &from, &to, 90_000).await;
    broke.refused(422, "insufficient_funds");
    let id = alice.client.get("/api/v1/me").await.expect(200).text("id");
    let last = sealed(&auditor, &format!("principal={id}&outcome=insufficient_funds"), 1).await;
    // A record is found as soon as it is a leaf; proofs are made under heads, which are signed a moment later.
    grown(&auditor, last[0]["leaf"].as_u64().unwrap()).await;
    (alice, auditor, id)
}

async fn an_auditor_finds_records_by_who_what_outcome_and_time(server: Server) {
    let (alice, auditor, id) = told_bank(&server).await;
    let sent = search(&auditor, &format!("principal={id}&action=transfer.create")).await;
    assert_eq!(sent.len(), 6);
    assert!(sent.iter().all(|record| record["principal"] == id.as_str()));
    let refused = search(
        &auditor,
        &format!("principal={id}&action=transfer.create&refused=true"),
    )
    .await;
    assert_eq!(refused, sent[..1]);
    assert_eq!(refused, search(&auditor, "outcome=insufficient_funds").await);
    assert_eq!(
        search(
            &auditor,
            &format!("principal={id}&action=transfer.create&outcome=ok")
        )
        .await,
        sent[1..]
    );
    let object = sent[2]["object"].as_str().unwrap();
    assert_eq!(search(&auditor, &format!("object={object}")).await, sent[2..3]);

    // From a moment on, and before one: what happened at it is in the first and not in the second.
    let at = sent[3]["at"].as_str().unwrap();
    let one = format!("principal={id}&action=transfer.create");
    let (since, before) = (
        search(&auditor, &format!("{one}&from={at}")).await,
        search(&auditor, &format!("{one}&to={at}")).await,
    );
    assert_eq!(since, sent[..4]);
    assert_eq!(before, sent[4..]);
    let next = sent[2]["at"].as_str().unwrap();
    assert_eq!(
        search(&auditor, &format!("{one}&from={at}&to={next}")).await,
        sent[3..4]
    );

    for (query, pointer) in [
        ("from=yesterday", "?from"),
        ("to=2026-13-01T00:00:00Z", "?to"),
        (&format!("from={at}&to={at}"), "?to"),
        ("action=transfer", "?action"),
        ("action=transfer.create%27", "?action"),
        (&format!("action=a.{}", "b".repeat(64)), "?action"),
        ("outcome=", "?outcome"),
        ("outcome=No", "?outcome"),
        ("object=1", "?object"),
        ("principal=alice@example.com", "?principal"),
        ("cursor=-1", "?cursor"),
    ] {
        let refusal = auditor.client.get(&format!("{RECORDS}?{query}")).await;
        let refusal = refusal.refused(400, "validation_failed");
        assert_eq!(refusal.body["errors"][0]["pointer"], pointer, "{refusal:?}");
    }
    // It is nobody else's to search, not even for one's own.
    alice
        .client
        .get(&format!("{RECORDS}?principal={id}"))
        .await
        .refused(403, "forbidden");
}

/// The log's public key, as an auditor would have copied it.
fn public_key(server: &Server) -> String {
    let keys = std::fs::read_to_string(server.data().join("checkpoints").join("key")).unwrap();
    keys.trim().to_owned()
}

fn verified(folder: &Path, text: &str, key: &str) -> Output {
    let file = folder.join("export.ndjson");
    std::fs::write(&file, text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_strongroom"))
        .args(["audit", "verify-export", "--json", "--key", key])
        .arg(&file)
        .env_clear()
        .current_dir(folder)
        .output()
        .unwrap()
}

fn said(output: &Output) -> Value {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Waits for a signed head above a size.
pub(crate) async fn grown(auditor: &Person, size: u64) {
    until("a signed head", async || {
        let head = auditor.client.get("/api/v1/admin/audit/checkpoint").await;
        head.expect(200).body["size"].as_u64() > Some(size)
    })
    .await;
}

/// The sections of an export, as they were answered.
async fn export(auditor: &Person, filter: Value, limit: u32) -> Vec<String> {
    let (mut sections, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let mut body = filter.clone();
        body["limit"] = limit.into();
        body["cursor"] = cursor;
        let answer = auditor.client.post(EXPORTS, body).await.expect(200);
        assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
        let text = String::from_utf8(answer.bytes).unwrap();
        let end: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert!(end["records"].as_u64() <= Some(limit.into()));
        let head: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        sections.push(text);
        cursor = end["next_cursor"].clone();
        if cursor.is_null() {
            return sections;
        }
        // The next section is proved under a later head: this one left a record.
        let head = head["checkpoint"].as_str().unwrap().lines().nth(1).unwrap();
        grown(auditor, head.parse().unwrap()).await;
    }
}

async fn an_export_proves_itself_without_the_server_and_a_changed_one_does_not(mut server: Server) {
    let (alice, auditor, id) = told_bank(&server).await;
    let sections = export(&auditor, json!({}), 7).await;
    assert!(sections.len() > 2);
    let of_alice = export(&auditor, json!({"principal": id, "outcome": "ok"}), 100)
        .await
        .concat();

    // Nothing is handed out that the log does not know of.
    let count = sections.len() + 1;
    let told = sealed(&auditor, "action=audit.export", count).await;
    assert_eq!(told.len(), count);
    assert_eq!(told[0]["details"]["filtered"], true);
    assert_eq!(
        (
            &told[count - 1]["details"]["first"],
            &told[count - 1]["details"]["records"]
        ),
        (&json!(0), &json!(7))
    );

    let admin = server.operator("admin").await;
    for (who, person) in [("alice", &alice), ("admin", &admin)] {
        let refusal = person.client.post(EXPORTS, json!({})).await;
        assert_eq!(
            (refusal.status, refusal.code()),
            (403, "forbidden"),
            "{who}: {refusal:?}"
        );
    }
    for (body, pointer) in [
        (json!({"limit": 0}), "/limit"),
        (json!({"limit": 501}), "/limit"),
        (json!({"cursor": "7"}), "/cursor"),
        (json!({"cursor": "9999999.0"}), "/cursor"),
        (json!({"cursor": "3.4"}), "/cursor"),
        (
            json!({"from": "2026-10-01T00:00:00Z", "to": "2026-10-01T00:00:00Z"}),
            "/to",
        ),
        (json!({"everything": true}), "/everything"),
    ] {
        let refusal = auditor.client.post(EXPORTS, body).await;
        let refusal = refusal.refused(400, "validation_failed");
        assert_eq!(refusal.body["errors"][0]["pointer"], pointer, "{refusal:?}");
    }
    let key = public_key(&server);
    server.stop().await;
    let folder = tempfile::tempdir().unwrap();
    let verify = |text: &str| verified(folder.path(), text, &key);

    let whole = sections.concat();
    let proved = said(&verify(&whole));
    assert_eq!((&proved["complete"], &proved["first"]), (&json!(true), &json!(0)));
    assert_eq!(proved["records"], proved["size"]);
    let selected = said(&verify(&of_alice));
    assert_eq!(
        (&selected["complete"], &selected["next_cursor"]),
        (&json!(false), &Value::Null)
    );
    let half = said(&verify(&sections[0]));
    assert_eq!((&half["complete"], &half["records"]), (&json!(false), &json!(7)));

    let lines: Vec<&str> = whole.lines().collect();
    let with = |number: usize, change: &dyn Fn(&mut Value)| {
        let mut line: Value = serde_json::from_str(lines[number]).unwrap();
        change(&mut line);
        let mut changed: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        changed[number] = line.to_string();
        changed.join("\n") + "\n"
    };
    assert_eq!(
        said(&verify(&with(3, &|_| ()))),
        proved,
        "written anew it is the same"
    );
    // A record that is left out, with the number put right: valid, and no longer whole.
    let mut gap: Vec<&str> = lines.clone();
    gap.remove(3);
    let end = gap[7].replace(":7,", ":6,");
    gap[7] = &end;
    assert_eq!(said(&verify(&(gap.join("\n") + "\n")))["complete"], false);

    let without = |number: usize| {
        let kept = lines.iter().enumerate().filter(|(place, _)| *place != number);
        kept.map(|(_, line)| format!("{line}\n")).collect::<String>()
    };
    let swapped = {
        let mut lines = lines.clone();
        lines.swap(3, 4);
        lines.join("\n") + "\n"
    };
    let flipped = |name: &'static str| {
        move |line: &mut Value| {
            let mut bytes = STANDARD.decode(line[name].as_str().unwrap()).unwrap();
            bytes[0] ^= 1;
            line[name] = STANDARD.encode(bytes).into();
        }
    };
    let caller = |line: &mut Value| {
        let mut bytes = STANDARD.decode(line["bytes"].as_str().unwrap()).unwrap();
        // Who acted: after version, id, time, request and the principal's kind.
        bytes[34] ^= 1;
        line["bytes"] = STANDARD.encode(bytes).into();
    };
    let stranger = "localhost/log+8fcb6a37+AVGfyVJXhXzaQQNiLuEQNBNMHCS5iAlCAiiXf7mx/Y9h";
    let other_head: Value = serde_json::from_str(sections[1].lines().next().unwrap()).unwrap();
    let cases: Vec<(&str, String)> = vec![
        (
            "another action",
            with(3, &|line| line["record"]["action"] = "user.read".into()),
        ),
        (
            "another outcome",
            with(3, &|line| line["record"]["outcome"] = "forbidden".into()),
        ),
        (
            "another person",
            with(3, &|line| {
                let is_alice = line["record"]["principal"] == id.as_str();
                line["record"]["principal"] = if is_alice { Value::Null } else { id.clone().into() };
            }),
        ),
        (
            "another time",
            with(3, &|line| line["record"]["at"] = "2020-01-01T00:00:00Z".into()),
        ),
        ("another place", with(3, &|line| line["leaf"] = 3.into())),
        ("other bytes", with(3, &flipped("bytes"))),
        ("another caller", with(3, &caller)),
        ("another code", with(3, &flipped("mac"))),
        ("another key", with(3, &|line| line["mac_key"] = 77.into())),
        (
            "a shorter proof",
            with(3, &|line| drop(line["proof"].as_array_mut().unwrap().pop())),
        ),
        (
            "another end of the export",
            with(0, &|line| line["size"] = 1.into()),
        ),
        (
            "another head",
            with(0, &|line| line["checkpoint"] = other_head["checkpoint"].clone()),
        ),
        ("another format", with(0, &|line| line["format"] = "csv".into())),
        (
            "no proof that the head continues",
            with(9, &|line| line["consistency"] = json!([])),
        ),
        ("a record twice", format!("{}\n{whole}", lines[1])),
        ("a head left out", without(0)),
        ("a record left out", without(3)),
        ("an end left out", without(8)),
        ("the last line left out", without(lines.len() - 1)),
        ("two records swapped", swapped),
        ("a section twice", format!("{}{}", sections[0], sections[0])),
        (
            "a section left out of its order",
            format!("{}{}{}", sections[0], sections[2], sections[1]),
        ),
        ("only the end", sections[1..].concat()),
        ("something after the end", format!("{whole}{}", sections[1])),
        ("cut within a line", whole[..whole.len() - 5].to_owned()),
        ("nothing", String::new()),
    ];
    for (what, text) in &cases {
        let output = verify(text);
        assert!(!output.status.success() && output.stdout.is_empty(), "{what}");
    }
    assert!(!verified(folder.path(), &whole, stranger).status.success());
}

async fn the_log_is_shown_to_continue_itself(server: Server) {
    let (alice, auditor, _) = told_bank(&server).await;
    let path = "/api/v1/admin/audit/consistency";
    let key = VerifierKey::parse(&public_key(&server)).unwrap();
    let hash = |text: &Value| -> Hash {
        let bytes = STANDARD.decode(text.as_str().unwrap()).unwrap();
        bytes.try_into().unwrap()
    };
    let mut kept: Option<Checkpoint> = None;
    for query in ["from=0", "from=1", "from=2&to=9", "from=9&to=9", "from=7"] {
        let proof = auditor
            .client
            .get(&format!("{path}?{query}"))
            .await
            .expect(200)
            .body;
        let (from, to) = (
            proof["from_size"].as_u64().unwrap(),
            proof["to_size"].as_u64().unwrap(),
        );
        let hashes: Vec<Hash> = proof["proof"].as_array().unwrap().iter().map(hash).collect();
        let (from_root, to_root) = (hash(&proof["from_root"]), hash(&proof["to_root"]));
        assert_eq!(
            check_consistency((from, &from_root), (to, &to_root), &hashes),
            Ok(()),
            "{query}"
        );
        if from > 0 && from < to {
            let mut wrong = from_root;
            wrong[0] ^= 1;
            assert!(check_consistency((from, &wrong), (to, &to_root), &hashes).is_err());
        }
        let head =
            Checkpoint::open(proof["checkpoint"].as_str().unwrap(), std::slice::from_ref(&key)).unwrap();
        if !query.contains("to=") {
            assert_eq!((head.size, head.root), (to, to_root));
            kept.get_or_insert(head);
        }
    }
    // What was kept is what the log says later that it was then.
    let kept = kept.unwrap();
    let later = auditor
        .client
        .get(&format!("{path}?from={}", kept.size))
        .await
        .expect(200)
        .body;
    assert_eq!(hash(&later["from_root"]), kept.root);
    for (query, pointer) in [("from=9&to=8", "?from"), ("from=1&to=99999999", "?to")] {
        let refusal = auditor.client.get(&format!("{path}?{query}")).await;
        let refusal = refusal.refused(400, "validation_failed");
        assert_eq!(refusal.body["errors"][0]["pointer"], pointer, "{refusal:?}");
    }
    for query in ["", "?from=x", "?from=-1", "?from=1&size=3"] {
        auditor
            .client
            .get(&format!("{path}{query}"))
            .await
            .refused(400, "validation_failed");
    }
    alice
        .client
        .get(&format!("{path}?from=1"))
        .await
        .refused(403, "forbidden");
}
