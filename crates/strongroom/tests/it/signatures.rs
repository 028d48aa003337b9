//! Requests that programs sign: money is moved by these only, each once, unchanged and in time.

use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};
use strongroom_crypto::{
    SecretString, SigningSecret,
    http_signature::{Request, SigningKey, content_digest, plain_lines},
    random,
};
use tokio::{sync::Barrier, task::JoinSet};

use crate::harness::{
    Answer, Person, Server,
    people::{new_key, transfer_body},
    stories,
};

const KEYS: &str = "/api/v1/api-keys";
const TRANSFERS: &str = "/api/v1/transfers";

stories!(
    money_by_a_key_is_moved_by_signed_requests_only,
    a_key_pair_signs_and_its_key_alone_does_not,
    a_program_pays_and_gives_back_by_signed_requests,
    a_signed_request_counts_once_however_often_it_comes,
    a_signed_request_is_refused_after_a_restart,
    what_was_changed_after_signing_is_refused,
    the_plain_scheme_is_for_keys_that_were_made_for_it,
);

/// A request that was signed and can be sent as it is, again, or changed.
#[derive(Clone)]
struct Signed {
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

#[expect(clippy::disallowed_methods, reason = "a client has a clock of its own")]
fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(now.unwrap().as_secs()).unwrap()
}

fn nonce() -> String {
    format!("{:032x}", u128::from_be_bytes(random::bytes()))
}

impl Signed {
    fn new(method: Method, path: &str, body: Option<&Value>, id: &str) -> Self {
        let mut headers = vec![("x-api-key-id".to_owned(), id.to_owned())];
        let body = body
            .map(|body| serde_json::to_vec(body).unwrap())
            .unwrap_or_default();
        if !body.is_empty() {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
            headers.push(("idempotency-key".to_owned(), new_key()));
        }
        Self {
            method,
            path: path.to_owned(),
            headers,
            body,
        }
    }

    fn look<T>(&self, server: &Server, look: impl FnOnce(&Request<'_>) -> T) -> T {
        let headers: Vec<(&str, &[u8])> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let (path, query) = match self.path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.path.as_str(), None),
        };
        look(&Request {
            method: self.method.as_str(),
            authority: server.url().trim_start_matches("https://"),
            path,
            query,
            headers: &headers,
            body: &self.body,
        })
    }

    /// After RFC 9421.
    fn by(mut self, server: &Server, key: &SigningKey, id: &str) -> Self {
        if !self.body.is_empty() {
            let digest = content_digest(&self.body);
            self.headers.push(("content-digest".to_owned(), digest));
        }
        let fields = self.look(server, |request| key.sign(request, id, now(), &nonce()));
        self.headers
            .extend(fields.map(|(name, value)| (name.to_owned(), value)));
        self
    }

    /// By the plain scheme.
    fn plainly(mut self, server: &Server, secret: &str, id: &str) -> Self {
        let (timestamp, nonce) = (now().to_string(), nonce());
        let lines = self.look(server, |request| {
            plain_lines(request, id, &timestamp, &nonce).unwrap()
        });
        let mac = shared(secret).sign(lines.as_bytes());
        let signature = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        for (name, value) in [
            ("x-timestamp", timestamp),
            ("x-nonce", nonce),
            ("x-signature", signature),
        ] {
            self.headers.push((name.to_owned(), value));
        }
        self
    }

    async fn send(&self, server: &Server) -> Answer {
        let client = server.client();
        let request = client
            .request(self.method.clone(), &self.path)
            .body(self.body.clone());
        let request = self
            .headers
            .iter()
            .fold(request, |request, (name, value)| request.header(name, value));
        client.send(request).await
    }
}

fn shared(secret: &str) -> SigningSecret {
    SigningSecret::of(&SecretString::from(secret.to_owned()))
}

/// A customer with money, two accounts, and a key made with this wish.
async fn customer(server: &Server, more: Value) -> (Person, Value, Value, Answer) {
    let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
    let (from, to) = (alice.account("From").await, alice.account("To").await);
    teller.deposit(&from, 10_000).await.expect(201);
    let proof = json!({"method": "password", "code": alice.password});
    let set = alice.client.post("/api/v1/auth/step-up", proof).await.expect(200);
    let client = alice.client.with_token(&set.text("access_token"));
    let mut wish =
        json!({"name": "Payments", "scopes": ["accounts:read", "transfers:write", "transfers:read"]});
    for (name, value) in more.as_object().unwrap() {
        wish[name] = value.clone();
    }
    let made = client.post(KEYS, wish).await.expect(201);
    (Person { client, ..alice }, from, to, made)
}

