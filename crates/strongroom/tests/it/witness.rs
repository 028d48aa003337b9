//! Somebody elsewhere who follows the log: what continues is cosigned, and a server that forgot or rewrote something is
//! caught, whatever its own verification says.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use sqlx::Executor;
use strongroom_crypto::{Checkpoint, SecretBytes, VerifierKey, Witness, WitnessKey, witness};

use crate::harness::{BUSY, Person, Server, people::new_key, stories, until};

const COSIGNATURES: &str = "/api/v1/log/cosignatures";
const NAME: &str = "witness.example/bank";
/// Longest wait for a line of a witness.
const LINE_WITHIN: Duration = Duration::from_secs(20);

stories!(
    with BUSY;
    a_witness_cosigns_what_continues_and_checkpoints_show_it,
    nobody_but_its_witnesses_learns_of_the_log,
    a_witness_that_is_killed_goes_on_where_it_was,
    an_old_copy_that_is_put_back_is_caught_by_the_witness_alone,
);

/// A witness of a server, with its own directory.
struct Elsewhere {
    folder: tempfile::TempDir,
    key: String,
}

impl Elsewhere {
    /// Makes one, and the server know it.
    async fn of(server: &mut Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("witness");
        let made = strongroom(folder.path())
            .args(["witness", "key", "--name", NAME, "--state"])
            .arg(&state)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let key = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        server.stop().await;
        server.set("STRONGROOM_AUDIT__WITNESSES", &key);
        server.resume().await;
        std::fs::write(folder.path().join("ca.pem"), server.authority()).unwrap();
        Self { folder, key }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("witness")
    }

    fn follow(&self, server: &Server, more: &[&str]) -> Command {
        let mut command = strongroom(self.folder.path());
        command
            .args(["witness", "follow", "--ca", "ca.pem", "--server", server.url()])
            .args(["--key", &public_key(server), "--state"])
            .arg(self.state())
            .args(more);
        command
    }

