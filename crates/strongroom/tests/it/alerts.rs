//! What is noticed is told within seconds, once, to those who can act, and not lost.

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::harness::{BUSY, Client, Person, Server, awaited, stories, webhook::Webhook};

const ALERTS: &str = "/api/v1/admin/alerts";
/// From what made an alert until it is told, in seconds.
pub(crate) const TOLD_SECS_MAX: f64 = 5.0;

stories! {
    with BUSY;
    many_failed_logins_are_one_alert_by_webhook_mail_and_log_within_seconds,
    an_alert_waits_for_a_webhook_that_is_away_and_outlives_a_kill,
    an_operator_made_without_approval_while_no_server_runs_is_told_when_one_does,
    events_are_lines_that_say_who_where_what_and_no_secret,
    an_alert_is_acknowledged_once_and_by_administrators_alone,
}

async fn with_webhook(server: &mut Server) -> Webhook {
    let hook = Webhook::start().await;
    server.stop().await;
    for (name, value) in hook.settings() {
        server.set(name, value);
    }
    server.resume().await;
    hook
}

pub(crate) async fn wrong_logins(client: &Client, number: usize) {
    let numbers: Vec<usize> = (0..number).collect();
    // Not more at once than passwords are hashed at a time.
    for some in numbers.chunks(10) {
        let tries = some.iter().map(|number| {
            let body = json!({"email": format!("nobody-{number}@example.com"), "password": "wrong"});
            client.post("/api/v1/auth/login", body)
        });
        for answer in join_all(tries).await {
            answer.expect(401);
        }
    }
}

pub(crate) async fn alerts_of(person: &Person, rule: &str) -> Vec<Value> {
    let answer = person
        .client
        .get(&format!("{ALERTS}?limit=100"))
        .await
        .expect(200);
    let mut found = answer.body["data"].as_array().unwrap().clone();
    found.retain(|alert| alert["rule"] == rule);
    found
}

pub(crate) fn moment(alert: &Value, name: &str) -> Timestamp {
    alert[name].as_str().unwrap().parse().unwrap()
}

async fn many_failed_logins_are_one_alert_by_webhook_mail_and_log_within_seconds(mut server: Server) {
    let (admin, alice) = (server.operator("admin").await, server.customer("alice").await);
    let hook = with_webhook(&mut server).await;
    let client = server.client();
    wrong_logins(&client, 19).await;
    assert_eq!(
        alerts_of(&admin, "failed_logins").await,
        Vec::<Value>::new(),
        "one too few"
    );
    wrong_logins(&client, 1).await;
    let told = hook.of_rule("failed_logins").await;
    assert_eq!(told[0].body["type"], "security.alert");
    assert_eq!(told[0].body["count"], 20);
    assert!(told[0].is_signed, "{told:?}");
    assert_eq!(
        told[0].headers["webhook-id"],
        told[0].body["id"].as_str().unwrap()
    );
    server.mail_with(&admin.email, "A security alert").await;
    assert!(
        server
            .mails_to(&alice.email)
            .iter()
            .all(|mail| !mail.contains("security alert"))
    );

    // What goes on is the same alert; something else is another one.
    wrong_logins(&client, 60).await;
    let set = json!({"email": alice.email, "password": alice.password});
    let set = client.post("/api/v1/auth/login", set).await.expect(200);
    let refresh = json!({"refresh_token": set.text("refresh_token")});
    let next = client
        .post("/api/v1/auth/refresh", refresh.clone())
        .await
        .expect(200);
    let next = json!({"refresh_token": next.text("refresh_token")});
    client.post("/api/v1/auth/refresh", next).await.expect(200);
    client.post("/api/v1/auth/refresh", refresh).await.expect(401);
    hook.of_rule("refresh_reuse").await;
    assert_eq!(hook.of_rule("failed_logins").await.len(), 1, "{:?}", hook.taken());

    let found = alerts_of(&admin, "failed_logins").await;
    let [alert] = found.as_slice() else {
        panic!("{found:?}")
    };
    let waited = moment(alert, "told_at").duration_since(moment(alert, "last_at"));
    assert!(waited.as_secs_f64() < TOLD_SECS_MAX, "{waited:?}");
    let logged = server.logged();
    let lines = logged
        .lines()
        .filter(|line| line.contains("alert=\"failed_logins\""));
    assert_eq!(lines.count(), 1);
}

async fn an_alert_waits_for_a_webhook_that_is_away_and_outlives_a_kill(mut server: Server) {
    let admin = server.operator("admin").await;
    let hook = with_webhook(&mut server).await;
    hook.take(false);
    wrong_logins(&server.client(), 20).await;
    let refused = hook.refused_of_rule("failed_logins").await;
    let found = alerts_of(&admin, "failed_logins").await;
    assert_eq!(found[0]["told_at"], Value::Null, "{found:?}");
    server.kill();
    hook.take(true);
    server.resume().await;
    let told = hook.of_rule("failed_logins").await;
    assert_eq!(
        told[0].body["id"], refused[0].body["id"],
        "the same alert, known by its id"
    );
    server.mail_with(&admin.email, "failed_logins").await;
    let mails = server.mails_to(&admin.email);
    let alerts = mails.iter().filter(|mail| mail.contains("failed_logins")).count();
    assert_eq!(alerts, 1, "a mail for each try would be a flood");
}