async fn money_by_a_key_is_moved_by_signed_requests_only(server: Server) {
    let (alice, from, to, made) = customer(&server, json!({})).await;
    let client = server.client();
    let bearer = |method, path: &str| client.request(method, path).header("X-API-Key", made.text("key"));
    let body = transfer_body(&from, &to, 100);
    let unsigned = bearer(Method::POST, TRANSFERS)
        .header("Idempotency-Key", new_key())
        .json(&body);
    client.send(unsigned).await.refused(401, "signature_required");
    assert_eq!(alice.posted(&to).await, 0);
    client
        .send(bearer(Method::GET, "/api/v1/accounts"))
        .await
        .expect(200);
    let (id, key) = (
        made.text("id"),
        SigningKey::Shared(shared(&made.text("signing_secret"))),
    );
    let signed = Signed::new(Method::POST, TRANSFERS, Some(&body), &id).by(&server, &key, &id);
    signed.send(&server).await.expect(201);
    assert_eq!(alice.posted(&to).await, 100);
    let reading = Signed::new(Method::GET, "/api/v1/accounts?limit=1", None, &id).by(&server, &key, &id);
    reading.send(&server).await.expect(200);
    reading.send(&server).await.refused(401, "signature_replayed");
    // The key itself beside the signature is a second credential.
    let mut both = Signed::new(Method::GET, "/api/v1/accounts", None, &id).by(&server, &key, &id);
    both.headers.push(("x-api-key".to_owned(), made.text("key")));
    both.send(&server).await.refused(401, "unauthenticated");
}

async fn a_program_pays_and_gives_back_by_signed_requests(server: Server) {
    let scopes = json!({"scopes": ["payments:write", "transfers:read"]});
    let (alice, from, shop, made) = customer(&server, scopes).await;
    let teller = server.operator("teller").await;
    let merchant = json!({"account_id": shop["id"], "name": "Alice's Bakery"});
    let merchant = teller.client.post("/api/v1/admin/merchants", merchant).await;
    let merchant = merchant.expect(201).text("id");
    let (id, key) = (
        made.text("id"),
        SigningKey::Shared(shared(&made.text("signing_secret"))),
    );
    let send = async |path: &str, body: Value| {
        let signed = Signed::new(Method::POST, path, Some(&body), &id).by(&server, &key, &id);
        (signed.send(&server).await, signed)
    };
    let body = json!({"from_account_id": from["id"], "merchant_id": merchant,
        "amount": {"amount": 700, "currency": "EUR"}});
    let (paid, signed) = send("/api/v1/payments", body.clone()).await;
    let payment = paid.expect(201).text("id");
    signed.send(&server).await.refused(401, "signature_replayed");
    let (again, _) = send("/api/v1/payments", body).await;
    again.refused(409, "duplicate_suspected");
    let refund = format!("/api/v1/payments/{payment}/refund");
    let (given, _) = send(&refund, json!({"amount": {"amount": 300, "currency": "EUR"}})).await;
    given.expect(201);
    assert_eq!(
        (alice.posted(&from).await, alice.posted(&shop).await),
        (9_600, 400)
    );
}

async fn a_key_pair_signs_and_its_key_alone_does_not(server: Server) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&random::bytes::<32>()).unwrap();
    let public = URL_SAFE_NO_PAD.encode(pair.public_key());
    let (alice, from, to, made) = customer(&server, json!({"public_key": public})).await;
    assert!(made.body.get("signing_secret").is_none(), "{made:?}");
    let (id, key) = (made.text("id"), SigningKey::Ed25519(pair));
    let wish = || {
        Signed::new(
            Method::POST,
            TRANSFERS,
            Some(&transfer_body(&from, &to, 100)),
            &id,
        )
    };
    wish().by(&server, &key, &id).send(&server).await.expect(201);
    // Neither another pair nor what everybody knows of this one makes its signatures.
    let other = SigningKey::Ed25519(Ed25519KeyPair::from_seed_unchecked(&random::bytes::<32>()).unwrap());
    for wrong in [
        other,
        SigningKey::Shared(shared(&public)),
        SigningKey::Shared(shared(&made.text("key"))),
    ] {
        let forged = wish().by(&server, &wrong, &id).send(&server).await;
        forged.refused(401, "signature_invalid");
    }
    assert_eq!(alice.posted(&to).await, 100);
    // Gone is gone for signed requests, too, and looks like any other that is not there.
    alice
        .client
        .send(alice.client.request(Method::DELETE, &format!("{KEYS}/{id}")))
        .await
        .expect(204);
    let late = wish().by(&server, &key, &id).send(&server).await;
    late.refused(401, "signature_invalid");
}

async fn a_signed_request_counts_once_however_often_it_comes(server: Server) {
    let (alice, from, to, made) = customer(&server, json!({})).await;
    let (id, key) = (
        made.text("id"),
        SigningKey::Shared(shared(&made.text("signing_secret"))),
    );
    let server = Arc::new(server);
    for round in 1..=5 {
        let wish = Signed::new(
            Method::POST,
            TRANSFERS,
            Some(&transfer_body(&from, &to, 100)),
            &id,
        );
        let signed = wish.by(&server, &key, &id);
        let (start, mut tasks) = (Arc::new(Barrier::new(8)), JoinSet::new());
        for _ in 0..8 {
            let (server, signed, start) = (server.clone(), signed.clone(), start.clone());
            tasks.spawn(async move {
                start.wait().await;
                signed.send(&server).await
            });
        }
        let answers = tasks.join_all().await;
        let done = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(done, 1, "{answers:?}");
        for answer in answers.into_iter().filter(|answer| answer.status != 201) {
            answer.refused(401, "signature_replayed");
        }
        assert_eq!(alice.posted(&to).await, 100 * round);
    }
    // What the books refuse, and what they never saw, was sent once, too.
    for (body, code) in [
        (transfer_body(&from, &to, 999_999), "insufficient_funds"),
        (
            transfer_body(
                &json!({"id": "acct_01jd3vw4ezfkx8y0q4sfcmj2t9", "currency": "EUR"}),
                &to,
                1,
            ),
            "account_not_found",
        ),
    ] {
        let signed = Signed::new(Method::POST, TRANSFERS, Some(&body), &id).by(&server, &key, &id);
        assert_eq!(signed.send(&server).await.code(), code);
        signed.send(&server).await.refused(401, "signature_replayed");
    }
}

