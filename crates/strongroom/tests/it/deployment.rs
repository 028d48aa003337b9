//! The deployment of `deploy/`, started for real: two nodes behind nginx, one database, one Redis.

use std::{collections::BTreeSet, sync::Arc};

use reqwest::Method;
use serde_json::json;

use crate::harness::{
    Answer, BUSY, Client, Engine, Server, load::Town, mail_server::logged, nginx::Nginx, redis::Redis,
};

/// Clients that send at the same time.
const CLIENTS: usize = 8;
const ACCOUNTS: &str = "/api/v1/accounts";

/// Two nodes that believe nginx, and count together where there is a Redis.
async fn nodes(redis: Option<&Redis>, settings: &[(&str, &str)]) -> Option<[Server; 2]> {
    let mut first = Server::start_with(Engine::Postgres, settings).await?;
    first.stop().await;
    first.set("STRONGROOM_SERVER__TRUSTED_PROXIES", "127.0.0.1");
    if let Some(redis) = redis {
        redis.count_for(&mut first);
    }
    first.resume().await;
    let second = first.start_behind_the_same_name().await;
    if redis.is_some() {
        for node in [&first, &second] {
            logged(node, "requests are counted together").await;
        }
    }
    Some([first, second])
}

/// The nodes that answered.
fn answered(nginx: &Nginx) -> BTreeSet<String> {
    // Behind the words of a request that went to one node alone: address, status, number.
    let address = |line: &String| line.split_whitespace().rev().nth(2).map(str::to_owned);
    let all = nginx.lines();
    let addresses = all.iter().filter_map(address);
    addresses.filter(|text| text.starts_with("127.0.0.1:")).collect()
}

async fn ask(client: &Client, forwarded: &str) -> u16 {
    let request = client.request(Method::GET, ACCOUNTS);
    let request = request
        .header("X-Forwarded-For", forwarded)
        .header("X-Real-IP", forwarded)
        .header("Forwarded", format!("for={forwarded}"));
    client.send(request).await.status
}

/// The file of `deploy/` is fit for production, where everything that it names is there.
#[test]
fn the_deployed_configuration_is_taken() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().display().to_string();
    let private = |path: &str, text: &str| {
        let path = place.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    };
    let text = include_str!("../../../../deploy/strongroom.toml");
    private("strongroom.toml", &text.replace("/etc/strongroom", &folder));
    private(
        "secrets/redis.url",
        "rediss://bank:a-password@redis.bank.example:6379\n",
    );
    for file in [
        "tls/certificate.pem",
        "tls/key.pem",
        "tls/internal-ca.pem",
        "keys/keyring",
    ] {
        private(file, "");
    }
    let check = |passphrase: bool| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_strongroom"));
        let ours = |(name, _): &(String, String)| !name.starts_with("STRONGROOM_");
        command.env_clear().envs(std::env::vars().filter(ours));
        if passphrase {
            command.env("STRONGROOM_KEYS__PASSPHRASE", "a passphrase that is long enough");
        }
        command.args([
            "config",
            "check",
            "--config",
            &format!("{folder}/strongroom.toml"),
        ]);
        let output = command
            .args(["--data-dir", &format!("{folder}/data")])
            .output()
            .unwrap();
        (output.status.success(), format!("{output:?}"))
    };
    let (taken, said) = check(true);
    assert!(taken, "{said}");
    let (taken, said) = check(false);
    assert!(!taken && said.contains("keys.passphrase"), "{said}");
}

/// The unit is written without mistakes and closes what it says; where systemd's own judge is not installed, that is
/// not looked at.
#[test]
fn the_unit_is_sound_and_closed() {
    let unit = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../deploy/systemd/strongroom.service"
    );
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("strongroom.service");
    let judge = |arguments: &[&str], path: &std::path::Path| {
        let mut command = std::process::Command::new("systemd-analyze");
        let output = command.args(arguments).arg(path).output().ok()?;
        Some((output.status.success(), format!("{output:?}")))
    };
    // The programs that it names are not on this machine; `true` is.
    let text = std::fs::read_to_string(unit).unwrap();
    let text = text.replace("/usr/bin/strongroom ", "/usr/bin/true ");
    std::fs::write(&path, &text).unwrap();
    let Some((sound, said)) = judge(&["verify"], &path) else {
        eprintln!("systemd-analyze is not installed: the unit is not looked at");
        return;
    };
    assert!(sound, "{said}");
    let closed = ["security", "--offline=true", "--threshold=13"];
    let (is_closed, said) = judge(&closed, &path).unwrap();
    assert!(is_closed, "more than 1.3: {said}");
    // The judge finds what is open, and what is misspelt.
    std::fs::write(
        &path,
        text.replace("PrivateUsers=yes\n", "")
            .replace("ProtectSystem=strict\n", ""),
    )
    .unwrap();
    assert!(!judge(&closed, &path).unwrap().0);
    std::fs::write(&path, text.replace("ExecStart=", "ExecBegin=")).unwrap();
    assert!(!judge(&["verify"], &path).unwrap().0);
}

mod postgres {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_node_killed_under_load_loses_nothing_but_what_was_in_flight() {
        let Some([first, mut second]) = nodes(None, BUSY).await else {
            return;
        };
        let Some(nginx) = Nginx::start([&first, &second]) else {
            return;
        };
        let mut town = Town::build(&first).await;
        town.go_through(&nginx.client_from("127.0.0.1"));
        let mut town = Arc::new(town);