    /// Looks once: whether all was well, and what was said.
    fn look(&self, server: &Server) -> (bool, String, String) {
        let output = self.follow(server, &["--once"]).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.success(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    /// Looks once, and all is well.
    #[track_caller]
    fn cosigns(&self, server: &Server) -> u64 {
        let (well, said, error) = self.look(server);
        assert!(well, "{said}{error}");
        self.seen(server)
    }

    /// Size of the head that it saw last, which is signed by the log and by itself.
    fn seen(&self, server: &Server) -> u64 {
        let note = std::fs::read_to_string(self.state().join("seen")).unwrap();
        let log = [VerifierKey::parse(&public_key(server)).unwrap()];
        let keys = [WitnessKey::parse(&self.key).unwrap()];
        let cosigned = witness::open(&note, &keys).unwrap().checkpoint;
        assert_eq!(Checkpoint::open(&note, &log).unwrap(), cosigned);
        cosigned.size
    }
}

fn strongroom(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
    command.env_clear().current_dir(folder);
    command
}

/// The log's public key, as somebody would have handed it over.
fn public_key(server: &Server) -> String {
    let keys = std::fs::read_to_string(server.data().join("checkpoints").join("key")).unwrap();
    keys.trim().to_owned()
}

/// Alice with money, and somebody to send it to.
async fn people(server: &Server) -> (Person, Value, Value) {
    let (alice, bob, teller) = (
        server.customer("alice").await,
        server.customer("bob").await,
        server.operator("teller").await,
    );
    let (from, to) = (alice.account("Household").await, bob.account("Savings").await);
    teller.deposit(&from, 10_000).await.expect(201);
    (alice, from, to)
}

/// Sends so many times, until all of it is sealed.
async fn send(alice: &Person, from: &Value, to: &Value, times: usize) {
    for _ in 0..times {
        let sent = alice
            .transfer(&new_key(), from, to, 1)
            .await
            .expect(201)
            .text("id");
        let receipt = format!("/api/v1/receipts/{sent}");
        alice.client.get(&receipt).await.expect(200);
    }
}

async fn a_witness_cosigns_what_continues_and_checkpoints_show_it(mut server: Server) {
    let elsewhere = Elsewhere::of(&mut server).await;
    let (alice, from, to) = people(&server).await;
    let auditor = server.operator("auditor").await;
    let path = "/api/v1/admin/audit/checkpoint";
    let shown = auditor.client.get(path).await.expect(200);
    assert_eq!(shown.body["cosigned"], json!([]));

    let first = elsewhere.cosigns(&server);
    send(&alice, &from, &to, 5).await;
    let second = elsewhere.cosigns(&server);
    assert!(second >= first + 5, "{first}, {second}");
    let cosigned = async |auditor: &Person| {
        let shown = auditor.client.get(path).await.expect(200).body;
        assert_eq!(shown["cosigned"].as_array().map(Vec::len), Some(1), "{shown}");
        let keys = [WitnessKey::parse(&elsewhere.key).unwrap()];
        let note = shown["cosigned"][0].as_str().unwrap().to_owned();
        assert!(shown["size"].as_u64() >= Some(second));
        witness::open(&note, &keys).unwrap().checkpoint.size
    };
    assert_eq!(cosigned(&auditor).await, second);

    // What the witness keeps is an outside checkpoint, and says by whom it is kept.
    let kept = elsewhere.state().join("seen").display().to_string();
    let verify = ["audit", "verify", "--checkpoint", &kept, "--witness"];
    let (done, said, error) = server.cli(&[&verify[..], &[&elsewhere.key]].concat());
    assert!(done, "{said}{error}");
    let stranger = Witness::generate(NAME).unwrap().verifier().to_string();
    let (done, _, error) = server.cli(&[&verify[..], &[&stranger]].concat());
    assert!(!done && error.contains("not cosigned"), "{error}");

    server.kill();
    server.resume().await;
    let auditor = server.operator("auditor").await;
    assert_eq!(cosigned(&auditor).await, second, "it is there after a restart");
    send(&alice, &from, &to, 1).await;
    assert!(elsewhere.cosigns(&server) > second);
}

async fn nobody_but_its_witnesses_learns_of_the_log(mut server: Server) {
    let nobody = server.client();
    let origin = public_key(&server).split('+').next().unwrap().to_owned();
    let now = || strongroom_app::Clock::now(&strongroom_app::SystemClock).micros() as u64 / 1_000_000;
    let stranger = Witness::generate(NAME).unwrap();
    let show = |note: String| json!({ "cosigned": note });
    let strange = show(stranger.cosign_nothing(&origin, [0; 32], now()).unwrap());
    // Where nobody watches there is nothing.
    nobody
        .post(COSIGNATURES, strange.clone())
        .await
        .refused(404, "not_found");

    let elsewhere = Elsewhere::of(&mut server).await;
    let (alice, from, to) = people(&server).await;
    send(&alice, &from, &to, 2).await;
    let secret = std::fs::read(elsewhere.state().join("key")).unwrap();
    let witness = Witness::parse(&SecretBytes::new(secret)).unwrap();
    let of = |seconds: u64| show(witness.cosign_nothing(&origin, [0; 32], seconds).unwrap());
    let told = nobody.post(COSIGNATURES, of(now())).await.expect(200);
    let log = [VerifierKey::parse(&public_key(&server)).unwrap()];
    assert!(Checkpoint::open(&told.text("checkpoint"), &log).is_ok());

    let own = told.text("checkpoint");
    let mut altered = of(now());
    altered["cosigned"] = altered["cosigned"]
        .as_str()
        .unwrap()
        .replace("\n0\n", "\n1\n")
        .into();
    for (what, body) in [
        ("a stranger of the same name", strange),
        ("what was shown minutes ago", of(now() - 301)),
        ("what will be shown in minutes", of(now() + 400)),
        ("another head under the same signature", altered),
        ("the log's own head", show(own)),
        (
            "a head of another log",
            show(witness.cosign_nothing("other/log", [0; 32], now()).unwrap()),
        ),
        ("no note", show("hello".to_owned())),
        ("nothing", show(String::new())),
    ] {
        let refusal = nobody.post(COSIGNATURES, body).await;
        assert_eq!(
            (refusal.status, refusal.code()),
            (401, "unauthenticated"),
            "{what}: {refusal:?}"
        );
    }
    nobody
        .post(COSIGNATURES, json!({}))
        .await
        .refused(400, "validation_failed");
    // A token of a customer opens it no more than nothing does.
    let refusal = alice.client.post(COSIGNATURES, show(String::new())).await;
    refusal.refused(401, "unauthenticated");
}

async fn a_witness_that_is_killed_goes_on_where_it_was(mut server: Server) {
    let elsewhere = Elsewhere::of(&mut server).await;
    let (alice, from, to) = people(&server).await;
    let mut sizes = vec![0];
    for _ in 0..3 {
        send(&alice, &from, &to, 2).await;
        let mut child = elsewhere
            .follow(&server, &["--every", "1"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Whoever comes second leaves the directory alone.
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::task::spawn_blocking(move || lines.map_while(Result::ok).next());
        let line = tokio::time::timeout(LINE_WITHIN, line)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert!(line.starts_with("cosigned "), "{line}");
        let (well, _, error) = elsewhere.look(&server);
        assert!(!well && error.contains("another witness"), "{error}");
        child.kill().unwrap();
        child.wait().unwrap();
        sizes.push(elsewhere.seen(&server));
    }
    send(&alice, &from, &to, 2).await;
    sizes.push(elsewhere.cosigns(&server));
    assert!(sizes.is_sorted_by(|before, after| before < after), "{sizes:?}");
    // Half a file that a crash left behind is in nobody's way.
    std::fs::write(elsewhere.state().join("seen.new"), "half").unwrap();
    send(&alice, &from, &to, 1).await;
    assert!(elsewhere.cosigns(&server) > sizes[4]);
}

/// A copy of a stopped server: its data directory, with keys and checkpoints, and its database.
struct OldCopy {
    folder: tempfile::TempDir,
    database: Option<String>,
}

fn copy_folder(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

impl OldCopy {
    async fn of(server: &Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(&server.data(), &folder.path().join("data"));
        let mut database = None;
        if let Some(own) = server.database() {
            let name = format!("{}_copy", own.name());
            let sql = format!("CREATE DATABASE {name} TEMPLATE {}", own.name());
            let mut connection = own.connect_outside().await;
            connection.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
            database = Some(name);
        }
        Self { folder, database }
    }

    /// Puts it back in place of what is there.
    async fn put_back(&self, server: &Server) {
        std::fs::remove_dir_all(server.data()).unwrap();
        copy_folder(&self.folder.path().join("data"), &server.data());
        if let (Some(own), Some(copy)) = (server.database(), &self.database) {
            let mut connection = own.connect_outside().await;
            for sql in [
                format!("DROP DATABASE {} WITH (FORCE)", own.name()),
                format!("CREATE DATABASE {} TEMPLATE {copy}", own.name()),
                format!("DROP DATABASE {copy}"),
            ] {
                connection.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
            }
        }
    }
}

async fn an_old_copy_that_is_put_back_is_caught_by_the_witness_alone(mut server: Server) {
    let elsewhere = Elsewhere::of(&mut server).await;
    let (alice, from, to) = people(&server).await;
    send(&alice, &from, &to, 2).await;
    let before = elsewhere.cosigns(&server);
    server.stop().await;
    let copy = OldCopy::of(&server).await;
    server.resume().await;
    let alice = server.login(&alice.email, &alice.password).await;
    send(&alice, &from, &to, 4).await;
    let seen = elsewhere.cosigns(&server);
    assert!(seen > before);
    // One more witness that knows the same, for later.
    let later = Elsewhere {
        folder: tempfile::tempdir().unwrap(),
        key: elsewhere.key.clone(),
    };
    copy_folder(&elsewhere.state(), &later.state());
    copy_folder(
        &elsewhere.folder.path().join("ca.pem"),
        &later.folder.path().join("ca.pem"),
    );

    // Whoever has the machine puts everything back to where it was: database, keys, checkpoints.
    server.stop().await;
    copy.put_back(&server).await;
    server.resume().await;
    let (done, said, error) = server.cli(&["audit", "verify"]);
    assert!(done, "inside everything fits: {said}{error}");

    let kept = std::fs::read_to_string(elsewhere.state().join("seen")).unwrap();
    let (well, _, error) = elsewhere.look(&server);
    assert!(!well && error.contains("THE LOG DOES NOT FIT"), "{error}");
    assert!(error.contains(&format!("had {seen} records")), "{error}");
    let evidence = std::fs::read_to_string(elsewhere.state().join("evidence")).unwrap();
    assert!(
        evidence.contains(&kept) && evidence.contains("--- shown now"),
        "{evidence}"
    );
    assert_eq!(
        std::fs::read_to_string(elsewhere.state().join("seen")).unwrap(),
        kept
    );
    // The server was told, too: the witness showed it a head that it does not have.
    let admin = server.operator("auditor").await;
    let events = "/api/v1/admin/security-events?kind=log_unproven";
    until("an event", async || {
        let events = admin.client.get(events).await.expect(200);
        events.body["data"] != json!([])
    })
    .await;

    // It grows past where it had been, and fits itself all the better.
    let alice = server.login(&alice.email, &alice.password).await;
    send(&alice, &from, &to, usize::try_from(seen - before).unwrap() + 2).await;
    let (done, said, error) = server.cli(&["audit", "verify"]);
    assert!(done, "inside everything fits: {said}{error}");
    let (well, _, error) = later.look(&server);
    assert!(!well && error.contains("does not continue"), "{error}");
    // Nothing is cosigned any more, until a person has read what was seen.
    let (well, said, error) = elsewhere.look(&server);
    assert!(
        !well && said.is_empty() && error.contains("read "),
        "{said}{error}"
    );
    // And the copy that the witness keeps convicts the server.
    let kept = elsewhere.state().join("seen").display().to_string();
    let (done, said, _) = server.cli(&[
        "audit",
        "verify",
        "--checkpoint",
        &kept,
        "--witness",
        &elsewhere.key,
    ]);
    assert!(!done && said.contains("checkpoint"), "{said}");
}
