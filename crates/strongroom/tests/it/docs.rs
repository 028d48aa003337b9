//! The examples of the pages under `docs/` are run as they stand there.
//!
//! A page's `sh` blocks are one `curl` each; the `json` block that follows is what must be in the answer. `$NAME` in a
//! request is put in; `$NAME` in an answer is compared where it is known, and else remembered.

use std::collections::HashMap;

use reqwest::Method;
use serde_json::Value;

use crate::{
    beneficiaries::{BENEFICIARIES, elsewhere, entry, fresh, pay},
    harness::{
        Person, Server,
        people::{in_minutes, new_key},
        stories,
    },
    payments::town,
    rails,
};

stories! {
    with rails::SETTINGS;
    the_page_about_payments_is_true,
    the_page_about_beneficiaries_is_true,
    the_page_about_limits_is_true,
    the_page_about_notices_is_true,
    the_page_about_holds_is_true,
    the_page_about_batches_is_true,
    the_page_about_reversals_is_true,
    the_page_about_approvals_is_true,
    the_page_about_rails_is_true,
    the_page_about_fraud_is_true,
}

type Names = HashMap<String, String>;

/// A `curl` of a page: its words after the shell's rules, as far as the pages use them.
#[derive(Debug)]
struct Example {
    words: Vec<String>,
    answer: Value,
}

/// The examples of a page, in order.
fn examples(page: &str) -> Vec<Example> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(kind) = line.strip_prefix("```") {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((kind, body.join("\n")));
        }
    }
    let pairs = blocks.chunks_exact(2);
    assert!(pairs.remainder().is_empty(), "a request without its answer");
    pairs
        .map(|pair| {
            assert_eq!((pair[0].0, pair[1].0), ("sh", "json"), "{pair:?}");
            Example {
                words: words(&pair[0].1),
                answer: serde_json::from_str(&pair[1].1).unwrap(),
            }
        })
        .collect()
}

/// Words in single or double quotes or none, lines joined by a backslash.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in text.replace("\\\n", " ").chars() {
        match (letter, quote) {
            (letter, Some(open)) if letter == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (' ' | '\n', None) => words.extend(word.take()),
            (letter, _) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    assert_eq!(quote, None, "a quote that does not end");
    words
}

fn filled(text: &str, names: &Names) -> String {
    let mut known: Vec<_> = names.iter().collect();
    // The longest name first, so that none is taken for the beginning of another.
    known.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    let filled = known.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("${name}"), value)
    });
    assert!(!filled.contains('$'), "an unknown name in {text}");
    filled
}

/// Everything that the page shows must be in the answer.
fn compare(shown: &Value, is: &Value, names: &mut Names, at: &str) {
    let name = shown.as_str().and_then(|text| text.strip_prefix('$'));
    if let (Some(name), Value::String(found)) = (name, is) {
        let known = names.entry(name.to_owned()).or_insert_with(|| found.clone());
        assert_eq!(known, found, "{at}");
        return;
    }
    match (shown, is) {
        (Value::Object(shown), Value::Object(_)) => {
            for (name, value) in shown {
                compare(value, &is[name], names, &format!("{at}/{name}"));
            }
        }
        (Value::Array(shown), Value::Array(found)) => {
            assert!(shown.len() <= found.len(), "{at}");
            for (number, (shown, found)) in shown.iter().zip(found).enumerate() {
                compare(shown, found, names, &format!("{at}/{number}"));
            }
        }
        _ => assert_eq!(shown, is, "{at}"),
    }
}

