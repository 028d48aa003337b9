//! What production refuses of the login that it serves with.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use sqlx::{Executor, postgres::PgConnectOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use crate::harness::{otlp::acceptor, place::Database, programs::make_certificates};

/// How PostgreSQL is asked for TLS before anything else.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// Longest wait for a server that starts, or says why it does not.
const PATIENCE: Duration = Duration::from_secs(60);

/// PostgreSQL with a certificate for `localhost`, in front of one that has none. Its port.
async fn with_tls(folder: &Path, server: &PgConnectOptions) -> u16 {
    let acceptor = acceptor(folder, "right");
    let target = (server.get_host().to_owned(), server.get_port());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (acceptor, target) = (acceptor.clone(), target.clone());
            tokio::spawn(async move {
                let mut asked = [0; 8];
                stream.read_exact(&mut asked).await.unwrap();
                assert_eq!(asked, SSL_REQUEST);
                stream.write_all(b"S").await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut behind = TcpStream::connect(target).await.unwrap();
                drop(copy_bidirectional(&mut stream, &mut behind).await);
            });
        }
    });
    port
}

/// The binary with what production asks for, and these logins.
fn command(folder: &Path, logins: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
    let ours = |(name, _): &(String, String)| !name.starts_with("STRONGROOM_");
    command.env_clear().envs(std::env::vars().filter(ours));
    command.current_dir(folder);
    command.envs([
        ("STRONGROOM_ENVIRONMENT", "production"),
        ("STRONGROOM_SERVER__LISTEN", "127.0.0.1:0"),
        ("STRONGROOM_SERVER__PUBLIC_URL", "https://bank.example"),
        ("STRONGROOM_SERVER__TLS", "self-signed"),
        ("STRONGROOM_TLS__SELF_SIGNED_OK", "true"),
        ("STRONGROOM_METRICS__LISTEN", "127.0.0.1:0"),
        ("STRONGROOM_MAIL__TRANSPORT", "smtp"),
        ("STRONGROOM_SMTP__HOST", "mail.bank.example"),
        ("STRONGROOM_MAIL__FROM", "no-reply@bank.example"),
        ("STRONGROOM_KEYS__PASSPHRASE", "a passphrase that is long enough"),
    ]);
    command.env("STRONGROOM_KEYS__FILE", folder.join("keyring"));
    command.envs(logins.iter().copied());
    command
}

/// Whether it serves; and what it said where it does not.
fn serves(folder: &Path, logins: &[(&str, &str)]) -> Result<(), String> {
    let mut child = command(folder, logins)
        .args(["serve", "--data-dir"])
        .arg(folder.join("data"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let out = child.stdout.take().unwrap();
    let (found, started) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let lines = std::io::BufRead::lines(std::io::BufReader::new(out));
        let is_there = |line: String| line.trim().starts_with("url ");
        let _ = found.send(lines.map_while(Result::ok).any(is_there));
    });
    let started = started.recv_timeout(PATIENCE).unwrap_or(false);
    if started {
        child.kill().unwrap();
        child.wait().unwrap();
        return Ok(());
    }
    let output: Output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn production_serves_with_no_login_that_could_change_the_schema() {
    let Some(database) = Database::create().await else {
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    make_certificates(folder);
    let server: PgConnectOptions = database.url.parse().unwrap();
    let port = with_tls(folder, &server).await;
    let name = database.name().to_owned();
    let authority = folder.join("believed.pem").display().to_string();
    let url = |login: &str| {
        format!("postgres://{login}@localhost:{port}/{name}?sslmode=verify-full&sslrootcert={authority}")
    };
    // With the password of the cluster, where it has one.
    let (_, rest) = database.url.split_once("://").unwrap();
    let root = url(rest
        .split_once('@')
        .map_or(server.get_username(), |(login, _)| login));
    let migrated = command(
        folder,
        &[
            ("STRONGROOM_DATABASE__URL", root.as_str()),
            ("STRONGROOM_DATABASE__MIGRATE_URL", root.as_str()),
        ],
    )
    .args(["migrate", "--data-dir"])
    .arg(folder.join("data"))
    .output()
    .unwrap();
    assert!(migrated.status.success(), "{migrated:?}");

    let mut connection = database.connect().await;
    let mut run = async |sql: String| {
        connection.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
    };
    for login in ["weak", "owner", "beyond", "maker"] {
        run(format!("CREATE ROLE {name}_{login} LOGIN PASSWORD 'login'")).await;
        run(format!(
            "GRANT strongroom_app, strongroom_ledger_writer, strongroom_reader TO {name}_{login}"
        ))
        .await;
    }
    run(format!("ALTER TABLE notices OWNER TO {name}_owner")).await;
    run(format!("ALTER ROLE {name}_beyond BYPASSRLS")).await;
    run(format!("ALTER ROLE {name}_maker CREATEROLE")).await;
    let weak = url(&format!("{name}_weak:login"));

    // Whoever is only a member of the runtime roles serves.
    serves(folder, &[("STRONGROOM_DATABASE__URL", weak.as_str())]).unwrap();
    let mut strong = vec![root];
    strong.extend(["owner", "beyond", "maker"].map(|login| url(&format!("{name}_{login}:login"))));
    for login in &strong {
        for logins in [
            vec![("STRONGROOM_DATABASE__URL", login.as_str())],
            vec![
                ("STRONGROOM_DATABASE__URL", weak.as_str()),
                ("STRONGROOM_DATABASE__LEDGER_URL", login.as_str()),
            ],
        ] {
            let said = serves(folder, &logins).unwrap_err();
            assert!(
                said.contains("the serving login is a superuser"),
                "{logins:?}: {said}"
            );
        }
    }
    run(format!(
        "DROP OWNED BY {name}_owner, {name}_weak, {name}_beyond, {name}_maker"
    ))
    .await;
    run(format!(
        "DROP ROLE {name}_owner, {name}_weak, {name}_beyond, {name}_maker"
    ))
    .await;
}
