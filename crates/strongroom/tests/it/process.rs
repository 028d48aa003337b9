//! The process itself: how it starts, what it refuses, what it writes down, how it ends.

use std::{collections::BTreeSet, fs, os::unix::fs::MetadataExt, process::Command};

use reqwest::{Certificate, StatusCode};
use serde_json::Value;

use crate::harness::{Engine, Server};

const CANARY: &str = "canary-4711";

async fn server(settings: &[(&str, &str)]) -> Server {
    Server::start_with(Engine::Sqlite, settings).await.unwrap()
}

/// A client that trusts the server's authority, for requests that no well-behaved client makes.
fn http(server: &Server) -> reqwest::Client {
    let authority = fs::read(server.data().join("tls/ca.pem")).unwrap();
    reqwest::Client::builder()
        .tls_certs_only([Certificate::from_pem(&authority).unwrap()])
        .build()
        .unwrap()
}

/// Runs the binary where no server is and gives whether it succeeded, and what it printed.
fn run(arguments: &[&str], settings: &[(&str, &str)]) -> (bool, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_strongroom"))
        .env_clear()
        .envs(settings.iter().copied())
        .current_dir(folder.path())
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.success(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[tokio::test]
async fn a_first_start_needs_nothing_and_closes_its_data_to_everybody_else() {
    let server = server(&[]).await;
    assert_eq!(fs::metadata(server.data()).unwrap().mode() & 0o777, 0o700);
    let mut folders = vec![server.data()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            assert_eq!(metadata.mode() & 0o077, 0, "{} is open", entry.path().display());
            if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
}

#[tokio::test]
async fn a_second_start_on_the_same_data_is_refused_and_the_first_goes_on() {
    let server = server(&[]).await;
    let (started, _, said) = server.cli(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(!started);
    assert!(
        said.contains("is in use by another strongroom (process "),
        "{said}"
    );
    assert_eq!(server.client().get("/readyz").await.status, 200);
}

#[tokio::test]
async fn a_signal_ends_it_with_success_and_the_next_start_keeps_the_certificate() {
    let mut server = server(&[]).await;
    let authority = fs::read(server.data().join("tls/ca.pem")).unwrap();
    assert_eq!(server.stop().await, Some(0));
    server.resume().await;
    assert_eq!(fs::read(server.data().join("tls/ca.pem")).unwrap(), authority);
    server.kill();
    // The lock ends with the process, however it ended.
    server.resume().await;
}

#[tokio::test]
async fn the_log_has_one_line_of_json_per_request_and_nothing_that_somebody_sent() {
    let server = server(&[
        ("STRONGROOM_LOG__FORMAT", "json"),
        ("STRONGROOM_LOG__LEVEL", "trace"),
    ])
    .await;
    let url = format!("{}/api/v1/auth/login?{CANARY}={CANARY}", server.url());
    let answer = http(&server)
        .post(url)
        .header("User-Agent", CANARY)
        .header("X-Request-Id", CANARY)
        .bearer_auth(CANARY)
        .json(&serde_json::json!({"email": format!("{CANARY}@bank.example"), "password": CANARY, format!("{CANARY} as a name"): 1}))
        .send()
        .await
        .unwrap();
    let number = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert!(!answer.text().await.unwrap().contains(CANARY));
    let unknown = format!("{}/{CANARY}/{CANARY}", server.url());
    assert_eq!(http(&server).get(unknown).send().await.unwrap().status(), 404);

    let mut server = server;
    assert_eq!(server.stop().await, Some(0));
    let log = server.logged();
    assert!(!log.contains(CANARY), "{log}");
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    let line = lines
        .iter()
        .find(|line| line["request_id"] == number)
        .expect("no line of the request");
    assert_eq!(
        (&line["target"], &line["route"], &line["method"]),
        (&"access".into(), &"/api/v1/auth/login".into(), &"POST".into())
    );
    assert!(line["ms"].is_number() && line["status"].is_number());
}

#[tokio::test]
async fn figures_are_on_a_listener_of_their_own() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let server = server(&[]).await;
    // The harness lets the system choose the address, so this server is asked for one of its own here.
    assert_eq!(
        http(&server)
            .get(format!("{}/metrics", server.url()))
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
    drop(server);
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_strongroom"))
        .env_clear()
        .env("STRONGROOM_METRICS__LISTEN", free.to_string())
        .current_dir(folder.path())
        .args(["serve", "--listen", "127.0.0.1:0"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let client = reqwest::Client::new();
    let mut figures = String::new();
    for _ in 0..600 {
        if let Ok(answer) = client.get(format!("http://{free}/metrics")).send().await {
            figures = answer.text().await.unwrap();
            break;
        }
        let _ = tokio::time::timeout(
            std::time::Duration::from_millis(100),
            std::future::pending::<()>(),
        )
        .await;
    }
    let status = client
        .get(format!("http://{free}/readyz"))
        .send()
        .await
        .map(|answer| answer.status());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        figures.contains("strongroom_http_requests_in_flight"),
        "{figures}"
    );
    assert_eq!(status.unwrap(), StatusCode::NOT_FOUND, "figures and nothing else");
}

#[tokio::test]
async fn operators_have_a_listener_of_their_own_where_one_is_named() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let operators = format!("https://localhost:{}", free.port());
    let server = server(&[
        ("STRONGROOM_ADMIN__LISTEN", &free.to_string()),
        ("STRONGROOM_ADMIN__PUBLIC_URL", &operators),
    ])
    .await;
    let client = http(&server);
    let status =
        async |base: &str, path: &str| client.get(format!("{base}{path}")).send().await.unwrap().status();
    assert_eq!(status(server.url(), "/api/v1/admin/users").await, 404);
    assert_eq!(status(server.url(), "/api/v1/accounts").await, 401);
    assert_eq!(status(&operators, "/api/v1/admin/users").await, 401);
    assert_eq!(status(&operators, "/api/v1/accounts").await, 404);
    assert_eq!(status(&operators, "/readyz").await, 200);
}

#[tokio::test]
async fn a_session_of_one_side_is_worth_nothing_on_the_listener_of_the_other() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let operators = format!("https://localhost:{}", free.port());
    let server = server(&[
        ("STRONGROOM_ADMIN__LISTEN", &free.to_string()),
        ("STRONGROOM_ADMIN__PUBLIC_URL", &operators),
    ])
    .await;
    let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
    let client = http(&server);
    let me = async |base: &str, who: &crate::harness::Person| {
        let request = client
            .get(format!("{base}/api/v1/me"))
            .bearer_auth(who.client.token());
        request.send().await.unwrap().status()
    };
    assert_eq!(me(server.url(), &alice).await, 200);
    assert_eq!(me(&operators, &teller).await, 200);
    assert_eq!(me(server.url(), &teller).await, 401);
    assert_eq!(me(&operators, &alice).await, 401);
}

#[tokio::test]
async fn documents_can_be_switched_off() {
    let on = server(&[]).await;
    let page = http(&on).get(format!("{}/docs", on.url())).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(
        page.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .starts_with("default-src 'none'; style-src 'self'")
    );
    let off = server(&[("STRONGROOM_SERVER__DOCS", "false")]).await;
    for path in ["/docs", "/openapi.json"] {
        assert_eq!(
            http(&off)
                .get(format!("{}{path}", off.url()))
                .send()
                .await
                .unwrap()
                .status(),
            404
        );
    }
}

#[tokio::test]
async fn the_process_leaves_no_core_behind() {
    let server = server(&[]).await;
    let id = fs::read_to_string(server.data().join("lock")).unwrap();
    let limits = fs::read_to_string(format!("/proc/{}/limits", id.trim())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(
        core.split_whitespace().rev().take(3).collect::<Vec<_>>(),
        ["bytes", "0", "0"],
        "{core}"
    );
}

#[test]
fn everything_that_is_wrong_with_a_configuration_is_said_at_once_without_the_values() {
    let settings = [
        ("STRONGROOM_SERVER__LISTEN", CANARY),
        ("STRONGROOM_KEYS__PASSFRASE", CANARY),
        ("STRONGROOM_LIMITS__AUTH", CANARY),
    ];
    for verb in [
        &["serve"][..],
        &["config", "check"],
        &["config", "check", "--json"],
    ] {
        let (succeeded, out, said) = run(verb, &settings);
        assert!(!succeeded, "{verb:?}");
        assert!(!out.contains(CANARY) && !said.contains(CANARY), "{out}{said}");
        for part in [
            "the configuration has 3 errors",
            "server.listen must be an IP address and a port",
            "keys.passfrase is not a setting; did you mean keys.passphrase?",
            "limits.auth must be like 5/15m",
        ] {
            assert!(said.contains(part), "{part} is missing in {said}");
        }
    }
}

#[test]
fn a_check_shows_settings_with_their_places_and_secrets_as_set() {
    let settings = [
        ("STRONGROOM_KEYS__PASSPHRASE", CANARY),
        ("STRONGROOM_LOG__LEVEL", "debug"),
    ];
    let (succeeded, out, said) = run(&["config", "check", "--json"], &settings);
    assert!(succeeded, "{said}");
    assert!(!out.contains(CANARY));
    let all: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(all["ok"], true);
    assert_eq!(all["settings"]["keys.passphrase"]["value"], "(set)");
    assert_eq!(all["settings"]["log.level"]["value"], "debug");
    assert_eq!(all["settings"]["log.level"]["origin"], "STRONGROOM_LOG__LEVEL");
    assert_eq!(all["settings"]["server.listen"]["origin"], "default");
    assert!(run(&["config", "check"], &settings).1.contains("log.level"));
}

#[test]
fn development_and_demo_stay_on_loopback_and_a_demo_in_development() {
    for verb in ["serve", "demo"] {
        let (started, _, said) = run(&[verb, "--listen", "0.0.0.0:0"], &[]);
        assert!(!started);
        assert!(
            said.contains("server.listen must be a loopback address in development"),
            "{said}"
        );
    }
    let (started, _, said) = run(&["demo"], &[("STRONGROOM_ENVIRONMENT", "staging")]);
    assert!(!started);
    assert!(
        said.contains("environment must be development for a demo"),
        "{said}"
    );
}

#[test]
fn a_refused_start_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_strongroom"))
        .env_clear()
        .env("STRONGROOM_ENVIRONMENT", "production")
        .current_dir(folder.path())
        .arg("serve")
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_document_is_printed_without_a_server() {
    let (succeeded, out, said) = run(&["openapi"], &[]);
    assert!(succeeded, "{said}");
    let document: Value = serde_json::from_str(&out).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert!(document["paths"]["/api/v1/transfers"]["post"].is_object());
}

/// Clients are generated from the document: a parameter in the wrong place is a client that does not work.
#[test]
fn every_parameter_of_the_document_is_where_the_server_reads_it() {
    let (_, out, _) = run(&["openapi"], &[]);
    let document: Value = serde_json::from_str(&out).unwrap();
    let mut count = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let in_template: BTreeSet<&str> = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        for operation in item.as_object().unwrap().values() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let (in_path, others): (Vec<_>, Vec<_>) =
                parameters.partition(|parameter| parameter["in"] == "path");
            let in_path: BTreeSet<_> = in_path
                .iter()
                .filter_map(|parameter| parameter["name"].as_str())
                .collect();
            assert_eq!(in_path, in_template, "{path}");
            for other in others {
                assert!(
                    other["in"] == "query" || other["in"] == "header",
                    "{path} {other}"
                );
            }
            count += in_path.len();
        }
    }
    assert!(count > 40, "{count}");
}
