//! Every rule of the catalogue is met by what it is for, over HTTPS, and then told once, within seconds.

use std::{
    path::Path,
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use futures::future::join_all;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use reqwest::Method;
use serde_json::{Value, json};
use strongroom_app::security::catalogue::AlertRule;

use crate::{
    alerts::{TOLD_SECS_MAX, alerts_of, moment, wrong_logins},
    fraud_rules,
    harness::{
        BUSY, Person, Server, awaited,
        mail_server::logged,
        people::{in_minutes, new_key},
        programs::free_port,
        stories, until,
    },
    policies,
};

const SETTINGS: &[(&str, &str)] = &[
    BUSY[0],
    BUSY[1],
    BUSY[2],
    BUSY[3],
    BUSY[4],
    BUSY[5],
    BUSY[6],
    ("STRONGROOM_APPROVALS__BOOTSTRAP", "true"),
    ("STRONGROOM_ACCESS__READERS_PEOPLE_MAX", "3"),
];
/// Rules that what people and strangers do meets, and whether the same thing again is the same alert. Else each thing
/// has an alert of its own.
const DONE: [(&str, bool); 10] = [
    ("failed_logins", true),
    ("lockouts", true),
    ("refresh_reuse", true),
    ("refused_credentials", true),
    ("detection_burst", true),
    ("denied_burst", true),
    ("privilege_change", false),
    ("policy_change", false),
    ("fraud_rules", false),
    ("incident_action", false),
];
/// Rules that have a story of their own, here or in another file.
const APART: [(&str, &str); 8] = [
    ("mass_reading", "alert_rules.rs"),
    ("chain_break", "alert_rules.rs"),
    ("limiter_away", "alert_rules.rs"),
    ("failing_requests", "alert_rules.rs"),
    ("export_full", "alert_rules.rs"),
    ("certificate_ends", "alert_rules.rs"),
    ("break_glass", "alerts.rs"),
    ("certificate_overdue", "acme.rs"),
];

stories! {
    with SETTINGS;
    each_rule_is_told_once_within_seconds_of_what_it_is_for,
    an_operator_who_reads_far_more_than_the_work_asks_for_is_told_of,
    books_that_do_not_verify_are_told_of,
    a_node_without_its_redis_and_its_failing_requests_are_told_of,
    events_that_find_no_room_are_told_of,
    a_certificate_that_ends_is_told_of,
}

#[test]
fn every_rule_has_its_story() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let mut told: Vec<&str> = DONE.iter().map(|(rule, _)| *rule).collect();
    for (rule, file) in APART {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        assert!(text.matches(rule).count() >= 1, "{rule} is not in {file}");
        told.push(rule);
    }
    told.sort_unstable();
    let mut all: Vec<&str> = AlertRule::ALL.iter().map(|rule| rule.name()).collect();
    all.sort_unstable();
    assert_eq!(told, all);
}

/// The alerts of a rule once there are so many, each told in time.
async fn told(reader: &Person, rule: &str, number: usize) {
    let found = awaited(rule, async || {
        let found = alerts_of(reader, rule).await;
        let are_told = found.iter().all(|alert| alert["told_at"] != Value::Null);
        (found.len() >= number && are_told).then_some(found)
    })
    .await;
    assert_eq!(found.len(), number, "{rule}: {found:?}");
    for alert in &found {
        let waited = moment(alert, "told_at").duration_since(moment(alert, "last_at"));
        assert!(waited.as_secs_f64() < TOLD_SECS_MAX, "{rule}: {waited:?}");
    }
}

/// The people of a story.
struct Bench {
    reader: Person,
    alice: Person,
    policies: policies::Desk,
    fraud: fraud_rules::Desk,
    /// Networks that were blocked.
    networks: AtomicU8,
}

impl Bench {
    async fn of(server: &Server) -> Self {
        Self {
            reader: server.operator("auditor").await,
            alice: server.customer("alice").await,
            policies: policies::Desk::of(server).await,
            fraud: fraud_rules::Desk::of(server).await,
            networks: AtomicU8::new(0),
        }
    }

