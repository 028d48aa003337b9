//! Signed requests by clients that nobody here wrote, and answers that they verify: PyPI's and npm's
//! `http-message-signatures`, each a process of its own. And the client of the integrators' guide, as it is printed.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use reqwest::Method;
use serde_json::{Value, json};
use strongroom_crypto::{http_signature::content_digest, random};

use crate::{
    harness::{
        Answer, Server,
        people::{new_key, transfer_body},
        signed::{Signed, nonce},
        stories,
    },
    signatures::customer,
};

/// The folder that `cargo xtask test` installed them into.
const FOLDER: &str = "STRONGROOM_TEST_SIGNATURE_CLIENTS";
const TRANSFERS: &str = "/api/v1/transfers";
const GUIDE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../docs/integrators/signed_request.py"
);

stories!(
    other_libraries_sign_what_we_accept_and_verify_what_we_answer,
    the_client_of_the_guide_moves_money_and_verifies_the_answer,
);

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os(FOLDER).map(PathBuf::from);
    if folder.is_none() {
        eprintln!("not run: {FOLDER} names no folder with other clients");
    }
    folder
}

fn python(folder: &Path) -> PathBuf {
    folder.join("python").join("bin").join("python")
}

/// One of the clients.
#[derive(Clone, Copy, Debug)]
enum Other {
    PyPi,
    Npm,
}

impl Other {
    /// Gives it one document and reads the one that it answers with.
    fn ask(self, folder: &Path, ask: &Value) -> Value {
        let mut command = match self {
            Self::PyPi => Command::new(python(folder)),
            Self::Npm => Command::new("node"),
        };
        let mut child = command
            .arg(match self {
                Self::PyPi => "client.py",
                Self::Npm => "client.mjs",
            })
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(ask.to_string().as_bytes()).unwrap();
        drop(input);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{self:?} {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn request_of(server: &Server, signed: &Signed) -> Value {
    let headers: serde_json::Map<String, Value> = signed
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect();
    let url = format!("{}{}", server.url().trim_end_matches('/'), signed.path);
    json!({"method": signed.method.as_str(), "url": url, "headers": headers})
}

/// Signed by that client with this key.
fn signed_by(
    other: Other,
    folder: &Path,
    server: &Server,
    mut wish: Signed,
    id: &str,
    key: &Value,
) -> Signed {
    let mut fields = vec!["@method".to_owned(), "@target-uri".to_owned()];
    // PyPI's makes digests, too; npm's leaves them to its caller.
    if !wish.body.is_empty() && matches!(other, Other::Npm) {
        let digest = content_digest(&wish.body);
        wish.headers.push(("content-digest".to_owned(), digest));
    }
    fields.extend(wish.headers.iter().map(|(name, _)| name.clone()));
    if !wish.body.is_empty() && matches!(other, Other::PyPi) {
        fields.push("content-digest".to_owned());
    }
    let ask = json!({
        "do": "sign", "request": request_of(server, &wish), "fields": fields, "keyid": id, "nonce": nonce(),
        "tag": "fapi-2-request", "alg": key["alg"], "key": key["key"], "body": STANDARD.encode(&wish.body),
    });
    let signed = other.ask(folder, &ask);
    for name in ["content-digest", "signature", "signature-input"] {
        if let Some(value) = signed[name].as_str() {
            wish.headers.push((name.to_owned(), value.to_owned()));
        }
    }
    wish
}

/// Whether that client takes the answer for one of the server's to this request.
async fn is_verified_by(
    other: Other,
    folder: &Path,
    server: &Server,
    asked: &Signed,
    answer: &Answer,
) -> bool {
    let published = server.client().get("/.well-known/jwks.json").await.expect(200);
    let keys = published.body["keys"].as_array().unwrap();
    let is_of_answers = |key: &&Value| key["kid"].as_str().unwrap().starts_with("answer-");
    let key = keys.iter().find(is_of_answers).unwrap();
    let headers: serde_json::Map<String, Value> = answer
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), Value::from(value.to_str().unwrap())))
        .collect();
    let ask = json!({
        "do": "verify", "request": request_of(server, asked), "keyid": key["kid"], "key": key["x"],
        "response": {"status": answer.status, "headers": headers}, "body": STANDARD.encode(&answer.bytes),
    });
    other.ask(folder, &ask)["verified"].as_bool().unwrap()
}

