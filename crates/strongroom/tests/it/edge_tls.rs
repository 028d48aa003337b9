//! Certificates change while the server runs, and plain HTTP leads to HTTPS and nowhere else.

use std::{fs, net::TcpListener};

use rcgen::{CertificateParams, KeyPair};
use reqwest::{Client, redirect::Policy};

use crate::harness::{Server, awaited, stories};

stories! {
    a_new_certificate_is_served_without_a_restart_and_open_connections_live_on,
    plain_http_leads_to_the_configured_host_and_programs_are_refused,
}

async fn a_new_certificate_is_served_without_a_restart_and_open_connections_live_on(mut server: Server) {
    let (certificate, key) = (
        server.data().join("tls/server.pem"),
        server.data().join("tls/server.key"),
    );
    server.stop().await;
    server.set("STRONGROOM_SERVER__TLS", "files");
    server.set("STRONGROOM_TLS__CERTIFICATE_FILE", certificate.to_str().unwrap());
    server.set("STRONGROOM_TLS__KEY_FILE", key.to_str().unwrap());
    server.resume().await;
    let before = server.client();
    before.get("/livez").await.expect(200);

    // Of another authority: who opens a new connection either trusts it or has none.
    let fresh = KeyPair::generate().unwrap();
    let made = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .self_signed(&fresh)
        .unwrap();
    let after = Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(made.pem().as_bytes()).unwrap()])
        .build()
        .unwrap();
    let url = format!("{}/livez", server.url());
    after.get(&url).send().await.unwrap_err();
    fs::write(&key, fresh.serialize_pem()).unwrap();
    fs::write(&certificate, made.pem()).unwrap();
    awaited("the new certificate", async || after.get(&url).send().await.ok()).await;
    before.get("/livez").await.expect(200);
    server
        .client()
        .try_send(server.client().request(reqwest::Method::GET, "/livez"))
        .await
        .unwrap_err();
}

async fn plain_http_leads_to_the_configured_host_and_programs_are_refused(mut server: Server) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    server.stop().await;
    server.set("STRONGROOM_SERVER__REDIRECT_LISTEN", &free.to_string());
    server.resume().await;
    let plain = Client::builder().redirect(Policy::none()).build().unwrap();
    let ask = |path: &str| {
        plain
            .get(format!("http://{free}{path}"))
            .header("host", "evil.example")
    };
    let sent = ask("/login?next=1").send().await.unwrap();
    assert_eq!(sent.status(), 308);
    assert_eq!(
        sent.headers()["location"],
        format!("{}/login?next=1", server.url())
    );
    let refused = ask("/api/v1/accounts").send().await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), refused.headers().get("location")),
        (403, None)
    );
    let refused = ask("/login").bearer_auth("secret").send().await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), refused.headers().get("location")),
        (403, None)
    );
}