/// Runs a page; how many examples it has.
async fn run(server: &Server, page: &str, mut names: Names) -> usize {
    let examples = examples(page);
    for example in &examples {
        let mut words = example.words.iter().map(|word| filled(word, &names));
        assert_eq!(words.next().as_deref(), Some("curl"));
        let (mut url, mut headers, mut body, mut verb) = (None, Vec::new(), None, None);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--cacert" => assert_eq!(words.next().as_deref(), Some("ca.pem")),
                "-H" => headers.extend(words.next()),
                "--json" => body = words.next(),
                "-X" => verb = words.next(),
                _ => assert_eq!(url.replace(word), None, "two addresses"),
            }
        }
        let url = url.unwrap();
        let path = url.strip_prefix("https://bank").unwrap();
        let usual = if body.is_some() { "POST" } else { "GET" };
        let method: Method = verb.as_deref().unwrap_or(usual).parse().unwrap();
        let client = server.client();
        let mut request = client.request(method, path);
        for header in &headers {
            let (name, value) = header.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        if let Some(body) = &body {
            let body: Value = serde_json::from_str(body).unwrap();
            request = request.json(&body);
        }
        let answer = client.send(request).await;
        let refused = example.answer["status"].as_u64();
        match refused {
            Some(status) => assert_eq!(u64::from(answer.status), status, "{url}: {answer:?}"),
            None => assert!((200..300).contains(&answer.status), "{url}: {answer:?}"),
        }
        compare(&example.answer, &answer.body, &mut names, &url);
    }
    examples.len()
}