async fn an_operator_made_without_approval_while_no_server_runs_is_told_when_one_does(mut server: Server) {
    let admin = server.operator("admin").await;
    let hook = with_webhook(&mut server).await;
    server.stop().await;
    server.set("STRONGROOM_ENVIRONMENT", "staging");
    let add = ["operator", "add", "--name", "Eve", "--role", "admin", "--email"];
    let asked = server.cli(&[&add[..], &["eve@example.com"]].concat());
    assert!(asked.0, "{asked:?}");
    let forced = server.cli(&[&add[..], &["mallory@example.com", "--break-glass"]].concat());
    assert!(forced.0, "{forced:?}");
    server.resume().await;
    let told = hook.of_rule("break_glass").await;
    assert_eq!(told.len(), 1, "who asked for an approval broke nothing: {told:?}");
    assert_eq!(told[0].body["severity"], "critical");
    server.mail_with(&admin.email, "without approval").await;
}

async fn events_are_lines_that_say_who_where_what_and_no_secret(mut server: Server) {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let (savings, bobs_id) = (bob.account("Savings").await, bob.id().await);
    server.stop().await;
    server.set("STRONGROOM_LOG__FORMAT", "json");
    // Whoever wants little of the log still hears of these.
    server.set("STRONGROOM_LOG__LEVEL", "error");
    server.resume().await;
    let client = server.client();
    let password = "a-password-that-nobody-has-77";
    let agent = "evil\" ,\"event\":\"forged\" \u{e9}";
    let login = |password: &str| {
        let body = json!({"email": alice.email, "password": password});
        client
            .request(reqwest::Method::POST, "/api/v1/auth/login")
            .header("User-Agent", agent)
            .json(&body)
    };
    let refused = client.send(login(password)).await.expect(401);
    let me = client.send(login(&alice.password)).await.expect(200);
    let session = me.text("session_id");
    let me = client.with_token(&me.text("access_token"));
    let desk = me.get(ALERTS).await.refused(403, "forbidden");
    let path = format!("/api/v1/accounts/{}", savings["id"].as_str().unwrap());
    let foreign = me.get(&path).await.expect(404);
    let garbage = client.with_token("x.y.z").get("/api/v1/me").await.expect(401);
    server.stop().await;

    let logged = server.logged();
    let lines: Vec<Value> = logged
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &Value| line["target"] == "security")
        .collect();
    let find = |event: &str, answer: &str| {
        let found = lines
            .iter()
            .find(|line| line["event"] == event && (answer.is_empty() || line["request_id"] == answer));
        found.unwrap_or_else(|| panic!("no {event} of {answer} in {lines:?}"))
    };
    let id = |answer: &crate::harness::Answer| answer.header("x-request-id").unwrap().to_owned();
    let failed = find("login_failed", &id(&refused));
    assert_eq!(failed["class"], "authentication");
    assert_eq!(failed["severity"], "low");
    assert_eq!(failed["outcome"], "refused");
    assert_eq!(failed["reason"], "invalid_credentials");
    assert_eq!(failed["address"], "127.0.0.1");
    assert_eq!(failed["subject"].as_str().unwrap().len(), 32);
    assert!(failed["time"].as_str().unwrap().ends_with('Z'));
    let good = lines
        .iter()
        .find(|line| line["event"] == "login_succeeded" && line["session_id"] == session.as_str());
    assert!(good.unwrap()["principal"].as_str().unwrap().starts_with("user_"));
    let denied = find("access_denied", &id(&desk));
    assert_eq!(denied["reason"], "desk.enter");
    assert_eq!(denied["session_id"], session.as_str());
    assert_eq!(denied["user_agent"], "strongroom-tests");
    let foreign = find("access_denied", &id(&foreign));
    assert_eq!(foreign["object"], bobs_id.as_str(), "whose thing it was");
    find("token_refused", &id(&garbage));
    assert!(lines.iter().all(|line| line["event"] != "forged"));
    let lines = lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    assert!(lines.contains("127.0.0.1"), "the search finds what is there");
    for secret in [password, &alice.password, "x.y.z", &alice.email, me.token()] {
        assert!(!lines.contains(secret), "a line holds {secret}");
    }
}

async fn an_alert_is_acknowledged_once_and_by_administrators_alone(server: Server) {
    let (admin, other) = (server.operator("admin").await, server.operator("admin").await);
    let (auditor, alice) = (server.operator("auditor").await, server.customer("alice").await);
    wrong_logins(&server.client(), 20).await;
    let alert = awaited("an alert", async || {
        alerts_of(&auditor, "failed_logins").await.first().cloned()
    })
    .await;
    let path = format!("{ALERTS}/{}/acknowledge", alert["id"].as_str().unwrap());
    auditor
        .client
        .post(&path, json!({}))
        .await
        .refused(403, "forbidden");
    alice
        .client
        .post(&path, json!({}))
        .await
        .refused(403, "forbidden");
    server
        .client()
        .post(&path, json!({}))
        .await
        .refused(401, "unauthenticated");
    assert_eq!(
        alerts_of(&auditor, "failed_logins").await[0]["acknowledged_at"],
        Value::Null
    );
    let first = admin.client.post(&path, json!({})).await.expect(200);
    let second = other.client.post(&path, json!({})).await.expect(200);
    assert_eq!(
        first.body["acknowledged_by"], second.body["acknowledged_by"],
        "whoever was first"
    );
    assert_eq!(first.body["acknowledged_at"], second.body["acknowledged_at"]);
    let open = auditor
        .client
        .get(&format!("{ALERTS}?open=true&limit=100"))
        .await
        .expect(200);
    assert!(
        open.body["data"]
            .as_array()
            .unwrap()
            .iter()
            .all(|other| other["id"] != alert["id"])
    );
    let absent = format!("{ALERTS}/alrt_00000000000000000000000000/acknowledge");
    admin
        .client
        .post(&absent, json!({}))
        .await
        .refused(404, "not_found");
    auditor
        .client
        .get(&format!("{ALERTS}?limit=0"))
        .await
        .refused(400, "validation_failed");
}
