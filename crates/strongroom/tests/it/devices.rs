//! Devices that a person is known by, over HTTPS: called by a name that says something, and forgotten.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, BUSY, Client, Person, Server, stories};

const DEVICES: &str = "/api/v1/me/devices";
const SESSIONS: &str = "/api/v1/me/sessions";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

stories! {
    with BUSY;
    devices_and_sessions_have_names_that_their_owner_knows,
    a_forgotten_device_is_out_with_its_sessions_and_a_stranger_from_then_on,
}

/// Logs in with a user agent and perhaps a mark of the device.
async fn log_in(server: &Server, person: &Person, agent: &str, mark: Option<&str>) -> Answer {
    let body = json!({"email": person.email, "password": person.password});
    let client = server.client();
    let mut request = client
        .request(Method::POST, "/api/v1/auth/login")
        .header("user-agent", agent);
    if let Some(mark) = mark {
        request = request.header("x-device-token", mark);
    }
    client.send(request.json(&body)).await.expect(200)
}

async fn listed(client: &Client) -> Vec<Value> {
    client.get(DEVICES).await.expect(200).body["data"]
        .as_array()
        .unwrap()
        .clone()
}

async fn rename(client: &Client, id: &str, name: &str) -> Answer {
    let request = client.request(Method::PATCH, &format!("{DEVICES}/{id}"));
    client.send(request.json(&json!({"name": name}))).await
}

async fn forget(client: &Client, id: &str) -> Answer {
    client
        .send(client.request(Method::DELETE, &format!("{DEVICES}/{id}")))
        .await
}

async fn proved(server: &Server, client: &Client, password: &str) -> Client {
    let body = json!({"method": "password", "code": password});
    let set = client.post("/api/v1/auth/step-up", body).await.expect(200);
    server.client().with_token(&set.text("access_token"))
}

async fn devices_and_sessions_have_names_that_their_owner_knows(server: Server) {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let set = log_in(&server, &alice, FIREFOX, None).await;
    let firefox = server.client().with_token(&set.text("access_token"));
    let devices = listed(&firefox).await;
    let names: Vec<_> = devices
        .iter()
        .map(|device| device["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Firefox on Linux", "strongroom-tests"]);
    assert_eq!(
        (&devices[0]["current"], &devices[1]["current"]),
        (&json!(true), &json!(false))
    );
    let sessions = firefox.get(SESSIONS).await.expect(200);
    assert_eq!(sessions.body["data"][0]["device_name"], "Firefox on Linux");
    assert_eq!(sessions.body["data"][0]["device_id"], devices[0]["id"]);
    // A name of one's own needs a fresh proof: a thief would call the own device by the owner's.
    let id = devices[0]["id"].as_str().unwrap();
    rename(&firefox, id, "Kitchen tablet")
        .await
        .refused(401, "step_up_required");
    let fresh = proved(&server, &firefox, &alice.password).await;
    for wrong in ["", "two\nlines", &"x".repeat(61)] {
        rename(&fresh, id, wrong).await.refused(400, "validation_failed");
    }
    let named = rename(&fresh, id, "Kitchen tablet").await.expect(200);
    assert_eq!(
        (&named.body["name"], &named.body["named"]),
        (&json!("Kitchen tablet"), &json!(true))
    );
    let sessions = fresh.get(SESSIONS).await.expect(200);
    assert_eq!(sessions.body["data"][0]["device_name"], "Kitchen tablet");
    // The same device at its next login keeps its name, whatever it calls itself then.
    let mark = set.header("x-device-token").unwrap().to_owned();
    let again = log_in(&server, &alice, "curl/8.5", Some(&mark)).await;
    let again = server.client().with_token(&again.text("access_token"));
    assert_eq!(listed(&again).await.len(), 2);
    let sessions = again.get(SESSIONS).await.expect(200);
    assert_eq!(sessions.body["data"][0]["device_name"], "Kitchen tablet");
    // Somebody else's device looks like none.
    let bobs = proved(&server, &bob.client, &bob.password).await;
    assert_eq!(listed(&bobs).await.len(), 1);
    rename(&bobs, id, "Mine").await.refused(404, "not_found");
    forget(&bobs, id).await.refused(404, "not_found");
    assert_eq!(listed(&again).await.len(), 2);
}

async fn a_forgotten_device_is_out_with_its_sessions_and_a_stranger_from_then_on(server: Server) {
    let alice = server.customer("alice").await;
    let set = log_in(&server, &alice, FIREFOX, None).await;
    let (mark, refresh) = (
        set.header("x-device-token").unwrap().to_owned(),
        set.text("refresh_token"),
    );
    let phone = server.client().with_token(&set.text("access_token"));
    phone.get("/api/v1/me").await.expect(200);
    let id = listed(&alice.client).await[0]["id"].as_str().unwrap().to_owned();
    forget(&alice.client, &id).await.expect(204);
    phone.get("/api/v1/me").await.refused(401, "token_invalid");
    let body = json!({"refresh_token": refresh});
    server
        .client()
        .post("/api/v1/auth/refresh", body)
        .await
        .refused(401, "token_invalid");
    forget(&alice.client, &id).await.refused(404, "not_found");
    alice.client.get("/api/v1/me").await.expect(200);
    // Its mark is nothing any more: the next login is one on a new device.
    let again = log_in(&server, &alice, FIREFOX, Some(&mark)).await;
    assert_ne!(again.header("x-device-token").unwrap(), mark);
    server.mail_with(&alice.email, "new device").await;
}
