//! Payments to other banks leave in files that two people release, and what the bank's own bank says of them and of
//! others counts once.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use reqwest::Method;
use serde_json::{Value, json};
use strongroom_domain::rail::file_digest;
use tokio::sync::Barrier;

use crate::{
    beneficiaries::{BENEFICIARIES, elsewhere, entry, fresh, pay},
    harness::{Answer, BUSY, Client, Engine, Person, Server, decide, people::new_key, stories, until},
    notices::until_told,
    payments::{euros, is_clean},
};

/// The bank's account at its own bank.
const ACCOUNT: &str = "DE02100100109307118603";
const FILES: &str = "/api/v1/admin/rail/files";
pub(crate) const RECONCILIATION: &str = "/api/v1/admin/rail/reconciliation";
pub(crate) const SUSPENSE: &str = "/api/v1/admin/suspense";

/// New administrators decide at once. Folders are within the folder that the server runs in.
pub(crate) const SETTINGS: &[(&str, &str)] = &[
    BUSY[0],
    BUSY[1],
    BUSY[2],
    BUSY[3],
    BUSY[4],
    BUSY[5],
    ("STRONGROOM_APPROVALS__BOOTSTRAP", "true"),
    ("STRONGROOM_RAIL__ACCOUNT", ACCOUNT),
    ("STRONGROOM_RAIL__NAME", "Strongroom Bank"),
    ("STRONGROOM_RAIL__OUTBOX", "rail-out"),
    ("STRONGROOM_RAIL__INBOX", "rail-in"),
    ("STRONGROOM_RAIL__SECONDS", "1"),
];

stories! {
    with SETTINGS;
    what_two_people_release_leaves_in_one_file_and_is_settled_or_comes_back_once,
    of_a_cancellation_and_a_release_at_once_one_counts,
    a_released_file_outlives_a_kill_and_holds_each_payment_once,
    files_that_say_the_same_at_once_are_booked_once,
    what_is_no_statement_is_refused_and_half_a_file_is_read_when_it_is_whole,
    a_missing_statement_is_a_difference_until_it_is_read,
}

/// Alice with money and somebody at another bank on her list, and two operators.
pub(crate) struct Town {
    pub(crate) alice: Person,
    pub(crate) from: Value,
    pub(crate) carla: String,
    pub(crate) teller: Person,
    pub(crate) admin: Person,
}

pub(crate) async fn town(server: &Server, minor: i64) -> Town {
    let alice = server.customer("alice").await;
    let (teller, admin) = (server.operator("teller").await, server.operator("admin").await);
    let from = alice.account("Household").await;
    teller.deposit(&from, minor).await.expect(201);
    let alice = fresh(server, &alice).await;
    let added = alice
        .client
        .post(BENEFICIARIES, entry("Carla & Sons", &elsewhere(1)))
        .await;
    Town {
        carla: added.expect(201).text("id"),
        alice,
        from,
        teller,
        admin,
    }
}

impl Town {
    pub(crate) async fn pays(&self, minor: i64) -> String {
        pay(&self.alice.client, &self.from, &self.carla, minor)
            .await
            .expect(201)
            .text("id")
    }

    pub(crate) async fn state(&self, payment: &str) -> Value {
        let path = format!("/api/v1/payments/{payment}");
        self.alice.client.get(&path).await.expect(200).body
    }

    pub(crate) async fn released(&self, server: &Server) -> (String, String) {
        let asked = ask(&self.teller.client).await.expect(202).text("approval_id");
        decide(&self.admin, &asked, "approve").await.expect(200);
        let listed = self.admin.client.get(FILES).await.expect(200);
        let name = listed.body["data"][0]["name"].as_str().unwrap().to_owned();
        let path = server.folder().join("rail-out").join(&name);
        until("the file", async || path.exists()).await;
        (name, std::fs::read_to_string(path).unwrap())
    }
}

pub(crate) async fn ask(client: &Client) -> Answer {
    client.send(client.request(Method::POST, FILES)).await
}

pub(crate) async fn cancel(client: &Client, payment: &str) -> Answer {
    let path = format!("/api/v1/payments/{payment}/cancel");
    let request = client.request(Method::POST, &path);
    client.send(request.header("Idempotency-Key", new_key())).await
}