    /// Does what a rule is for, once.
    async fn provoke(&self, server: &Server, rule: &str) {
        let stranger = server.client();
        match rule {
            "failed_logins" => wrong_logins(&stranger, 20).await,
            "lockouts" => {
                for number in 0..3 {
                    let email = format!("locked-{number}-{}@example.com", new_key());
                    for _ in 0..6 {
                        let body = json!({"email": email, "password": "wrong"});
                        stranger.post("/api/v1/auth/login", body).await;
                    }
                }
            }
            "refresh_reuse" => {
                let body = json!({"email": self.alice.email, "password": self.alice.password});
                let set = stranger.post("/api/v1/auth/login", body).await.expect(200);
                let first = json!({"refresh_token": set.text("refresh_token")});
                let next = stranger
                    .post("/api/v1/auth/refresh", first.clone())
                    .await
                    .expect(200);
                let next = json!({"refresh_token": next.text("refresh_token")});
                stranger.post("/api/v1/auth/refresh", next).await.expect(200);
                stranger.post("/api/v1/auth/refresh", first).await.expect(401);
            }
            "refused_credentials" => {
                let garbage = stranger.with_token("x.y.z");
                let asked = join_all((0..200).map(|_| garbage.get("/api/v1/me"))).await;
                assert!(asked.iter().all(|answer| answer.status == 401));
            }
            "detection_burst" => {
                let attack = "/api/v1/accounts?cursor=%27%20UNION%20SELECT%20password%20FROM%20users--%20";
                join_all((0..10).map(|_| stranger.get(attack))).await;
            }
            "denied_burst" => {
                let asked = join_all((0..30).map(|_| self.alice.client.get("/api/v1/admin/alerts"))).await;
                assert!(asked.iter().all(|answer| answer.status == 403));
            }
            "privilege_change" => {
                server.operator("support").await;
            }
            "policy_change" => {
                let harmless =
                    r#"forbid (principal in Role::"support", action == Action::"key.manage", resource);"#;
                self.policies.put_in_force(harmless).await;
            }
            "fraud_rules" => {
                self.fraud
                    .put_in_force(fraud_rules::small_ones(self.fraud.revision().await % 2 == 0))
                    .await;
            }
            "incident_action" => {
                let network = format!("198.51.100.{}/32", self.networks.fetch_add(1, Ordering::Relaxed));
                let body = json!({"action": "block_network", "reason": "A story.", "network": network,
                    "ends_at": in_minutes(10)});
                let admin = &self.policies.maker.client;
                admin
                    .post("/api/v1/admin/incident-actions", body)
                    .await
                    .expect(201);
            }
            other => panic!("nothing is done for {other}"),
        }
    }
}

async fn each_rule_is_told_once_within_seconds_of_what_it_is_for(server: Server) {
    let bench = Bench::of(&server).await;
    let mut expected = Vec::new();
    for (rule, is_one) in DONE {
        let before = alerts_of(&bench.reader, rule).await.len();
        bench.provoke(&server, rule).await;
        told(&bench.reader, rule, before + 1).await;
        // What goes on is the same alert; another thing of this kind is another one.
        bench.provoke(&server, rule).await;
        expected.push((rule, before + if is_one { 1 } else { 2 }));
    }
    for (rule, number) in expected {
        told(&bench.reader, rule, number).await;
    }
}

async fn an_operator_who_reads_far_more_than_the_work_asks_for_is_told_of(server: Server) {
    let (auditor, admin) = (server.operator("auditor").await, server.operator("admin").await);
    for number in 0..2 {
        server.customer(&format!("customer-{number}")).await;
    }
    // A page of people counts as five of them.
    for _ in 0..3 {
        admin.client.get("/api/v1/admin/users?limit=20").await.expect(200);
    }
    told(&auditor, "mass_reading", 1).await;
    admin.client.get("/api/v1/admin/users?limit=20").await.expect(200);
    told(&auditor, "mass_reading", 1).await;
}

async fn books_that_do_not_verify_are_told_of(mut server: Server) {
    let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
    let auditor = server.operator("auditor").await;
    let account = alice.account("Savings").await;
    teller.deposit(&account, 1_000).await.expect(201);
    const CHECK: &str = "/api/v1/admin/ledger/check";
    let check = async |who: &Person| {
        awaited("the end of a check", async || {
            let run = who.client.get(CHECK).await.expect(200);
            (run.body["state"] == "finished").then_some(run)
        })
        .await
    };
    let clean = check(&auditor).await;
    assert_eq!(clean.body["result"]["clean"], true, "{clean:?}");
    let changed = "UPDATE account_states SET balance = balance + 1 WHERE balance > 0".to_owned();
    assert_eq!(server.change_while_down(&[changed]).await, [1]);
    assert_eq!(alerts_of(&auditor, "chain_break").await, Vec::<Value>::new());
    let found = check(&auditor).await;
    assert_eq!(found.body["result"]["clean"], false, "{found:?}");
    told(&auditor, "chain_break", 1).await;
    check(&auditor).await;
    told(&auditor, "chain_break", 1).await;
}

