//! Mails by SMTP, over the wire: to the right server only, at least once, and nobody's mail holds up another's.

use serde_json::json;

use crate::harness::{
    BUSY, Client, Server,
    mail_server::{Mode, Place, logged},
    stories, until,
};

const PASSWORD: &str = "quilt-harbour-lantern-58-osprey";

stories! {
    with BUSY;
    mails_go_by_tls_as_text_and_html_to_their_recipient_alone,
    no_mail_goes_to_a_server_that_cannot_prove_its_name,
    mails_wait_for_a_server_that_is_away_and_outlive_a_kill,
    a_mail_that_is_refused_for_good_is_set_aside_and_holds_up_nobody,
    a_login_on_a_new_device_is_told_and_a_first_one_is_not,
}

async fn register(client: &Client, email: &str, name: &str) {
    let body = json!({"email": email, "password": PASSWORD, "full_name": name});
    client.post("/api/v1/auth/register", body).await.expect(202);
}

async fn mails_go_by_tls_as_text_and_html_to_their_recipient_alone(mut server: Server) {
    let Some(place) = Place::new() else { return };
    let mut told = Vec::new();
    for (mode, implicit) in [(Mode::StartTls, false), (Mode::Implicit, true)] {
        place.send_from(&mut server, implicit).await;
        let mails = place.start(mode, "right");
        let client = server.client();
        let email = format!("alice-{implicit}@example.com");
        let hostile =
            json!({"email": email, "password": PASSWORD, "full_name": "Eve\r\nBcc: eve@example.com"});
        client.post("/api/v1/auth/register", hostile).await.expect(400);
        register(&client, &email, "<b>Älice</b> & Co").await;
        let mail = mails.mail_with(&email, "multipart/alternative").await;
        assert_eq!(mail["secure"], true, "{mail}");
        assert_eq!(mail["user"], "bank", "{mail}");
        assert_eq!(mail["from"], "no-reply@bank.example", "{mail}");
        assert_eq!(mail["to"], json!([email]), "{mail}");
        let text = mail["message"].as_str().unwrap();
        let token = text
            .lines()
            .find_map(|line| line.strip_prefix("Token: "))
            .unwrap()
            .trim();
        for part in [
            "text/plain",
            "text/html",
            "Auto-Submitted: auto-generated",
            "@bank.example>",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let subject = text.lines().find(|line| line.starts_with("Subject:")).unwrap();
        assert!(!subject.contains(token), "{subject}");
        // Nobody speaks through us to an address that is not proved.
        assert!(
            !text.contains("lice</b>") && !text.contains("b&#62; &#38;"),
            "{text}"
        );
        let body = json!({"token": token, "password": PASSWORD});
        client.post("/api/v1/auth/verify-email", body).await.expect(204);
        client
            .post("/api/v1/auth/password/forgot", json!({"email": email}))
            .await
            .expect(202);
        let mail = mails.mail_with(&email, "Reset your password").await;
        let text = mail["message"].as_str().unwrap();
        assert!(
            text.contains("&#60;b&#62;") && text.contains("=C3=84lice"),
            "{text}"
        );
        // One recipient each. The first server's last mail may come again: its answer may have met a server
        // that was just stopped, and what is not known to have arrived is sent once more.
        told.push(json!([email]));
        for mail in mails.taken() {
            assert!(told.contains(&mail["to"]), "{mail}");
        }
    }
}

async fn no_mail_goes_to_a_server_that_cannot_prove_its_name(mut server: Server) {
    let Some(place) = Place::new() else { return };
    place.send_from(&mut server, false).await;
    let wrong = [
        (Mode::StartTls, "forged", "no TLS that can be trusted"),
        (Mode::StartTls, "elsewhere", "no TLS that can be trusted"),
        (Mode::Plain, "right", "the server does not offer what is needed"),
    ];
    for (number, (mode, certificate, said)) in wrong.into_iter().enumerate() {
        let mails = place.start(mode, certificate);
        let before = server.logged().matches(said).count();
        register(&server.client(), &format!("alice-{number}@example.com"), "Alice").await;
        until(said, async || server.logged().matches(said).count() > before).await;
        assert_eq!(mails.taken(), Vec::<serde_json::Value>::new(), "{certificate}");
    }
    // The same mails go to the right one.
    let mails = place.start(Mode::StartTls, "right");
    for number in 0..wrong.len() {
        mails
            .mail_with(&format!("alice-{number}@example.com"), "Token: ")
            .await;
    }
}

async fn mails_wait_for_a_server_that_is_away_and_outlive_a_kill(mut server: Server) {
    let Some(place) = Place::new() else { return };
    place.send_from(&mut server, false).await;
    register(&server.client(), "alice@example.com", "Alice").await;
    logged(&server, "nobody takes mails: no connection").await;
    register(&server.client(), "bob@example.com", "Bob").await;
    server.kill();
    server.resume().await;
    let mails = place.start(Mode::StartTls, "right");
    let alice = mails.mail_with("alice@example.com", "Token: ").await;
    mails.mail_with("bob@example.com", "Token: ").await;
    let text = alice["message"].as_str().unwrap();
    let token = text
        .lines()
        .find_map(|line| line.strip_prefix("Token: "))
        .unwrap()
        .trim();
    let body = json!({"token": token, "password": PASSWORD});
    server
        .client()
        .post("/api/v1/auth/verify-email", body)
        .await
        .expect(204);
}

async fn a_mail_that_is_refused_for_good_is_set_aside_and_holds_up_nobody(mut server: Server) {
    let Some(place) = Place::new() else { return };
    place.send_from(&mut server, false).await;
    let mails = place.start(Mode::StartTls, "right");
    register(&server.client(), "refused@example.com", "Alice").await;
    register(&server.client(), "later@example.com", "Carol").await;
    register(&server.client(), "bob@example.com", "Bob").await;
    mails.mail_with("bob@example.com", "Token: ").await;
    logged(&server, "a mail was set aside").await;
    let log = server.logged();
    assert!(log.contains("status 550") && log.contains("status 451"), "{log}");
    assert!(!log.contains("canary") && !log.contains("refused@"), "{log}");
    assert_eq!(log.matches("a mail was set aside").count(), 1, "{log}");
    assert_eq!(log.matches("status 550").count(), 3, "{log}");
    assert_eq!(mails.taken().len(), 1);
}

async fn a_login_on_a_new_device_is_told_and_a_first_one_is_not(server: Server) {
    let alice = server.customer("alice").await;
    let told = |server: &Server| {
        let mails = server.mails_to(&alice.email);
        mails
            .iter()
            .filter(|mail| mail.contains("A login from a new device"))
            .count()
    };
    let login = json!({"email": alice.email, "password": alice.password});
    let stranger = server.client_from("127.0.0.77");
    stranger
        .post("/api/v1/auth/login", login.clone())
        .await
        .expect(200);
    let mail = server.mail_with(&alice.email, "A login from a new device").await;
    assert!(mail.contains("from the network address 127.0.0.77"), "{mail}");
    // Of the first login of all there is no mail, and of many in an hour there are three.
    assert_eq!(told(&server), 1);
    for _ in 0..4 {
        stranger
            .post("/api/v1/auth/login", login.clone())
            .await
            .expect(200);
    }
    server.mail_with(&alice.email, "are not told one by one").await;
    assert_eq!(told(&server), 3);
}
