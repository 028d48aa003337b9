//! Security events, followed one by one over HTTPS.

use std::collections::BTreeSet;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{BUSY, Client, Engine, Server, awaited, people::new_key, stories, until};

const FEED: &str = "/api/v1/admin/security/events";
/// Requests of a round, at once.
const AT_ONCE: usize = 60;
/// Most pages until the end is reached.
const PAGES_MAX: usize = 1_000;
/// Pages that are read while they are answered.
const PAGES_MEANWHILE: usize = 25;

stories! {
    with BUSY;
    events_are_followed_one_by_one_from_a_cursor,
    whoever_follows_misses_nothing_while_nodes_write_and_are_killed,
}

/// Somebody who follows: what arrived, and where it goes on.
#[derive(Debug, Default)]
struct Follower {
    events: Vec<Value>,
    cursor: Option<String>,
}

impl Follower {
    /// Reads one page; whether it reached the end.
    async fn page(&mut self, client: &Client, limit: usize) -> bool {
        let cursor = self.cursor.iter().map(|cursor| format!("&cursor={cursor}"));
        let path = format!("{FEED}?limit={limit}{}", cursor.collect::<String>());
        let page = client.get(&path).await.expect(200);
        let data = page.body["data"].as_array().unwrap().clone();
        assert!(data.len() <= limit);
        assert_eq!(page.body["missed"], 0);
        self.cursor = Some(page.text("next_cursor"));
        self.events.extend(data);
        page.body["caught_up"] == true
    }

    async fn to_the_end(client: &Client, limit: usize) -> Self {
        let mut follower = Self::default();
        for _ in 0..PAGES_MAX {
            if follower.page(client, limit).await {
                return follower;
            }
        }
        panic!("no end within {PAGES_MAX} pages")
    }

    fn ids(&self) -> Vec<&str> {
        self.events
            .iter()
            .map(|event| event["id"].as_str().unwrap())
            .collect()
    }

    fn requests(&self) -> BTreeSet<&str> {
        self.events
            .iter()
            .filter_map(|event| event["request_id"].as_str())
            .collect()
    }

    fn has(&self, requests: &BTreeSet<String>) -> bool {
        let known = self.requests();
        requests.iter().all(|request| known.contains(request.as_str()))
    }
}

/// Guesses a password; the number of the request.
async fn guess(client: &Client, email: &str) -> String {
    let wrong = json!({"email": email, "password": "wrong-horse-battery-1"});
    let answer = client.post("/api/v1/auth/login", wrong).await.expect(401);
    answer.header("x-request-id").unwrap().to_owned()
}

/// Shows something that is no token; the number of the request.
async fn garbage(client: &Client) -> String {
    let request = client.request(Method::GET, "/api/v1/me").bearer_auth("garbage");
    let answer = client.send(request).await.expect(401);
    answer.header("x-request-id").unwrap().to_owned()
}