async fn a_signed_request_is_refused_after_a_restart(mut server: Server) {
    let (_, from, to, made) = customer(&server, json!({})).await;
    let (id, key) = (
        made.text("id"),
        SigningKey::Shared(shared(&made.text("signing_secret"))),
    );
    let signed = Signed::new(
        Method::POST,
        TRANSFERS,
        Some(&transfer_body(&from, &to, 100)),
        &id,
    )
    .by(&server, &key, &id);
    signed.send(&server).await.expect(201);
    server.kill();
    server.resume().await;
    signed.send(&server).await.refused(401, "signature_replayed");
}

async fn what_was_changed_after_signing_is_refused(server: Server) {
    let (alice, from, to, made) = customer(&server, json!({})).await;
    let (id, key) = (
        made.text("id"),
        SigningKey::Shared(shared(&made.text("signing_secret"))),
    );
    let wish = || {
        let path = format!("{TRANSFERS}?dry_run=false");
        Signed::new(Method::POST, &path, Some(&transfer_body(&from, &to, 100)), &id).by(&server, &key, &id)
    };
    wish().send(&server).await.expect(201);
    let dearer = String::from_utf8(wish().body)
        .unwrap()
        .replace("100", "900")
        .into_bytes();
    let field = |name: &str, value: &str| {
        let mut signed = wish();
        let found = signed.headers.iter_mut().find(|(other, _)| other == name);
        found.unwrap().1 = value.to_owned();
        signed
    };
    let without = |name: &str| {
        let mut signed = wish();
        signed.headers.retain(|(other, _)| other != name);
        signed
    };
    let digest = content_digest(&dearer);
    for (what, changed) in [
        (
            "body",
            Signed {
                body: dearer.clone(),
                ..wish()
            },
        ),
        (
            "body and digest",
            Signed {
                body: dearer.clone(),
                ..field("content-digest", &digest)
            },
        ),
        (
            "query",
            Signed {
                path: format!("{TRANSFERS}?dry_run=true"),
                ..wish()
            },
        ),
        (
            "no query",
            Signed {
                path: TRANSFERS.to_owned(),
                ..wish()
            },
        ),
        (
            "path",
            Signed {
                path: "/api/v1/deposits?dry_run=false".to_owned(),
                ..wish()
            },
        ),
        ("idempotency key", field("idempotency-key", "another")),
        ("key", field("x-api-key-id", "key_01jd3vw4ezfkx8y0q4sfcmj2t9")),
        ("no digest", without("content-digest")),
        ("no input", without("signature-input")),
        ("no signature", without("signature")),
    ] {
        let refused = changed.send(&server).await;
        assert_eq!(
            (refused.status, refused.code()),
            (401, "signature_invalid"),
            "{what}: {refused:?}"
        );
    }
    assert_eq!(alice.posted(&to).await, 100);
}

async fn the_plain_scheme_is_for_keys_that_were_made_for_it(server: Server) {
    let (alice, from, to, made) = customer(&server, json!({"signature_schemes": ["plain"]})).await;
    let (id, secret) = (made.text("id"), made.text("signing_secret"));
    let wish = || {
        Signed::new(
            Method::POST,
            TRANSFERS,
            Some(&transfer_body(&from, &to, 100)),
            &id,
        )
    };
    let signed = wish().plainly(&server, &secret, &id);
    signed.send(&server).await.expect(201);
    signed.send(&server).await.refused(401, "signature_replayed");
    let by_standard = wish().by(&server, &SigningKey::Shared(shared(&secret)), &id);
    by_standard.send(&server).await.refused(401, "signature_invalid");
    let body = json!({"name": "Standard", "scopes": ["transfers:write"]});
    let other = alice.client.post(KEYS, body).await.expect(201);
    let (id, secret) = (other.text("id"), other.text("signing_secret"));
    let wish = || {
        Signed::new(
            Method::POST,
            TRANSFERS,
            Some(&transfer_body(&from, &to, 100)),
            &id,
        )
    };
    let plain = wish().plainly(&server, &secret, &id).send(&server).await;
    plain.refused(401, "signature_invalid");
    let standard = wish().by(&server, &SigningKey::Shared(shared(&secret)), &id);
    standard.send(&server).await.expect(201);
    assert_eq!(alice.posted(&to).await, 200);
}