fn names(pairs: &[(&str, &str)]) -> Names {
    let fixed = [("BANK", "https://bank"), ("CA", "ca.pem")];
    let all = fixed.iter().chain(pairs);
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

async fn the_page_about_payments_is_true(server: Server) {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let teller = server.operator("teller").await;
    let (from, shop) = (alice.account("Household").await, bob.account("Shop").await);
    teller.deposit(&from, 10_000).await.expect(201);
    let names = names(&[
        ("ALICE", alice.client.token()),
        ("BOB", bob.client.token()),
        ("TELLER", teller.client.token()),
        ("FROM", from["id"].as_str().unwrap()),
        ("SHOP", shop["id"].as_str().unwrap()),
    ]);
    let page = include_str!("../../../../docs/payments.md");
    assert!(run(&server, page, names).await >= 9);
}

async fn the_page_about_beneficiaries_is_true(server: Server) {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let teller = server.operator("teller").await;
    let (from, to) = (alice.account("Household").await, bob.account("Flat").await);
    teller.deposit(&from, 100_000).await.expect(201);
    let fresh = fresh(&server, &alice).await;
    let names = names(&[
        ("ALICE", alice.client.token()),
        ("FRESH", fresh.client.token()),
        ("FROM", from["id"].as_str().unwrap()),
        ("NUMBER", to["number"].as_str().unwrap()),
    ]);
    let page = include_str!("../../../../docs/beneficiaries.md");
    assert!(run(&server, page, names).await >= 10);
}

/// Alice and Bob with an account each, and money in hers.
async fn pair(server: &Server) -> (Person, Value, Person, Value) {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let teller = server.operator("teller").await;
    let (from, to) = (alice.account("Household").await, bob.account("Shop").await);
    teller.deposit(&from, 10_000).await.expect(201);
    (alice, from, bob, to)
}

async fn the_page_about_limits_is_true(server: Server) {
    let (alice, from, _, to) = pair(&server).await;
    let teller = server.operator("teller").await;
    teller.deposit(&from, 40_000).await.expect(201);
    let savings = alice.account("Savings").await;
    let fresh = fresh(&server, &alice).await;
    let names = names(&[
        ("ALICE", alice.client.token()),
        ("FRESH", fresh.client.token()),
        ("FROM", from["id"].as_str().unwrap()),
        ("SAVINGS", savings["id"].as_str().unwrap()),
        ("TO", to["id"].as_str().unwrap()),
    ]);
    let page = include_str!("../../../../docs/limits.md");
    assert!(run(&server, page, names).await >= 9);
}

async fn the_page_about_notices_is_true(server: Server) {
    let (alice, from, bob, to) = pair(&server).await;
    alice.transfer(&new_key(), &from, &to, 200).await.expect(201);
    crate::notices::until_told(&bob, "money_received", 1).await;
    let names = names(&[("BOB", bob.client.token())]);
    let page = include_str!("../../../../docs/notices.md");
    assert!(run(&server, page, names).await >= 3);
}

async fn the_page_about_holds_is_true(server: Server) {
    let (alice, from, bob, to) = pair(&server).await;
    let names = names(&[
        ("ALICE", alice.client.token()),
        ("BOB", bob.client.token()),
        ("FROM", from["id"].as_str().unwrap()),
        ("TO", to["id"].as_str().unwrap()),
    ]);
    let page = include_str!("../../../../docs/holds.md");
    assert!(run(&server, page, names).await >= 12);
}

async fn the_page_about_batches_is_true(server: Server) {
    let (alice, from, _, to) = pair(&server).await;
    let names = names(&[
        ("ALICE", alice.client.token()),
        ("FROM", from["id"].as_str().unwrap()),
        ("TO", to["id"].as_str().unwrap()),
    ]);
    let page = include_str!("../../../../docs/batches.md");
    assert!(run(&server, page, names).await >= 4);
}

async fn the_page_about_reversals_is_true(server: Server) {
    let town = town(&server, 10_000).await;
    let admin = server.operator("admin").await;
    let sent = town
        .alice
        .transfer(&new_key(), &town.from, &town.shop, 700)
        .await
        .expect(201);
    let names = names(&[
        ("ALICE", town.alice.client.token()),
        ("TELLER", town.teller.client.token()),
        ("ADMIN", admin.client.token()),
        ("TRANSFER", &sent.text("id")),
    ]);
    let page = include_str!("../../../../docs/reversals.md");
    assert!(run(&server, page, names).await >= 5);
}

async fn the_page_about_approvals_is_true(server: Server) {
    let alice = server.customer("alice").await;
    let account = alice.account("Household").await;
    let (teller, second) = (server.operator("teller").await, server.operator("teller").await);
    let admin = server.operator("admin").await;
    let names = names(&[
        ("TELLER", teller.client.token()),
        ("SECOND", second.client.token()),
        ("ADMIN", admin.client.token()),
        ("ACCOUNT", account["id"].as_str().unwrap()),
        ("LATER", &in_minutes(7 * 24 * 60)),
    ]);
    let page = include_str!("../../../../docs/approvals.md");
    assert!(run(&server, page, names).await >= 8);
}

/// What the page says that there is when it begins.
async fn the_page_about_rails_is_true(server: Server) {
    let town = town(&server, 50_000).await;
    let alice = fresh(&server, &town.alice).await;
    let carla = entry("Carla", &elsewhere(1));
    let carla = alice.client.post(BENEFICIARIES, carla).await.expect(201);
    let paid = pay(&alice.client, &town.from, &carla.text("id"), 2_000).await;
    rails::read(&server, "s1.xml", &rails::one_credit(&elsewhere(9), 2_500)).await;
    let admin = server.operator("admin").await;
    let names = names(&[
        ("TELLER", town.teller.client.token()),
        ("ADMIN", admin.client.token()),
        ("PAYMENT", &paid.expect(201).text("id")),
        ("ACCOUNT", town.shop["id"].as_str().unwrap()),
    ]);
    let page = include_str!("../../../../docs/rails.md");
    assert!(run(&server, page, names).await >= 9);
}

async fn the_page_about_fraud_is_true(server: Server) {
    let (compliance, admin) = (
        server.operator("compliance").await,
        server.operator("admin").await,
    );
    let names = names(&[
        ("COMPLIANCE", compliance.client.token()),
        ("ADMIN", admin.client.token()),
    ]);
    let page = include_str!("../../../../docs/fraud.md");
    assert!(run(&server, page, names).await >= 8);
}

#[test]
fn an_example_that_is_not_true_is_found() {
    let mut names = names(&[("KNOWN", "7")]);
    let is = serde_json::json!({"a": "7", "b": [{"c": 1}], "d": "new"});
    for shown in [
        r#"{"a": "$KNOWN", "d": "$NEW"}"#,
        r#"{"b": [{"c": 1}]}"#,
        r#"{"d": "$NEW"}"#,
    ] {
        compare(&serde_json::from_str(shown).unwrap(), &is, &mut names, "");
    }
    for shown in [r#"{"d": "$KNOWN"}"#, r#"{"b": [{"c": 2}]}"#, r#"{"e": 1}"#] {
        let (shown, mut names, is) = (serde_json::from_str(shown).unwrap(), names.clone(), is.clone());
        let told = std::panic::catch_unwind(move || compare(&shown, &is, &mut names, ""));
        assert!(told.is_err());
    }
    let said = words("curl -H \"A: b\" \\\n  --json '{\"x\": 1}' plain");
    assert_eq!(said, ["curl", "-H", "A: b", "--json", "{\"x\": 1}", "plain"]);
}
