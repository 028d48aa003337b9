//! The server has its certificate from a directory that nobody here wrote, and renews it by itself.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::MetadataExt,
    sync::Arc,
};

use reqwest::{Certificate, Client, tls::TlsInfo};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::harness::{
    Server, awaited, mail_server::logged, pebble::Pebble, programs::free_port, stories, until,
};

/// Somebody asks all the time.
const SETTINGS: &[(&str, &str)] = &[("STRONGROOM_LIMITS__HEALTH", "10000000/1h")];

stories! {
    with SETTINGS;
    a_server_gets_a_certificate_and_renews_it_while_connections_live_on,
    a_restart_serves_the_kept_certificate_and_asks_nobody,
    a_directory_that_is_away_or_refuses_leaves_the_bank_serving_and_is_asked_again,
}

/// A life in which nothing is due while a story runs, in seconds.
const LONG: u32 = 90 * 86_400;
/// A life of which half is over soon.
const SHORT: u32 = 30;
const FAILURES: &str = "strongroom_acme_failures_total";
const EVENTS: &str = "strongroom_security_events_total{kind=\"certificate_not_renewed\"}";
/// The operators' name in these stories.
const OPERATORS: &str = "ops.bank.test";

fn client(root: &Certificate) -> Client {
    let client = Client::builder().tls_certs_only([root.clone()]).tls_info(true);
    client.http1_only().build().unwrap()
}

/// The certificate under which this client is answered; `None` where there is no connection.
async fn shown(client: &Client, url: &str) -> Option<Vec<u8>> {
    let answer = client.get(format!("{}/livez", url.trim_end_matches('/')));
    let answer = answer.send().await.ok()?;
    assert_eq!(answer.status(), 200);
    let info = answer.extensions().get::<TlsInfo>()?;
    info.peer_certificate().map(<[u8]>::to_vec)
}

/// The certificate of a new connection.
async fn served(server: &Server, root: &Certificate) -> Option<Vec<u8>> {
    shown(&client(root), server.url()).await
}

/// Starts again, with certificates from there.
async fn certified(server: &mut Server, pebble: &Pebble) {
    server.stop().await;
    pebble.certify(server);
    server.begin().await;
}

/// Starts again and asks the directory at once, however long the next wait has become meanwhile.
async fn asked_at_once(server: &mut Server) {
    server.stop().await;
    fs::remove_file(server.data().join("tls/acme/tries")).unwrap();
    server.begin().await;
}

async fn a_server_gets_a_certificate_and_renews_it_while_connections_live_on(mut server: Server) {
    let Some(pebble) = Pebble::start(&server, SHORT).await else {
        return;
    };
    let root = pebble.root().await;
    certified(&mut server, &pebble).await;
    awaited("a certificate", async || served(&server, &root).await).await;
    let held = client(&root);
    let first = shown(&held, server.url()).await.unwrap();
    let next = awaited("the next certificate", async || {
        // It would be closed if nobody asked.
        assert_eq!(shown(&held, server.url()).await.as_ref(), Some(&first));
        served(&server, &root).await.filter(|next| *next != first)
    })
    .await;
    assert_eq!(shown(&held, server.url()).await, Some(first));
    assert!(next.len() > 100);
    let counted = async || server.counted("strongroom_acme_certificates_total").await >= 2;
    until("both are counted", counted).await;
    let refused = pebble
        .log()
        .matches("JWS has an invalid anti-replay nonce")
        .count();
    eprintln!("{refused} right nonces were refused");
}

/// What the protocol of proofs gets while nothing is proven: no certificate at all.
async fn asks_for_a_proof(server: &Server, name: &str) -> std::io::Result<()> {
    let mut config = ClientConfig::builder()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let (_, port) = server.url().trim_end_matches('/').rsplit_once(':').unwrap();
    let stream = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await.map(drop)
}

async fn a_restart_serves_the_kept_certificate_and_asks_nobody(mut server: Server) {
    let Some(mut pebble) = Pebble::start(&server, LONG).await else {
        return;
    };
    let root = pebble.root().await;
    certified(&mut server, &pebble).await;
    let first = awaited("a certificate", async || served(&server, &root).await).await;
    for name in ["localhost", "bank.example"] {
        let refused = asks_for_a_proof(&server, name).await.unwrap_err().to_string();
        assert!(refused.contains("NoApplicationProtocol"), "{refused}");
    }
    let folder = server.data().join("tls/acme");
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
    for name in ["account", "certificate", "tries"] {
        assert_eq!(
            fs::metadata(folder.join(name)).unwrap().mode() & 0o777,
            0o600,
            "{name}"
        );
    }
    for name in ["account", "certificate"] {
        let sealed = fs::read(folder.join(name)).unwrap();
        let sealed = String::from_utf8_lossy(&sealed);
        for plain in ["PRIVATE", "CERTIFICATE", "localhost", "key", "bank"] {
            assert!(!sealed.contains(plain), "{name} has {plain}");
        }
    }
    pebble.kill();
    server.stop().await;
    server.begin().await;
    let kept = awaited("the kept certificate", async || served(&server, &root).await).await;
    assert_eq!(kept, first);
    assert_eq!(server.counted(FAILURES).await, 0);
    // What somebody changed is not served, and the directory has forgotten us meanwhile: both are had anew.
    server.stop().await;
    let file = folder.join("certificate");
    let mut sealed = fs::read(&file).unwrap();
    *sealed.last_mut().unwrap() ^= 1;
    fs::write(&file, sealed).unwrap();
    pebble.resume().await;
    let root = pebble.root().await;
    server.begin().await;
    logged(&server, "what was kept is not whole, or not ours").await;
    let fresh = awaited("another certificate", async || served(&server, &root).await).await;
    assert_ne!(fresh, first);
}

async fn a_directory_that_is_away_or_refuses_leaves_the_bank_serving_and_is_asked_again(mut server: Server) {
    let Some(mut pebble) = Pebble::start(&server, LONG).await else {
        return;
    };
    let old_root = pebble.root().await;
    certified(&mut server, &pebble).await;
    let first = awaited("a certificate", async || served(&server, &old_root).await).await;
    server.stop().await;
    // Another name makes it due at once.
    pebble.kill();
    let operators = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let url = format!("https://{OPERATORS}:{}", operators.port());
    server.set("STRONGROOM_ADMIN__LISTEN", &operators.to_string());
    server.set("STRONGROOM_ADMIN__PUBLIC_URL", &url);
    server.begin().await;
    until("three failures", async || server.counted(FAILURES).await >= 3).await;
    until("three events", async || server.counted(EVENTS).await >= 3).await;
    logged(&server, "certificate_overdue").await;
    assert_eq!(served(&server, &old_root).await.as_ref(), Some(&first));
    // It is back, does not know us, and does not find us.
    pebble.lead_to(Ipv4Addr::new(127, 0, 0, 2)).await;
    pebble.resume().await;
    asked_at_once(&mut server).await;
    logged(&server, "Failed to connect to 127.0.0.2").await;
    assert_eq!(served(&server, &old_root).await, Some(first));
    pebble.lead_to(Ipv4Addr::LOCALHOST).await;
    asked_at_once(&mut server).await;
    let root = pebble.root().await;
    awaited("a new certificate", async || served(&server, &root).await).await;
    let client = Client::builder()
        .tls_certs_only([root])
        .tls_info(true)
        .resolve(OPERATORS, operators)
        .build()
        .unwrap();
    shown(&client, &url).await.unwrap();
}