/// An entry of a statement: `+` or `-`, the amount, its reference, and what is told of the transaction.
pub(crate) fn ntry(sign: char, minor: i64, reference: &str, told: &str) -> String {
    let way = if sign == '+' { "CRDT" } else { "DBIT" };
    let head = format!(
        r#"<Ntry><Amt Ccy="EUR">{}.{:02}</Amt><CdtDbtInd>{way}</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>"#,
        minor / 100,
        minor % 100
    );
    format!(
        "{head}<ValDt><Dt>2026-11-20</Dt></ValDt><AcctSvcrRef>{reference}</AcctSvcrRef>\
         <NtryDtls><TxDtls>{told}</TxDtls></NtryDtls></Ntry>"
    )
}

pub(crate) fn about(payment: &str) -> String {
    format!("<Refs><EndToEndId>{payment}</EndToEndId></Refs>")
}

pub(crate) fn returned(payment: &str) -> String {
    format!("{}<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>", about(payment))
}

pub(crate) fn for_account(number: &str) -> String {
    format!(
        "<RltdPties><Dbtr><Pty><Nm>Erika Sender</Nm></Pty></Dbtr><CdtrAcct><Id><IBAN>{number}</IBAN></Id></CdtrAcct></RltdPties>\
         <RmtInf><Ustrd>invoice 17</Ustrd></RmtInf>"
    )
}