async fn other_libraries_sign_what_we_accept_and_verify_what_we_answer(server: Server) {
    let Some(folder) = folder() else { return };
    let seed: [u8; 32] = random::bytes();
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let public = URL_SAFE_NO_PAD.encode(pair.public_key());
    let (alice, from, to, made) = customer(&server, json!({})).await;
    let wish = json!({"name": "Pair", "scopes": ["accounts:read", "transfers:write"], "public_key": public});
    let paired = alice.client.post("/api/v1/api-keys", wish).await.expect(201);
    let keys = [
        (
            made.text("id"),
            json!({"alg": "hmac-sha256", "key": STANDARD.encode(made.text("signing_secret"))}),
        ),
        (
            paired.text("id"),
            json!({"alg": "ed25519", "key": STANDARD.encode(seed)}),
        ),
    ];
    let mut booked = 0;
    for other in [Other::PyPi, Other::Npm] {
        for (id, key) in &keys {
            let wish = || {
                let body = transfer_body(&from, &to, 100);
                Signed::new(Method::POST, TRANSFERS, Some(&body), id)
            };
            let signed = signed_by(other, &folder, &server, wish(), id, key);
            let answer = signed.send(&server).await.expect(201);
            booked += 100;
            assert_eq!(alice.posted(&to).await, booked);
            assert!(
                is_verified_by(other, &folder, &server, &signed, &answer).await,
                "{other:?} {answer:?}"
            );
            // The same by nobody else: another status, another body, another request.
            let refused = signed.send(&server).await.refused(401, "signature_replayed");
            assert!(
                is_verified_by(other, &folder, &server, &signed, &refused).await,
                "{other:?} {refused:?}"
            );
            let forged = Answer {
                status: 200,
                ..answer.clone()
            };
            assert!(
                !is_verified_by(other, &folder, &server, &signed, &forged).await,
                "{other:?}"
            );
            let next = signed_by(other, &folder, &server, wish(), id, key);
            assert!(
                !is_verified_by(other, &folder, &server, &next, &answer).await,
                "{other:?}"
            );
            let mut dearer = next.clone();
            dearer.body = String::from_utf8(next.body.clone())
                .unwrap()
                .replace("100", "900")
                .into_bytes();
            dearer.send(&server).await.refused(401, "signature_invalid");
            next.send(&server).await.expect(201);
            booked += 100;
            let reading = Signed::new(Method::GET, "/api/v1/accounts?limit=1", None, id);
            let reading = signed_by(other, &folder, &server, reading, id, key);
            let listed = reading.send(&server).await.expect(200);
            assert!(
                is_verified_by(other, &folder, &server, &reading, &listed).await,
                "{other:?} {listed:?}"
            );
        }
    }
    assert_eq!(alice.posted(&to).await, booked);
}

async fn the_client_of_the_guide_moves_money_and_verifies_the_answer(server: Server) {
    let Some(folder) = folder() else { return };
    let (alice, from, to, made) = customer(&server, json!({})).await;
    let body = server.folder().join("transfer.json");
    std::fs::write(&body, transfer_body(&from, &to, 100).to_string()).unwrap();
    let run = |method: &str, path: &str, more: &[&str], secret: &str| {
        let output = Command::new(python(&folder))
            .args([
                GUIDE,
                method,
                &format!("{}{path}", server.url().trim_end_matches('/')),
            ])
            .args(more)
            .env("STRONGROOM_KEY_ID", made.text("id"))
            .env("STRONGROOM_SIGNING_SECRET", secret)
            .env("STRONGROOM_CA", server.data().join("tls").join("ca.pem"))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (
            output.status.success(),
            text,
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (secret, key) = (made.text("signing_secret"), new_key());
    let file = body.to_str().unwrap();
    let (ok, out, err) = run("POST", TRANSFERS, &[&key, file], &secret);
    assert!(ok && out.starts_with("201 verified\n"), "{out}{err}");
    // The same intent again is the same transfer, signed anew.
    let (ok, again, err) = run("POST", TRANSFERS, &[&key, file], &secret);
    assert!(
        ok && again.lines().nth(1) == out.lines().nth(1),
        "{out}{again}{err}"
    );
    let (ok, out, err) = run("GET", "/api/v1/accounts?limit=1", &[], &secret);
    assert!(ok && out.starts_with("200 verified\n"), "{out}{err}");
    let (ok, out, err) = run("POST", TRANSFERS, &[&new_key(), file], "srs_another");
    assert!(!ok && out.starts_with("401 not verified\n"), "{out}{err}");
    assert_eq!(alice.posted(&to).await, 100);
}
