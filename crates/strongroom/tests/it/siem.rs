//! Security events reach a collector that nobody here wrote: all of them, unchanged, whoever is killed meanwhile.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Answer, BUSY, Server, mail_server::logged, people::new_key, programs::free_port, rsyslog::Rsyslog,
    stories, until,
};

const LOGIN: &str = "/api/v1/auth/login";
const AWAY: &str = "the collector of security events is away";
/// What a client calls itself that would like to be another field, another line, another event.
const AGENT: &str = r#"a|b=c\d ]"}{ <34>1 - - - - - outcome=done %20%0a 7 <13>1"#;
const PASSWORD: &str = "wrong-canary-6183-horse";

stories! {
    with BUSY;
    every_event_arrives_whoever_is_killed_meanwhile,
    what_a_collector_read_and_did_not_write_before_it_died_comes_again,
    a_collector_that_is_not_the_named_one_gets_nothing,
    what_a_client_says_is_one_field_of_one_message,
}

async fn started(server: &mut Server, format: &str) -> Option<Rsyslog> {
    let rsyslog = Rsyslog::place()?;
    server.stop().await;
    rsyslog.collect_from(server, format);
    server.resume().await;
    Some(rsyslog)
}

async fn guess(server: &Server) -> Answer {
    let client = server.client();
    let body = json!({"email": format!("nobody-canary-{}@example.com", new_key()), "password": PASSWORD});
    let request = client
        .request(Method::POST, LOGIN)
        .header("User-Agent", AGENT)
        .json(&body);
    client.send(request).await.expect(401)
}

/// The numbers of all events of the log.
fn told(server: &Server) -> BTreeSet<String> {
    let log = server.logged();
    log.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|line| {
            let id = line.get("event_id").or_else(|| line["fields"].get("event_id"));
            id.and_then(Value::as_str).map(str::to_owned)
        })
        .collect()
}