async fn a_node_without_its_redis_and_its_failing_requests_are_told_of(mut server: Server) {
    let auditor = server.operator("auditor").await;
    server.stop().await;
    // Nobody is there.
    server.set("STRONGROOM_REDIS__URL", "redis://127.0.0.1:1");
    server.begin().await;
    let stranger = server.client();
    let guess = || {
        let body = json!({"email": format!("{}@example.com", new_key()), "password": "wrong"});
        stranger.post("/api/v1/auth/login", body)
    };
    for _ in 0..19 {
        guess().await.refused(503, "unavailable");
    }
    told(&auditor, "limiter_away", 1).await;
    assert_eq!(alerts_of(&auditor, "failing_requests").await, Vec::<Value>::new());
    for _ in 0..21 {
        guess().await.refused(503, "unavailable");
    }
    told(&auditor, "failing_requests", 1).await;
    told(&auditor, "limiter_away", 1).await;
    let feed = "/api/v1/admin/security/events?class=errors&limit=1";
    // Alerts are told before the feed is written.
    let event = crate::harness::awaited("the event in the feed", async || {
        let page = auditor.client.get(feed).await.expect(200);
        page.body["data"].get(0).cloned()
    })
    .await;
    assert_eq!(event["kind"], "request_failed", "{event}");
    assert_eq!(event["reason"], "unavailable", "{event}");
    assert_eq!(event["address"], "127.0.0.1", "{event}");
}

async fn events_that_find_no_room_are_told_of(mut server: Server) {
    let auditor = server.operator("auditor").await;
    let believed = server.data().join("tls/ca.pem");
    server.stop().await;
    for (name, value) in [
        ("SIEM__HOST", "localhost"),
        ("SIEM__PORT", &free_port().to_string()),
        ("SIEM__CA_FILE", believed.to_str().unwrap()),
        ("SIEM__SPOOL_BYTES", "262144"),
    ] {
        server.set(&format!("STRONGROOM_{name}"), value);
    }
    server.resume().await;
    let stranger = server.client().with_token("x.y.z");
    until("a spool that is full", async || {
        join_all((0..50).map(|_| stranger.get("/api/v1/me"))).await;
        !alerts_of(&auditor, "export_full").await.is_empty()
    })
    .await;
    join_all((0..50).map(|_| stranger.get("/api/v1/me"))).await;
    told(&auditor, "export_full", 1).await;
}

async fn a_certificate_that_ends_is_told_of(mut server: Server) {
    let auditor = server.operator("auditor").await;
    let (certificate, key) = (
        server.folder().join("ending.pem"),
        server.folder().join("ending.key"),
    );
    // A file of the server's own authority, which the story's clients believe.
    let tls = server.data().join("tls");
    let of_server = |name: &str| tls.join(name);
    std::fs::copy(of_server("server.pem"), &certificate).unwrap();
    std::fs::copy(of_server("server.key"), &key).unwrap();
    server.stop().await;
    server.set("STRONGROOM_SERVER__TLS", "files");
    server.set("STRONGROOM_TLS__CERTIFICATE_FILE", certificate.to_str().unwrap());
    server.set("STRONGROOM_TLS__KEY_FILE", key.to_str().unwrap());
    server.resume().await;
    assert_eq!(alerts_of(&auditor, "certificate_ends").await, Vec::<Value>::new());
    // Five days are left of a long life.
    let fresh = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    params.not_after = date_time_ymd(1970, 1, 1) + since + Duration::from_secs(5 * 86_400);
    let made = params.self_signed(&fresh).unwrap();
    std::fs::write(&key, fresh.serialize_pem()).unwrap();
    std::fs::write(&certificate, made.pem()).unwrap();
    logged(&server, "alert=\"certificate_ends\"").await;
    // The story's clients believe the one before.
    std::fs::copy(of_server("server.key"), &key).unwrap();
    std::fs::copy(of_server("server.pem"), &certificate).unwrap();
    until("the certificate of before", async || {
        let client = server.client();
        client
            .try_send(client.request(Method::GET, "/livez"))
            .await
            .is_ok()
    })
    .await;
    told(&auditor, "certificate_ends", 1).await;
}