        let mut load = town.load(CLIENTS);
        load.more(100).await;
        assert!(answered(&nginx).len() >= 2, "both nodes serve");
        second.kill();
        load.more(200).await;
        let heard = load.stop().await;
        // Whoever was not answered was in flight: at most one request of each client.
        let refused: Vec<u16> = heard
            .iter()
            .flat_map(|one| one.refusals.iter().map(|answer| answer.status))
            .collect();
        assert!(
            refused.len() <= CLIENTS && refused.iter().all(|status| *status == 502),
            "{refused:?}"
        );
        second.resume().await;
        town.settle(heard).await;
        let mut load = town.load(CLIENTS);
        load.more(100).await;
        let heard = load.stop().await;
        for one in &heard {
            assert!(one.refusals.is_empty(), "{:?}", one.refusals);
        }
        town.settle(heard).await;
        town.check().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_a_client_claims_about_its_address_changes_nothing_at_any_node() {
        let Some(redis) = Redis::start() else { return };
        let Some([first, second]) = nodes(Some(&redis), &[]).await else {
            return;
        };
        let Some(nginx) = Nginx::start([&first, &second]) else {
            return;
        };
        // Fifty requests of strangers in an hour, at both nodes together, whatever they claim.
        let liar = nginx.client_from("127.0.0.2");
        for number in 0..52 {
            let status = if number < 50 { 401 } else { 429 };
            let forwarded = format!("198.51.100.{number}");
            assert_eq!(ask(&liar, &forwarded).await, status, "request {number}");
        }
        assert!(answered(&nginx).len() >= 2, "both nodes were asked");
        // Nobody else is meant, also not whose address was claimed.
        assert_eq!(ask(&nginx.client_from("127.0.0.3"), "127.0.0.2").await, 401);
        // Whoever goes around nginx is counted by the own address as well.
        for number in 0..51 {
            let status = if number < 50 { 401 } else { 429 };
            assert_eq!(
                ask(&first.client_from("127.0.0.4"), &format!("203.0.113.{number}")).await,
                status
            );
        }
        // Readiness is for those inside; names are those of the file.
        assert_eq!(nginx.client_from("127.0.0.5").get("/readyz").await.status, 404);
        assert_eq!(nginx.client_from("127.0.0.5").get("/livez").await.status, 200);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_nginx_answers_by_itself_looks_like_an_answer_of_the_bank() {
        let Some([mut first, mut second]) = nodes(None, &[]).await else {
            return;
        };
        let Some(nginx) = Nginx::start([&first, &second]) else {
            return;
        };
        let client = nginx.client_from("127.0.0.2");
        let served = client.get("/livez").await.expect(200);
        let values = |answer: &Answer, name: &str| answer.headers.get_all(name).iter().count();
        for name in [
            "strict-transport-security",
            "cache-control",
            "x-content-type-options",
        ] {
            assert_eq!(
                values(&served, name),
                1,
                "{name} of a node stays as it is: {served:?}"
            );
        }
        let checked = |answer: Answer, status: u16, code: &str| {
            let answer = answer.refused(status, code);
            for name in [
                "strict-transport-security",
                "cache-control",
                "x-content-type-options",
            ] {
                assert_eq!(values(&answer, name), 1, "{name}: {answer:?}");
            }
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        };
        checked(client.get("/readyz").await, 404, "not_found");
        let large = client
            .request(Method::POST, ACCOUNTS)
            .body(vec![b'x'; 11 * 1024 * 1024]);
        checked(client.send(large).await, 413, "body_too_large");
        first.kill();
        second.kill();
        checked(client.get(ACCOUNTS).await, 502, "unavailable");

        let plain = nginx.plain_browser();
        for name in ["localhost", "evil.example"] {
            let request = plain.request(Method::GET, "/accounts?a=b").header("Host", name);
            let led = plain.send(request).await.expect(308);
            assert_eq!(led.header("location"), "https://localhost/accounts?a=b");
        }
        let sent = plain.request(Method::POST, ACCOUNTS).body("{}");
        plain.send(sent).await.expect(403);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_core_rule_set_sees_attacks_refuses_nobody_and_writes_no_secret() {
        let Some([first, second]) = nodes(None, BUSY).await else {
            return;
        };
        let Some(nginx) = Nginx::start([&first, &second]) else {
            return;
        };
        if !nginx.looks() {
            return;
        }
        let alice = first.customer("alice").await;
        let door = nginx.client_from("127.0.0.1");
        let known = door.with_token(alice.client.token());
        let account = alice.account("Savings").await;
        let memo = format!("{ACCOUNTS}/{}", account["id"].as_str().unwrap());
        let name = json!({"name": "canary-1190' OR 1=1 --"});
        known.patch(&memo, name).await.expect(200);
        let attack = format!("{ACCOUNTS}?cursor=%27%20UNION%20SELECT%20password%20FROM%20users--%20");
        let answer = known.get(&attack).await;
        assert!(answer.status != 403 && answer.status < 500, "{answer:?}");
        let password = "canary-7718' OR 1=1 --";
        let login = json!({"email": "nobody@example.com", "password": password});
        door.post("/api/v1/auth/login", login).await.expect(401);
        let form = door.request(Method::POST, "/api/v1/auth/login");
        let form = form.header("Content-Type", "application/x-www-form-urlencoded");
        door.send(form.body(format!("password={password}")))
            .await
            .expect(415);
        let seen = nginx.attacks();
        assert!(seen.contains("942"), "SQL was not recognised: {seen}");
        for secret in ["canary-7718", "canary-1190", alice.client.token()] {
            assert!(!seen.contains(secret), "{secret} in {seen}");
        }
        assert!(
            nginx.lines().iter().all(|line| !line.contains("UNION")),
            "{:?}",
            nginx.lines()
        );
    }
}