async fn every_event_arrives_whoever_is_killed_meanwhile(mut server: Server) {
    let alice = server.customer("alice").await;
    std::fs::write(server.folder().join("log"), "").unwrap();
    let Some(mut rsyslog) = started(&mut server, "ocsf").await else {
        return;
    };
    // Nobody waits for a collector that was never there.
    let mut requests = BTreeSet::new();
    for _ in 0..5 {
        requests.insert(guess(&server).await.header("x-request-id").unwrap().to_owned());
    }
    logged(&server, AWAY).await;
    // Killed with the answer: what was answered is known.
    server.kill();
    server.resume().await;
    rsyslog.start("right");
    rsyslog.has("login_failed", 5).await;
    for round in 0..3 {
        for _ in 0..4 {
            requests.insert(guess(&server).await.header("x-request-id").unwrap().to_owned());
        }
        rsyslog.kill();
        requests.insert(guess(&server).await.header("x-request-id").unwrap().to_owned());
        if round == 1 {
            server.kill();
            server.resume().await;
        }
        rsyslog.start("right");
        rsyslog.has("login_failed", 10 + 5 * round).await;
    }
    server.login(&alice.email, &alice.password).await;
    rsyslog.has("login_succeeded", 1).await;

    let events = rsyslog.events();
    let failed: Vec<&Value> = events
        .iter()
        .filter(|event| event["metadata"]["event_code"] == "login_failed")
        .collect();
    let named: BTreeSet<String> = failed
        .iter()
        .map(|event| event["metadata"]["correlation_uid"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(named, requests, "each request is one event");
    for event in failed {
        assert_eq!(event["class_uid"], 3002, "{event}");
        assert_eq!(event["status"], "Failure", "{event}");
        assert_eq!(event["http_request"]["user_agent"], AGENT, "{event}");
        assert_eq!(event["src_endpoint"]["ip"], "127.0.0.1", "{event}");
    }
    // The same events by number as on the log, of which a kill may take the last lines.
    assert_eq!(server.stop().await, Some(0));
    let ids: BTreeSet<String> = events
        .iter()
        .map(|event| event["metadata"]["uid"].as_str().unwrap().to_owned())
        .collect();
    let told = told(&server);
    assert!(!told.is_empty() && told.is_subset(&ids), "{told:?}\n{ids:?}");
    for head in rsyslog.heads() {
        assert!(
            head.starts_with("8") && head.contains(" 1 localhost strongroom "),
            "{head}"
        );
    }
    let taken = rsyslog.taken().join("\n");
    for secret in [
        PASSWORD,
        "nobody-canary",
        &alice.email,
        &alice.password,
        alice.client.token(),
    ] {
        assert!(!taken.contains(secret), "{secret} in {taken}");
    }
    // What waits is sealed.
    for entry in std::fs::read_dir(server.data().join("siem")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(
            !text.contains("login_failed") && !text.contains("127.0.0.1"),
            "{text}"
        );
    }
}

/// Events that somebody took, by the figures of the server.
async fn delivered(port: u16) -> u64 {
    let text = reqwest::get(format!("http://127.0.0.1:{port}/metrics")).await;
    let text = text.unwrap().text().await.unwrap();
    let begin = r#"strongroom_siem_events_delivered_total{collector="siem"} "#;
    let figure = text.lines().find_map(|line| line.strip_prefix(begin));
    figure.unwrap_or("0").parse().unwrap()
}

async fn what_a_collector_read_and_did_not_write_before_it_died_comes_again(mut server: Server) {
    let port = free_port();
    server.set("STRONGROOM_METRICS__LISTEN", &format!("127.0.0.1:{port}"));
    let Some(mut rsyslog) = started(&mut server, "ocsf").await else {
        return;
    };
    rsyslog.start_forgetful();
    let mut requests = BTreeSet::new();
    for _ in 0..6 {
        requests.insert(guess(&server).await.header("x-request-id").unwrap().to_owned());
    }
    until("everything that the collector read", async || {
        delivered(port).await >= 6
    })
    .await;
    rsyslog.kill();
    let kept = rsyslog.events().len();
    assert!(kept < 6, "it read six, wrote {kept} and loses none");
    // At once: nobody tries to bring anything while it is away.
    rsyslog.start("right");
    rsyslog.has("login_failed", 6).await;
    let named: BTreeSet<String> = rsyslog
        .events()
        .iter()
        .filter(|event| event["metadata"]["event_code"] == "login_failed")
        .map(|event| event["metadata"]["correlation_uid"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(named, requests);
}

async fn a_collector_that_is_not_the_named_one_gets_nothing(mut server: Server) {
    let Some(mut rsyslog) = started(&mut server, "ocsf").await else {
        return;
    };
    for certificate in ["forged", "elsewhere"] {
        rsyslog.start(certificate);
        guess(&server).await;
        server.kill();
        server.resume().await;
        logged(&server, "invalid peer certificate").await;
        assert_eq!(rsyslog.taken(), Vec::<String>::new());
        rsyslog.kill();
        std::fs::write(server.folder().join("log"), "").unwrap();
    }
    rsyslog.start("right");
    rsyslog.has("login_failed", 2).await;
}

async fn what_a_client_says_is_one_field_of_one_message(mut server: Server) {
    let Some(mut rsyslog) = started(&mut server, "cef").await else {
        return;
    };
    rsyslog.start("right");
    let request = guess(&server).await.header("x-request-id").unwrap().to_owned();
    let line = rsyslog.message_with("|login_failed|").await;
    let (head, cef) = line.split_once(" - CEF:0|Strongroom|Strongroom|").unwrap();
    assert!(
        head.starts_with("<85>1 ") && head.ends_with(" login_failed"),
        "{line}"
    );
    let agent = AGENT.replace('\\', "\\\\").replace('=', "\\=");
    assert!(
        cef.contains(&format!(
            " requestClientApplication={agent} cs1={request} cs1Label=request"
        )),
        "{line}"
    );
    assert!(
        cef.contains(" src=127.0.0.1 ") && cef.contains(" outcome=refused "),
        "{line}"
    );
    assert_eq!(rsyslog.taken().len(), rsyslog.heads().len(), "a line each");
    assert!(
        rsyslog
            .heads()
            .iter()
            .all(|head| head.contains(" 1 localhost strongroom "))
    );
}
