//! The process dies, is told to stop, or is started twice.

use std::{process::Stdio, sync::Arc};

use crate::harness::{BUSY, Server, load::Town, people::new_key, stories};

/// Clients that send at the same time.
const CLIENTS: usize = 16;

stories! {
    with BUSY;
    kill_nine_in_the_middle_of_load_loses_and_doubles_nothing,
    a_polite_stop_under_load_answers_what_it_took_and_takes_nothing_silently,
    a_second_start_on_the_same_data_directory_fails_and_names_it,
}

async fn kill_nine_in_the_middle_of_load_loses_and_doubles_nothing(mut server: Server) {
    const KILLS: usize = 20;
    let mut town = Arc::new(Town::build(&server).await);
    let mut unanswered = 0;
    for round in 0..KILLS {
        let mut load = town.load(CLIENTS);
        // Another moment each time.
        load.more(20 + round * 13 % 40).await;
        server.kill();
        let heard = load.ended().await;
        unanswered += heard.iter().filter(|one| one.acknowledged.is_none()).count();
        server.resume().await;
        let again = heard.iter().find(|one| one.acknowledged.is_some());
        if let Some(again) = again {
            let answer = town.ask(0, &again.intent).await.unwrap().expect(201);
            assert_eq!(answer.header("idempotent-replayed"), Some("true"));
            assert_eq!(
                Some(answer.body),
                again.acknowledged.as_ref().map(|first| first.body.clone())
            );
        }
        town.settle(heard).await;
    }
    assert!(
        unanswered >= KILLS,
        "the kills met requests under way: {unanswered}"
    );
    assert!(town.booked() >= KILLS * 20);
    town.check().await;
    town.verify(&server);
    // Also when it lies there as the last kill left it.
    server.kill();
    town.verify(&server);
}

async fn a_polite_stop_under_load_answers_what_it_took_and_takes_nothing_silently(mut server: Server) {
    let mut town = Arc::new(Town::build(&server).await);
    for round in 0..3 {
        let mut load = town.load(CLIENTS);
        load.more(60 + round * 17).await;
        assert_eq!(server.stop().await, Some(0), "it ends well");
        let heard = load.ended().await;
        server.resume().await;
        // Who was not answered was not served: a request that met a closing connection left nothing behind.
        for one in heard.iter().filter(|one| one.acknowledged.is_none()) {
            assert!(one.refusals.is_empty(), "{:?}", one.refusals);
            let mut found = Vec::new();
            for person in town.people() {
                let path = format!("/api/v1/transfers?idempotency_key={}", one.intent.key);
                found.push(person.client.get(&path).await.status);
            }
            assert_eq!(found, [404, 404], "{:?}", one.intent);
        }
        town.settle(heard).await;
    }
    town.check().await;
    assert_eq!(server.stop().await, Some(0));
    town.verify(&server);
}

async fn a_second_start_on_the_same_data_directory_fails_and_names_it(server: Server) {
    let person = server.customer("alice").await;
    let second = server
        .command()
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(server.data())
        .env("STRONGROOM_METRICS__LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{told}");
    let folder = server.data().canonicalize().unwrap();
    assert!(
        told.contains("in use") && told.contains(&folder.display().to_string()),
        "{told}"
    );
    // The first one did not notice.
    let body = serde_json::json!({"kind": "savings", "currency": "EUR", "name": "Still here"});
    person
        .client
        .post_once("/api/v1/accounts", &new_key(), body)
        .await
        .expect(201);
}