async fn events_are_followed_one_by_one_from_a_cursor(server: Server) {
    let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
    let auditor = server.operator("auditor").await;
    let reader = &auditor.client;
    let nobody = server.client_from("127.0.0.4");
    let mut requests = BTreeSet::new();
    let emails: Vec<String> = (0..5).map(|_| format!("{}@example.com", new_key())).collect();
    for email in &emails {
        requests.insert(guess(&nobody, email).await);
    }
    let first = awaited("the events", async || {
        let found = Follower::to_the_end(reader, 2).await;
        found.has(&requests).then_some(found)
    })
    .await;
    let ids: BTreeSet<&str> = first.ids().into_iter().collect();
    assert_eq!(ids.len(), first.events.len(), "each once");
    let request = requests.first().unwrap();
    let event = first
        .events
        .iter()
        .find(|event| event["request_id"] == request.as_str());
    let event = event.unwrap();
    for (field, value) in [
        ("kind", "login_failed"),
        ("class", "authentication"),
        ("severity", "low"),
        ("outcome", "refused"),
        ("reason", "invalid_credentials"),
        ("address", "127.0.0.4"),
    ] {
        assert_eq!(event[field], value, "{event}");
    }
    assert_eq!(event["subject"].as_str().unwrap().len(), 32);
    let text = json!(first.events).to_string();
    assert!(
        !text.contains("wrong-horse") && !text.contains("@example.com"),
        "{text}"
    );

    // Whoever begins anew, with pages of another size, finds the same in the same order.
    let again = Follower::to_the_end(reader, 100).await;
    assert_eq!(again.ids()[..first.events.len()], first.ids());
    // At the end there is a cursor, too: what happens next stands behind it.
    let end = again.cursor.clone().unwrap();
    let late = tokio::sync::Mutex::new(Follower {
        cursor: Some(end),
        ..Follower::default()
    });
    let next = guess(&nobody, &emails[0]).await;
    until("what happened next", async || {
        let mut late = late.lock().await;
        late.page(reader, 2).await;
        late.requests().contains(next.as_str())
    })
    .await;
    let late = late.into_inner();
    assert!(late.ids().iter().all(|id| !again.ids().contains(id)));

    let me = reader.get("/api/v1/me").await.expect(200).text("id");
    let count = async |filter: &str| {
        let page = reader
            .get(&format!("{FEED}?limit=100&{filter}"))
            .await
            .expect(200);
        assert_eq!(page.body["caught_up"], true);
        page.body["data"].as_array().unwrap().len()
    };
    let email = emails[0].replace('@', "%40");
    assert_eq!(count("kind=login_failed&address=127.0.0.4").await, 6);
    assert_eq!(count(&format!("email={email}")).await, 2);
    assert_eq!(count(&format!("request_id={request}")).await, 1);
    assert_eq!(
        count("class=authentication&outcome=refused&severity=low").await,
        6
    );
    assert!(count(&format!("principal={me}")).await >= 1);
    for none in [
        "address=192.0.2.1",
        "class=attack",
        "severity=critical&kind=login_failed",
        "from=2099-01-01T00:00:00Z",
        "to=2020-01-01T00:00:00Z",
    ] {
        assert_eq!(count(none).await, 0, "{none}");
    }
    for wrong in [
        "kind=none",
        "class=none",
        "severity=none",
        "outcome=none",
        "principal=",
        "address=localhost",
        "email=x",
        "request_id=x",
        "incident_id=x",
        "from=x",
        "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
        "limit=0",
        "limit=101",
        "cursor=-1",
        "cursor=9000000000",
        "other=1",
    ] {
        let refused = reader.get(&format!("{FEED}?{wrong}")).await;
        refused.refused(400, "validation_failed");
    }
    for other in [&alice, &teller] {
        other.client.get(FEED).await.refused(403, "forbidden");
    }
    nobody.get(FEED).await.refused(401, "unauthenticated");
}

async fn whoever_follows_misses_nothing_while_nodes_write_and_are_killed(mut server: Server) {
    let auditor = server.operator("auditor").await;
    let mut beside = match server.engine {
        Engine::Postgres => Some(server.start_with_own_ring().await),
        Engine::Sqlite => None,
    };
    let mut follower = Follower::default();
    let mut requests = BTreeSet::new();
    for round in 0..3 {
        let nodes: Vec<Client> = [Some(&server), beside.as_ref()]
            .into_iter()
            .flatten()
            .map(Server::client)
            .collect();
        let nodes = &nodes;
        let write = || join_all((0..AT_ONCE / 2).map(move |number| garbage(&nodes[number % nodes.len()])));
        let writing = write();
        let following = async {
            for _ in 0..PAGES_MEANWHILE {
                follower.page(&auditor.client, 7).await;
            }
        };
        let (written, ()) = tokio::join!(writing, following);
        requests.extend(written);
        // Killed with the last answers, before a second is over: what was answered and still waits is followed.
        requests.extend(write().await);
        if round < 2 {
            let node = beside.as_mut().filter(|_| round == 0).unwrap_or(&mut server);
            node.kill();
            node.resume().await;
        }
    }
    assert_eq!(requests.len(), 3 * AT_ONCE);
    let follower = tokio::sync::Mutex::new(follower);
    until("every event", async || {
        let mut follower = follower.lock().await;
        follower.page(&auditor.client, 100).await;
        follower.has(&requests)
    })
    .await;
    let follower = follower.into_inner();
    let ids: BTreeSet<&str> = follower.ids().into_iter().collect();
    assert_eq!(ids.len(), follower.events.len(), "each once");
    let whole = Follower::to_the_end(&auditor.client, 100).await;
    assert_eq!(whole.ids()[..follower.events.len()], follower.ids());
}
