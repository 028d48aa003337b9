//! Sessions that end by themselves, over HTTPS. The hours that it takes are not waited for: while the server is down,
//! the owner of the database makes sessions as much older.

use serde_json::json;

use crate::{
    harness::{BUSY, Client, Person, Server, server::literal, stories},
    pages::logged_in,
};

const ME: &str = "/api/v1/me";
const SESSIONS: &str = "/api/v1/me/sessions";
const REFRESH: &str = "/api/v1/auth/refresh";
const IDLE_SECS: i64 = 15 * 60;
const HOUR_SECS: i64 = 60 * 60;
/// What a story may take on a busy machine.
const SLACK_SECS: i64 = 5 * 60;

stories! {
    with BUSY;
    a_session_that_nobody_uses_for_a_quarter_of_an_hour_opens_nothing,
    a_session_ends_at_its_last_hour_however_much_it_was_used,
}

/// What happened to a session while the server was down.
#[derive(Clone, Copy)]
enum Passed {
    /// So many seconds, in which nobody used it.
    Unused(i64),
    /// So many seconds, in which it was used to the last.
    Used(i64),
}

/// Lets time pass for some sessions, by their ids.
async fn pass(server: &mut Server, sessions: &[(&str, Passed)]) {
    let engine = server.engine;
    let changes = sessions.iter().map(|(session, passed)| {
        let (seconds, seen) = match *passed {
            Passed::Unused(seconds) => (seconds, seconds),
            Passed::Used(seconds) => (seconds, 0),
        };
        format!(
            "UPDATE sessions SET created_at = created_at - {0}, expires_at = expires_at - {0}, \
             last_seen_at = last_seen_at - {1} WHERE id = {2}",
            seconds * 1_000_000,
            seen * 1_000_000,
            literal(engine, session)
        )
    });
    let changes: Vec<_> = changes.collect();
    for changed in server.change_while_down(&changes).await {
        assert_eq!(changed, 1);
    }
}

fn id(person: &Person) -> &str {
    person.tokens["session_id"].as_str().unwrap()
}

/// Neither of its tokens opens anything any more.
async fn is_over(client: &Client, person: &Person) {
    person.client.get(ME).await.refused(401, "token_invalid");
    let body = json!({"refresh_token": person.tokens["refresh_token"]});
    client.post(REFRESH, body).await.refused(401, "token_invalid");
}

/// The session that a browser began: the only one in the list of that age that is not among these.
async fn begun_by_browser(person: &Person, others: &[&str]) -> String {
    let listed = person.client.get(SESSIONS).await.expect(200);
    let mut ids = listed.body["data"].as_array().unwrap().iter();
    let found = ids.find(|session| !others.contains(&session["id"].as_str().unwrap()));
    found.expect("a session of the browser")["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn a_session_that_nobody_uses_for_a_quarter_of_an_hour_opens_nothing(mut server: Server) {
    let alice = server.customer("alice").await;
    let idle = server.login(&alice.email, &alice.password).await;
    let nearly = server.login(&alice.email, &alice.password).await;
    let mut known = vec![id(&alice), id(&idle), id(&nearly)];
    let left = logged_in(&server, &alice).await;
    let left_id = begun_by_browser(&alice, &known).await;
    known.push(&left_id);
    let stays = logged_in(&server, &alice).await;
    let stays_id = begun_by_browser(&alice, &known).await;
    for person in [&idle, &nearly] {
        person.client.get(ME).await.expect(200);
    }
    for browser in [&left, &stays] {
        browser.get("/").await.expect(200);
    }
    pass(
        &mut server,
        &[
            (id(&idle), Passed::Unused(IDLE_SECS + 1)),
            (id(&nearly), Passed::Unused(IDLE_SECS - SLACK_SECS)),
            (&left_id, Passed::Unused(IDLE_SECS + 1)),
            (&stays_id, Passed::Unused(IDLE_SECS - SLACK_SECS)),
        ],
    )
    .await;
    is_over(&server.client(), &idle).await;
    left.get("/").await.leads_to("/login?refused=session_ended");
    // The others were used in time, and are in use again with that.
    nearly.client.get(ME).await.expect(200);
    stays.get("/").await.expect(200);
    let body = json!({"refresh_token": nearly.tokens["refresh_token"]});
    server.client().post(REFRESH, body).await.expect(200);
}

async fn a_session_ends_at_its_last_hour_however_much_it_was_used(mut server: Server) {
    let alice = server.customer("alice").await;
    let nearly = server.login(&alice.email, &alice.password).await;
    let later = server.login(&alice.email, &alice.password).await;
    let (teller, auditor) = (server.operator("teller").await, server.operator("auditor").await);
    for person in [&alice, &nearly, &later, &teller, &auditor] {
        person.client.get(ME).await.expect(200);
    }
    pass(
        &mut server,
        &[
            (id(&alice), Passed::Used(12 * HOUR_SECS + 1)),
            (id(&nearly), Passed::Used(12 * HOUR_SECS - SLACK_SECS)),
            (id(&later), Passed::Used(8 * HOUR_SECS + 1)),
            (id(&teller), Passed::Used(8 * HOUR_SECS + 1)),
            (id(&auditor), Passed::Used(8 * HOUR_SECS - SLACK_SECS)),
        ],
    )
    .await;
    for person in [&alice, &teller] {
        is_over(&server.client(), person).await;
    }
    // Before it, what is given is good to the end and no longer.
    for person in [&nearly, &auditor] {
        person.client.get(ME).await.expect(200);
        let body = json!({"refresh_token": person.tokens["refresh_token"]});
        let next = server.client().post(REFRESH, body).await.expect(200);
        assert!(
            next.body["expires_in"].as_i64().unwrap() <= SLACK_SECS,
            "{next:?}"
        );
    }
    // Customers have twelve hours where operators have eight.
    later.client.get(ME).await.expect(200);
}
