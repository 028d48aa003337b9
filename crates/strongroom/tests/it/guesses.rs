//! Guessing over HTTPS: two hundred at once get no more than five, and the owner's device stays open.

use futures::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::harness::{Answer, BUSY, Person, Server, stories};

const LOGIN: &str = "/api/v1/auth/login";

/// As many as are looked at before there is a wait.
const TRIES_FREE: usize = 5;
/// As many as the queue of hashes holds, so that none is turned away.
const AT_ONCE: usize = 40;

stories! {
    with BUSY;
    two_hundred_guesses_at_once_lock_strangers_out_and_not_the_owner,
    of_forty_guesses_at_once_five_are_looked_at,
}

async fn from_device(server: &Server, person: &Person, mark: Option<&str>) -> Answer {
    let client = server.client();
    let body = json!({"email": person.email, "password": person.password});
    let request = client.request(Method::POST, LOGIN).json(&body);
    let request = match mark {
        Some(mark) => request.header("X-Device-Token", mark),
        None => request,
    };
    client.send(request).await
}

async fn two_hundred_guesses_at_once_lock_strangers_out_and_not_the_owner(server: Server) {
    let alice = server.customer("alice").await;
    let admin = server.operator("admin").await;
    let first = from_device(&server, &alice, None).await.expect(200);
    let mark = first.header("x-device-token").unwrap().to_owned();
    let me = alice.client.get("/api/v1/me").await.expect(200).text("id");
    let stranger = server.client();
    let guess = |number: usize| {
        let spelled = match number % 3 {
            0 => alice.email.to_uppercase(),
            1 => format!(" {} ", alice.email),
            _ => alice.email.clone(),
        };
        stranger.post(
            LOGIN,
            json!({"email": spelled, "password": format!("guess-number-{number}")}),
        )
    };
    let answers = join_all((0..200).map(guess)).await;
    // Too many at once are told to come back, and were no tries.
    assert!(
        answers.iter().all(|answer| [401, 503].contains(&answer.status)),
        "{answers:?}"
    );
    for number in 0..5 {
        guess(number).await.refused(401, "invalid_credentials");
    }
    from_device(&server, &alice, None)
        .await
        .refused(401, "invalid_credentials");
    from_device(&server, &alice, Some("srd_invented"))
        .await
        .refused(401, "invalid_credentials");
    from_device(&server, &alice, Some(&mark)).await.expect(200);
    server.mail_with(&alice.email, "wrong five times").await;
    let unlock = format!("/api/v1/admin/users/{me}/unlock");
    admin
        .client
        .post(&unlock, json!({"reason": "identified by phone"}))
        .await
        .expect(200);
    from_device(&server, &alice, None).await.expect(200);
}

async fn of_forty_guesses_at_once_five_are_looked_at(server: Server) {
    let stranger = server.client();
    for name in ["alice", "bob", "carol"] {
        let person = server.customer(name).await;
        let before = server.counted("strongroom_guesses_refused_total").await;
        let guesses = (0..AT_ONCE).map(|number| {
            let body = json!({"email": person.email, "password": format!("guess-number-{number}")});
            stranger.post(LOGIN, body)
        });
        for answer in join_all(guesses).await {
            answer.refused(401, "invalid_credentials");
        }
        let refused = server.counted("strongroom_guesses_refused_total").await - before;
        assert_eq!(refused, u64::try_from(AT_ONCE - TRIES_FREE).unwrap());
        from_device(&server, &person, None)
            .await
            .refused(401, "invalid_credentials");
    }
}