/// A statement from one balance to another on a day of November 2026.
pub(crate) fn statement(
    message: &str,
    day: u32,
    (opening, closing): (i64, i64),
    entries: &[String],
) -> String {
    let balance = |code: &str, minor: i64| {
        let way = if minor < 0 { "DBIT" } else { "CRDT" };
        let minor = minor.abs();
        let amount = format!(r#"<Amt Ccy="EUR">{}.{:02}</Amt>"#, minor / 100, minor % 100);
        format!(
            "<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>{amount}<CdtDbtInd>{way}</CdtDbtInd>\
             <Dt><Dt>2026-11-{day:02}</Dt></Dt></Bal>"
        )
    };
    let head = format!(
        "<BkToCstmrStmt><GrpHdr><MsgId>{message}</MsgId></GrpHdr><Stmt><Acct><Id><IBAN>{ACCOUNT}</IBAN></Id>\
         <Ccy>EUR</Ccy></Acct>"
    );
    format!(
        r#"<?xml version="1.0"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08">{head}{}{}{}{}"#,
        balance("OPBD", opening),
        balance("CLBD", closing),
        entries.concat(),
        "</Stmt></BkToCstmrStmt></Document>"
    )
}

fn inbox(server: &Server) -> PathBuf {
    server.folder().join("rail-in")
}

/// Lays files into the inbox, each at once and whole.
fn lay(server: &Server, files: &[(&str, &str)]) {
    for (name, text) in files {
        let unfinished = server.folder().join(name);
        std::fs::write(&unfinished, text).unwrap();
        std::fs::rename(unfinished, inbox(server).join(name)).unwrap();
    }
}

fn filed(server: &Server, folder: &str, name: &str) -> bool {
    let names = std::fs::read_dir(inbox(server).join(folder)).unwrap();
    names
        .filter_map(Result::ok)
        .any(|entry| entry.file_name().to_string_lossy().ends_with(&format!("-{name}")))
}

pub(crate) async fn read(server: &Server, name: &str, text: &str) {
    lay(server, &[(name, text)]);
    until("the statement", async || filed(server, "read", name)).await;
}

/// A statement of one credit for a number.
pub(crate) fn one_credit(number: &str, minor: i64) -> String {
    let entry = ntry('+', minor, "R1", &for_account(number));
    statement("S1", 20, (0, minor), &[entry])
}

pub(crate) async fn differences(town: &Town) -> Value {
    let found = town.admin.client.get(RECONCILIATION).await.expect(200);
    found.body["differences"].clone()
}

async fn what_two_people_release_leaves_in_one_file_and_is_settled_or_comes_back_once(server: Server) {
    let town = town(&server, 50_000).await;
    ask(&town.teller.client).await.refused(409, "nothing_to_release");
    let payments = [
        town.pays(2_000).await,
        town.pays(3_000).await,
        town.pays(1_000).await,
    ];
    let [kept, back, taken] = &payments;
    // Nobody lets money go alone, and no customer at all.
    ask(&town.alice.client).await.refused(403, "forbidden");
    let own = ask(&town.admin.client).await.expect(202).text("approval_id");
    decide(&town.admin, &own, "approve")
        .await
        .refused(403, "maker_is_checker");
    let asked = ask(&town.teller.client).await.expect(202).text("approval_id");
    let open = town.admin.client.get("/api/v1/admin/approvals?state=open").await;
    let request = &open.expect(200).body["data"][0]["request"];
    assert_eq!((&request["count"], &request["total"]), (&json!(3), &json!(6_000)));
    assert_eq!(request["payments"], json!(payments));
    // What was taken back meanwhile stays out.
    cancel(&town.alice.client, taken).await.expect(200);
    decide(&town.admin, &asked, "approve").await.expect(200);
    let listed = town.teller.client.get(FILES).await.expect(200);
    let file = &listed.body["data"][0];
    assert_eq!((&file["payments"], &file["total"]), (&json!(2), &euros(5_000)));
    let name = file["name"].as_str().unwrap();
    let path = server.folder().join("rail-out").join(name);
    until("the file", async || path.exists()).await;
    let bytes = std::fs::read(&path).unwrap();
    let digest: String = file_digest(&bytes, 0)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(file["digest"], json!(digest));
    let text = String::from_utf8(bytes).unwrap();
    for (payment, times) in [(kept, 1), (back, 1), (taken, 0)] {
        let named = format!("<EndToEndId>{payment}</EndToEndId>");
        assert_eq!(text.matches(&named).count(), times, "{text}");
    }
    assert!(text.contains(&format!("<MsgId>{}</MsgId>", file["id"].as_str().unwrap())));
    assert!(text.contains("<CtrlSum>50.00</CtrlSum>") && text.contains("<Nm>Carla &amp; Sons</Nm>"));
    assert!(text.contains(elsewhere(1).as_str()) && text.contains(ACCOUNT));
    // It has left.
    cancel(&town.alice.client, kept)
        .await
        .refused(409, "payment_left");
    ask(&town.teller.client).await.refused(409, "nothing_to_release");
    decide(&town.admin, &own, "reject")
        .await
        .refused(403, "maker_is_checker");
    assert_eq!(town.alice.posted(&town.from).await, 45_000);

    // What came back is said before that it went, and everything twice.
    let went = [
        ntry('-', 2_000, "A1", &about(kept)),
        ntry('-', 3_000, "A2", &about(back)),
    ];
    let came = ntry('+', 3_000, "A3", &returned(back));
    let first = statement("M1", 19, (100_000, 103_000), &[came.clone(), came.clone()]);
    read(&server, "1.xml", &first).await;
    let state = town.state(back).await;
    assert_eq!(state["state"], "returned");
    assert!(state["returned_by"].as_str().unwrap().starts_with("tfr_"));
    assert_eq!(town.state(kept).await["state"], "pending");
    assert_eq!(town.alice.posted(&town.from).await, 48_000);
    let all = [went[0].clone(), went[1].clone(), came];
    read(
        &server,
        "2.xml",
        &statement("M2", 20, (103_000, 98_000), &all[..2]),
    )
    .await;
    read(&server, "3.xml", &statement("M3", 20, (103_000, 98_000), &all)).await;
    assert_eq!(town.state(kept).await["state"], "settled");
    assert_eq!(town.state(back).await["state"], "returned");
    assert_eq!(town.alice.posted(&town.from).await, 48_000);
    // The contra movement is in the account's history, and nothing lies in suspense.
    let path = format!(
        "/api/v1/accounts/{}/transactions",
        town.from["id"].as_str().unwrap()
    );
    // What became of each is told, once, however often the statements say it.
    for (event, subject, minor) in [
        ("payment_settled", json!(kept), 2_000),
        ("payment_returned", state["returned_by"].clone(), 3_000),
    ] {
        let notices = until_told(&town.alice, event, 1).await;
        assert_eq!(notices.len(), 1, "{event}");
        assert_eq!(
            (&notices[0]["subject_id"], &notices[0]["amount"]),
            (&subject, &euros(minor))
        );
    }
    server
        .mail_with(
            &town.alice.email,
            "A payment of 30.00 EUR to another bank came back.",
        )
        .await;
    let history = town.alice.client.get(&path).await.expect(200);
    let refunds = history.body["data"].as_array().unwrap().iter();
    let back_again = refunds.filter(|line| line["kind"] == "refund").count();
    assert_eq!(back_again, 2, "one taken back, one returned");
    let found = town.teller.client.get(RECONCILIATION).await.expect(200);
    assert_eq!(
        (&found.body["suspense"], &found.body["under_way"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(found.body["expected"], json!(98_000));
    is_clean(&server);
}

async fn of_a_cancellation_and_a_release_at_once_one_counts(server: Server) {
    let town = Arc::new(town(&server, 90_000).await);
    let (mut left, mut back) = (0, 0);
    for round in 0..24 {
        let payment = town.pays(100 + round).await;
        let asked = ask(&town.teller.client).await.expect(202).text("approval_id");
        let start = Arc::new(Barrier::new(2));
        let cancelled = {
            let (town, start, payment) = (town.clone(), start.clone(), payment.clone());
            tokio::spawn(async move {
                start.wait().await;
                // Approving takes longer than taking back: later and later, until it is too late.
                for _ in 0..round {
                    town.state(&payment).await;
                }
                cancel(&town.alice.client, &payment).await
            })
        };
        start.wait().await;
        let approved = decide(&town.admin, &asked, "approve").await;
        let cancelled = cancelled.await.unwrap();
        match (approved.status, cancelled.status) {
            (200, 409) => left += 1,
            (409, 200) => back += 1,
            _ => panic!("both or none: {approved:?} {cancelled:?}"),
        }
        let expected = if approved.status == 200 {
            cancelled.refused(409, "payment_left");
            "pending"
        } else {
            approved.refused(409, "nothing_to_release");
            decide(&town.admin, &asked, "reject").await.expect(200);
            "cancelled"
        };
        assert_eq!(town.state(&payment).await["state"], expected, "round {round}");
    }
    assert!(left > 0 && back > 0, "{left} left, {back} came back");
    is_clean(&server);
}

async fn a_released_file_outlives_a_kill_and_holds_each_payment_once(mut server: Server) {
    let town = town(&server, 50_000).await;
    let payments = [town.pays(2_000).await, town.pays(3_000).await];
    // Nothing can be laid there for now.
    let folder = server.folder().join("rail-out");
    std::fs::remove_dir(&folder).unwrap();
    std::fs::write(&folder, "no folder").unwrap();
    let asked = ask(&town.teller.client).await.expect(202).text("approval_id");
    decide(&town.admin, &asked, "approve").await.expect(200);
    until("a failure", async || {
        server.logged().contains("files to the bank's own bank")
    })
    .await;
    let listed = town.admin.client.get(FILES).await.expect(200);
    assert_eq!(listed.body["data"][0]["delivered_at"], Value::Null);
    server.kill();
    std::fs::remove_file(&folder).unwrap();
    server.resume().await;
    let laid = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().ends_with(".pain001.xml");
    until("the file", async || {
        std::fs::read_dir(&folder).is_ok_and(|names| names.filter_map(Result::ok).any(laid))
    })
    .await;
    let names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(Result::unwrap).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    let text = std::fs::read_to_string(names[0].path()).unwrap();
    for payment in &payments {
        let named = format!("<EndToEndId>{payment}</EndToEndId>");
        assert_eq!(text.matches(&named).count(), 1);
    }
    is_clean(&server);
}

async fn files_that_say_the_same_at_once_are_booked_once(server: Server) {
    let town = town(&server, 100_000).await;
    let number = town.from["number"].as_str().unwrap();
    let mut payments = Vec::new();
    for number in 0..6 {
        payments.push(town.pays(200 + number).await);
    }
    town.released(&server).await;
    let posted = town.alice.posted(&town.from).await;
    let mut entries: Vec<String> = (0..40)
        .map(|at| ntry('+', 10 + at, &format!("C{at}"), &for_account(number)))
        .collect();
    for (at, payment) in (0..).zip(&payments) {
        entries.push(ntry('-', 200 + at, &format!("D{at}"), &about(payment)));
        entries.push(ntry('+', 200 + at, &format!("E{at}"), &returned(payment)));
    }
    let moved: i64 = (0..40).map(|at| 10 + at).sum();
    let came_back: i64 = (0..6).map(|at| 200 + at).sum();
    let text = statement("M1", 20, (0, moved), &entries);
    // On the server engine another node reads the same folder.
    let other = match server.engine {
        Engine::Postgres => {
            let other = server.start_beside().await;
            std::fs::remove_dir_all(inbox(&other)).unwrap();
            std::os::unix::fs::symlink(inbox(&server), inbox(&other)).unwrap();
            Some(other)
        }
        Engine::Sqlite => None,
    };
    entries.reverse();
    let reversed = statement("M2", 20, (0, moved), &entries);
    lay(
        &server,
        &[
            ("1.xml", &text),
            ("2.xml", &reversed),
            ("3.xml", &text),
            ("4.xml", &reversed),
        ],
    );
    for name in ["1.xml", "2.xml", "3.xml", "4.xml"] {
        until(name, async || filed(&server, "read", name)).await;
    }
    assert_eq!(town.alice.posted(&town.from).await, posted + moved + came_back);
    for payment in &payments {
        assert_eq!(town.state(payment).await["state"], "returned");
    }
    let items = town.admin.client.get(SUSPENSE).await.expect(200);
    assert_eq!(items.body["data"], json!([]));
    drop(other);
    is_clean(&server);
}

async fn what_is_no_statement_is_refused_and_half_a_file_is_read_when_it_is_whole(server: Server) {
    let town = town(&server, 10_000).await;
    let number = town.from["number"].as_str().unwrap();
    let good = one_credit(number, 700);
    let bomb = good.replacen("<Document", "<!DOCTYPE x [<!ENTITY a \"b\">]><Document", 1);
    let others = good.replace(ACCOUNT, "DE89370400440532013000");
    let dollars = good.replace("EUR", "USD");
    lay(
        &server,
        &[
            ("bomb.xml", &bomb),
            ("other.xml", &others),
            ("dollars.xml", &dollars),
        ],
    );
    for name in ["bomb.xml", "other.xml", "dollars.xml"] {
        until(name, async || filed(&server, "refused", name)).await;
    }
    // Half a file may be on its way; one that does not grow is refused in the end.
    let (half, rest) = good.split_at(good.len() / 2);
    lay(&server, &[("slow.xml", half)]);
    lay(&server, &[("cut.xml", half)]);
    let cut = std::fs::File::options()
        .write(true)
        .open(inbox(&server).join("cut.xml"))
        .unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    cut.set_modified(long_ago).unwrap();
    until("cut.xml", async || filed(&server, "refused", "cut.xml")).await;
    assert!(inbox(&server).join("slow.xml").exists());
    assert_eq!(town.alice.posted(&town.from).await, 10_000);
    let mut slow = std::fs::File::options()
        .append(true)
        .open(inbox(&server).join("slow.xml"))
        .unwrap();
    std::io::Write::write_all(&mut slow, rest.as_bytes()).unwrap();
    until("slow.xml", async || filed(&server, "read", "slow.xml")).await;
    assert_eq!(town.alice.posted(&town.from).await, 10_700);
    // Under another name it is the same.
    read(&server, "again.xml", &good).await;
    assert_eq!(town.alice.posted(&town.from).await, 10_700);
    is_clean(&server);
}

async fn a_missing_statement_is_a_difference_until_it_is_read(server: Server) {
    let town = town(&server, 10_000).await;
    let number = town.from["number"].as_str().unwrap();
    let credit = |at: i64, minor| ntry('+', minor, &format!("R{at}"), &for_account(number));
    let first = statement("M1", 18, (5_000, 5_300), &[credit(1, 300)]);
    let second = statement("M2", 19, (5_300, 5_700), &[credit(2, 400)]);
    let third = statement("M3", 20, (5_700, 6_200), &[credit(3, 500)]);
    read(&server, "3.xml", &third).await;
    read(&server, "1.xml", &first).await;
    let found = differences(&town).await;
    assert_eq!(
        (&found[0]["kind"], &found[0]["message"], &found[0]["found"]),
        (&json!("gap"), &json!("M3"), &json!(5_700))
    );
    assert_eq!(
        (&found[1]["kind"], &found[1]["expected"], &found[1]["found"]),
        (&json!("difference"), &json!(5_800), &json!(6_200))
    );
    read(&server, "2.xml", &second).await;
    assert_eq!(differences(&town).await, json!([]));
    for nobody in [&town.alice, &server.operator("support").await] {
        nobody.client.get(RECONCILIATION).await.refused(403, "forbidden");
    }
    assert_eq!(town.alice.posted(&town.from).await, 11_200);
    is_clean(&server);
}
