//! Tokens that are bound to a key (RFC 9449): worth nothing to whoever steals them.

use std::sync::{Arc, Mutex};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};
use strongroom_crypto::{random, token::fingerprint};
use tokio::{sync::Barrier, task::JoinSet};

use crate::harness::{
    Answer, BUSY, Engine, Person, Server,
    people::{code_of, new_key, next_code_of, transfer_body},
    signed::{nonce, now},
    stories,
};

const LOGIN: &str = "/api/v1/auth/login";
const REFRESH: &str = "/api/v1/auth/refresh";
const LOGOUT: &str = "/api/v1/auth/logout";
const STEP_UP: &str = "/api/v1/auth/step-up";
const ME: &str = "/api/v1/me";
const TRANSFERS: &str = "/api/v1/transfers";
const BAD: &str = "invalid_dpop_proof";

stories!(
    with BUSY;
    a_login_with_a_proof_gets_tokens_that_are_nothing_without_it,
    whatever_is_wrong_with_a_proof_refuses_the_request,
    a_proof_counts_once_however_often_it_comes,
    a_proof_is_refused_after_a_restart,
    a_bound_session_goes_on_with_its_key_alone,
    the_last_step_of_a_login_binds_its_tokens,
    half_a_login_is_worth_nothing_without_the_key_that_it_began_with,
);

enum Pair {
    Ed(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

/// Whoever holds a key, with the last nonce that the server told.
struct Holder {
    pair: Pair,
    nonce: Mutex<String>,
}

impl Holder {
    fn new(pair: Pair) -> Self {
        Self {
            pair,
            nonce: Mutex::default(),
        }
    }

    fn ed() -> Self {
        Self::new(Pair::Ed(
            Ed25519KeyPair::from_seed_unchecked(&random::bytes::<32>()).unwrap(),
        ))
    }

    fn p256() -> Self {
        Self::new(Pair::P256(
            EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
        ))
    }

    fn told(&self) -> String {
        self.nonce.lock().unwrap().clone()
    }

    /// What a right proof says.
    fn claims(&self, server: &Server, method: &str, path: &str, token: Option<&str>) -> Value {
        let path = path.split('?').next().unwrap();
        let url = format!("{}{path}", server.url().trim_end_matches('/'));
        let mut claims =
            json!({"jti": nonce(), "htm": method, "htu": url, "iat": now(), "nonce": self.told()});
        if let Some(token) = token {
            claims["ath"] = URL_SAFE_NO_PAD.encode(fingerprint(token)).into();
        }
        claims
    }

    fn sign(&self, claims: &Value) -> String {
        let (algorithm, jwk) = match &self.pair {
            Pair::Ed(pair) => (
                "EdDSA",
                json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(pair.public_key())}),
            ),
            Pair::P256(pair) => {
                let point = pair.public_key().as_ref();
                let [x, y] = [&point[1..33], &point[33..]].map(|part| URL_SAFE_NO_PAD.encode(part));
                ("ES256", json!({"kty": "EC", "crv": "P-256", "x": x, "y": y}))
            }
        };
        let header = json!({"typ": "dpop+jwt", "alg": algorithm, "jwk": jwk});
        let [header, claims] = [&header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let signature = match &self.pair {
            Pair::Ed(pair) => pair.sign(signed.as_bytes()).as_ref().to_vec(),
            Pair::P256(pair) => {
                let made = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
                made.as_ref().to_vec()
            }
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn listen(&self, answer: &Answer) {
        if let Some(told) = answer.header("dpop-nonce") {
            *self.nonce.lock().unwrap() = told.to_owned();
        }
    }

    /// Asks for tokens with a proof, and with the server's nonce where it wants one.
    async fn post(&self, server: &Server, path: &str, body: &Value) -> Answer {
        loop {
            let had_none = self.told().is_empty();
            let proof = self.sign(&self.claims(server, "POST", path, None));
            let client = server.client();
            let request = client.request(Method::POST, path).header("DPoP", proof);
            let answer = client.send(request.json(body)).await;
            self.listen(&answer);
            if !(had_none && answer.code() == "use_dpop_nonce") {
                return answer;
            }
        }
    }

    async fn login(&self, server: &Server, person: &Person) -> Answer {
        let body = json!({"email": person.email, "password": person.password});
        self.post(server, LOGIN, &body).await
    }

    /// A request as it is, with a token and a new proof for it.
    fn shown(&self, server: &Server, method: Method, path: &str, token: &str) -> Shown {
        let claims = self.claims(server, method.as_str(), path, Some(token));
        Shown::new(method, path, token, Some(self.sign(&claims)))
    }
}

/// A request with a token and, mostly, a proof; it can be sent as often as one likes.
#[derive(Clone, Debug)]
struct Shown {
    method: Method,
    path: String,
    scheme: &'static str,
    token: String,
    proof: Option<String>,
    body: Option<(Value, String)>,
}

impl Shown {
    fn new(method: Method, path: &str, token: &str, proof: Option<String>) -> Self {
        Self {
            method,
            path: path.to_owned(),
            scheme: "DPoP",
            token: token.to_owned(),
            proof,
            body: None,
        }
    }

    fn with(mut self, body: Value) -> Self {
        self.body = Some((body, new_key()));
        self
    }

    async fn send(&self, server: &Server) -> Answer {
        let client = server.client();
        let mut request = client
            .request(self.method.clone(), &self.path)
            .header("Authorization", format!("{} {}", self.scheme, self.token));
        if let Some(proof) = &self.proof {
            request = request.header("DPoP", proof);
        }
        if let Some((body, key)) = &self.body {
            request = request.header("Idempotency-Key", key).json(body);
        }
        client.send(request).await
    }
}

/// Somebody who has just logged in with a proof.
async fn bound(server: &Server, holder: &Holder) -> (Person, Answer) {
    let alice = server.customer("alice").await;
    let set = holder.login(server, &alice).await.expect(200);
    assert_eq!(set.text("token_type"), "DPoP");
    (alice, set)
}

async fn a_login_with_a_proof_gets_tokens_that_are_nothing_without_it(server: Server) {
    let alice = server.customer("alice").await;
    for holder in [Holder::ed(), Holder::p256()] {
        // Without a nonce of the server there are no tokens, and the nonce is told.
        let proof = holder.sign(&holder.claims(&server, "POST", LOGIN, None));
        let client = server.client();
        let body = json!({"email": alice.email, "password": alice.password});
        let request = client.request(Method::POST, LOGIN).header("DPoP", proof);
        let asked = client
            .send(request.json(&body))
            .await
            .refused(401, "use_dpop_nonce");
        let challenge = asked.header("www-authenticate").unwrap();
        assert!(
            challenge.starts_with("DPoP ") && challenge.contains("error=\"use_dpop_nonce\""),
            "{challenge}"
        );
        holder.listen(&asked);
        let set = holder.login(&server, &alice).await.expect(200);
        assert_eq!(set.text("token_type"), "DPoP");
        let token = set.text("access_token");
        let me = holder
            .shown(&server, Method::GET, ME, &token)
            .send(&server)
            .await
            .expect(200);
        assert!(me.header("dpop-nonce").is_some(), "{me:?}");
        // Whoever has the token alone has nothing, wherever they go.
        for (method, path) in [
            (Method::GET, ME),
            (Method::GET, "/api/v1/accounts"),
            (Method::POST, TRANSFERS),
            (Method::POST, "/api/v1/holds"),
            (Method::POST, STEP_UP),
            (Method::POST, "/api/v1/auth/password/change"),
            (Method::DELETE, "/api/v1/me/sessions"),
            (Method::GET, "/api/v1/api-keys"),
        ] {
            let body = json!({"method": "password", "code": alice.password, "current_password": "x", "new_password": "y"});
            for scheme in ["Bearer", "DPoP"] {
                let stolen = Shown {
                    scheme,
                    ..Shown::new(method.clone(), path, &token, None)
                };
                let stolen = if method == Method::POST {
                    stolen.with(body.clone())
                } else {
                    stolen
                };
                let refused = stolen.send(&server).await.refused(401, BAD);
                let challenge = refused.header("www-authenticate").unwrap();
                assert!(
                    challenge.starts_with("DPoP ") && challenge.contains("algs=\"ES256 EdDSA\""),
                    "{challenge}"
                );
            }
        }
        holder
            .shown(&server, Method::GET, ME, &token)
            .send(&server)
            .await
            .expect(200);
    }
    // Nobody is made to: an ordinary login is an ordinary login, and its token is not shown as a bound one.
    let holder = Holder::ed();
    let set = server.login(&alice.email, &alice.password).await;
    assert_eq!(set.tokens["token_type"], "Bearer");
    let plain = set.client.token().to_owned();
    holder.login(&server, &alice).await.expect(200);
    holder
        .shown(&server, Method::GET, ME, &plain)
        .send(&server)
        .await
        .refused(401, BAD);
    set.client.get(ME).await.expect(200);
}

async fn whatever_is_wrong_with_a_proof_refuses_the_request(server: Server) {
    let holder = Holder::p256();
    let (alice, set) = bound(&server, &holder).await;
    let token = set.text("access_token");
    let path = "/api/v1/accounts?limit=1";
    let good = || holder.claims(&server, "GET", path, Some(&token));
    let send = async |proof: String| {
        Shown::new(Method::GET, path, &token, Some(proof))
            .send(&server)
            .await
    };
    send(holder.sign(&good())).await.expect(200);
    let other = server.url().replace("localhost", "127.0.0.1");
    for (name, value, code) in [
        ("jti", json!(""), BAD),
        ("htm", json!("POST"), BAD),
        (
            "htu",
            json!(format!("{}{ME}", server.url().trim_end_matches('/'))),
            BAD,
        ),
        (
            "htu",
            json!(format!("{}/api/v1/accounts", other.trim_end_matches('/'))),
            BAD,
        ),
        ("iat", json!(now() - 120), BAD),
        ("iat", json!(now() + 120), BAD),
        ("ath", json!(URL_SAFE_NO_PAD.encode(fingerprint("another"))), BAD),
        ("ath", Value::Null, BAD),
        ("nonce", json!("made-up"), "use_dpop_nonce"),
        ("nonce", Value::Null, "use_dpop_nonce"),
    ] {
        let mut claims = good();
        claims[name] = value.clone();
        let refused = send(holder.sign(&claims)).await.refused(401, code);
        assert!(
            refused.header("dpop-nonce").is_some(),
            "{name} {value}: {refused:?}"
        );
    }
    // Another's key, also where its proof is right in itself, and another's token.
    let thief = Holder::p256();
    *thief.nonce.lock().unwrap() = holder.told();
    send(thief.sign(&good())).await.refused(401, BAD);
    let theirs = thief
        .login(&server, &alice)
        .await
        .expect(200)
        .text("access_token");
    let claims = thief.claims(&server, "GET", path, Some(&theirs));
    Shown::new(Method::GET, path, &theirs, Some(thief.sign(&claims)))
        .send(&server)
        .await
        .expect(200);
    let crossed = holder.claims(&server, "GET", path, Some(&theirs));
    let crossed = Shown::new(Method::GET, path, &theirs, Some(holder.sign(&crossed)));
    crossed.send(&server).await.refused(401, BAD);
    // Two proofs, and what is none.
    let client = server.client();
    let twice = client
        .request(Method::GET, path)
        .header("Authorization", format!("DPoP {token}"))
        .header("DPoP", holder.sign(&good()))
        .header("DPoP", holder.sign(&good()));
    client.send(twice).await.refused(401, BAD);
    for none in ["x", "", &token] {
        send(none.to_owned()).await.refused(401, BAD);
    }
    send(holder.sign(&good())).await.expect(200);
}

async fn a_proof_counts_once_however_often_it_comes(server: Server) {
    let holder = Holder::ed();
    let (alice, set) = bound(&server, &holder).await;
    let token = set.text("access_token");
    let (from, to) = (alice.account("From").await, alice.account("To").await);
    server
        .operator("teller")
        .await
        .deposit(&from, 10_000)
        .await
        .expect(201);
    let server = Arc::new(server);
    for round in 1..=4 {
        for (shown, status) in [
            (holder.shown(&server, Method::GET, ME, &token), 200),
            (
                holder
                    .shown(&server, Method::POST, TRANSFERS, &token)
                    .with(transfer_body(&from, &to, 100)),
                201,
            ),
        ] {
            let (start, mut tasks) = (Arc::new(Barrier::new(6)), JoinSet::new());
            for _ in 0..6 {
                let (server, shown, start) = (server.clone(), shown.clone(), start.clone());
                tasks.spawn(async move {
                    start.wait().await;
                    shown.send(&server).await
                });
            }
            let answers = tasks.join_all().await;
            let done = answers.iter().filter(|answer| answer.status == status).count();
            assert_eq!(done, 1, "{answers:?}");
            for answer in answers.into_iter().filter(|answer| answer.status != status) {
                answer.refused(401, BAD);
            }
        }
        assert_eq!(alice.posted(&to).await, 100 * round);
    }
    // What was refused was shown, too.
    let dear = holder
        .shown(&server, Method::POST, TRANSFERS, &token)
        .with(transfer_body(&from, &to, 999_999));
    assert_eq!(dear.send(&server).await.code(), "insufficient_funds");
    dear.send(&server).await.refused(401, BAD);
    // A login's proof gets one set of tokens.
    let proof = holder.sign(&holder.claims(&server, "POST", LOGIN, None));
    let body = json!({"email": alice.email, "password": alice.password});
    for (status, code) in [(200, ""), (401, BAD)] {
        let client = server.client();
        let request = client.request(Method::POST, LOGIN).header("DPoP", &proof);
        let answer = client.send(request.json(&body)).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{answer:?}");
    }
}

async fn a_proof_is_refused_after_a_restart(mut server: Server) {
    let holder = Holder::ed();
    let (_, set) = bound(&server, &holder).await;
    let token = set.text("access_token");
    let shown = holder.shown(&server, Method::GET, ME, &token);
    shown.send(&server).await.expect(200);
    server.kill();
    server.resume().await;
    shown.send(&server).await.refused(401, BAD);
    // What the server told before is still good, and so is the token.
    holder
        .shown(&server, Method::GET, ME, &token)
        .send(&server)
        .await
        .expect(200);
}

async fn a_bound_session_goes_on_with_its_key_alone(server: Server) {
    let holder = Holder::p256();
    let (alice, set) = bound(&server, &holder).await;
    let (first, token) = (
        json!({"refresh_token": set.text("refresh_token")}),
        set.text("access_token"),
    );
    let thief = Holder::ed();
    *thief.nonce.lock().unwrap() = holder.told();
    // A stolen refresh token gets nothing, spends nothing and ends nothing.
    for path in [REFRESH, LOGOUT] {
        server.client().post(path, first.clone()).await.refused(401, BAD);
        thief.post(&server, path, &first).await.refused(401, BAD);
    }
    let next = holder.post(&server, REFRESH, &first).await.expect(200);
    assert_eq!(next.text("token_type"), "DPoP");
    // The answer got lost: the key is enough to get it again, and nothing else is.
    server
        .client()
        .post(REFRESH, first.clone())
        .await
        .refused(401, BAD);
    let again = holder.post(&server, REFRESH, &first).await.expect(200);
    assert_eq!(again.text("refresh_token"), next.text("refresh_token"));
    let token_now = next.text("access_token");
    for token in [&token, &token_now] {
        holder
            .shown(&server, Method::GET, ME, token)
            .send(&server)
            .await
            .expect(200);
    }
    // A fresh factor does not loosen it.
    let proof = json!({"method": "password", "code": alice.password});
    let raised = holder
        .shown(&server, Method::POST, STEP_UP, &token_now)
        .with(proof);
    let raised = raised.send(&server).await.expect(200);
    assert_eq!(raised.text("token_type"), "DPoP");
    let token = raised.text("access_token");
    let bearer = Shown {
        scheme: "Bearer",
        ..Shown::new(Method::GET, ME, &token, None)
    };
    bearer.send(&server).await.refused(401, BAD);
    holder
        .shown(&server, Method::GET, ME, &token)
        .send(&server)
        .await
        .expect(200);
    let last = json!({"refresh_token": raised.text("refresh_token")});
    server
        .client()
        .post(REFRESH, last.clone())
        .await
        .refused(401, BAD);
    holder.post(&server, LOGOUT, &last).await.expect(204);
    let late = holder.shown(&server, Method::GET, ME, &token).send(&server).await;
    late.refused(401, "token_invalid");
}

/// Binds an authenticator; its address. The code of this moment is spent.
async fn with_totp(alice: &Person) -> String {
    let made = alice
        .client
        .post("/api/v1/me/mfa/totp", Value::Null)
        .await
        .expect(200);
    let uri = made.text("otpauth_uri");
    let code = json!({"code": code_of(&uri)});
    alice
        .client
        .post("/api/v1/me/mfa/totp/confirm", code)
        .await
        .expect(200);
    uri
}

async fn half_a_login_is_worth_nothing_without_the_key_that_it_began_with(server: Server) {
    let (holder, thief) = (Holder::ed(), Holder::p256());
    let alice = server.customer("alice").await;
    let uri = with_totp(&alice).await;
    let ticket = holder.login(&server, &alice).await.expect(200);
    const SECOND: &str = "/api/v1/auth/login/mfa";
    let body = |ticket: &Answer, method: &str, code: &str| json!({"mfa_token": ticket.text("mfa_token"), "method": method, "code": code});
    let right = body(&ticket, "totp", &next_code_of(&uri));
    // More often than wrong tries are allowed: nothing of it is one, neither with another key nor with none.
    for _ in 0..6 {
        server
            .client()
            .post(SECOND, right.clone())
            .await
            .refused(401, BAD);
        thief.post(&server, SECOND, &right).await.refused(401, BAD);
        let recovery = body(&ticket, "recovery_code", "AAAA-AAAA");
        thief.post(&server, SECOND, &recovery).await.refused(401, BAD);
    }
    let set = holder.post(&server, SECOND, &right).await.expect(200);
    assert_eq!(set.text("token_type"), "DPoP");
    // A login that began without a key may still be bound at its last step, and need not.
    let begun = json!({"email": alice.email, "password": alice.password});
    let ticket = server.client().post(LOGIN, begun).await.expect(200);
    assert_eq!(ticket.text("status"), "mfa_required");
}

async fn the_last_step_of_a_login_binds_its_tokens(server: Server) {
    let (holder, alice) = (Holder::ed(), server.customer("alice").await);
    let uri = with_totp(&alice).await;
    let begun = json!({"email": alice.email, "password": alice.password});
    let ticket = server.client().post(LOGIN, begun).await.expect(200);
    assert_eq!(ticket.text("status"), "mfa_required");
    let body = json!({"mfa_token": ticket.text("mfa_token"), "method": "totp", "code": next_code_of(&uri)});
    let set = holder
        .post(&server, "/api/v1/auth/login/mfa", &body)
        .await
        .expect(200);
    assert_eq!(set.text("token_type"), "DPoP");
    let token = set.text("access_token");
    let bearer = Shown {
        scheme: "Bearer",
        ..Shown::new(Method::GET, ME, &token, None)
    };
    bearer.send(&server).await.refused(401, BAD);
    holder
        .shown(&server, Method::GET, ME, &token)
        .send(&server)
        .await
        .expect(200);
}

mod nodes {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn on_postgres_a_proof_counts_once_on_all_nodes_together() {
        let Some(first) = Server::start(Engine::Postgres).await else {
            return;
        };
        let second = first.start_behind_the_same_name().await;
        let holder = Holder::ed();
        let (alice, set) = bound(&first, &holder).await;
        let token = set.text("access_token");
        let (from, to) = (alice.account("From").await, alice.account("To").await);
        first
            .operator("teller")
            .await
            .deposit(&from, 10_000)
            .await
            .expect(201);
        // A nonce of one node is one of the other's.
        for (here, there) in [(&first, &second), (&second, &first)] {
            let shown = holder.shown(&first, Method::GET, ME, &token);
            holder.listen(&shown.send(here).await.expect(200));
            shown.send(there).await.refused(401, BAD);
        }
        let nodes = Arc::new([first, second]);
        for round in 1..=4 {
            let body = transfer_body(&from, &to, 100);
            let shown = holder
                .shown(&nodes[0], Method::POST, TRANSFERS, &token)
                .with(body);
            let (start, mut tasks) = (Arc::new(Barrier::new(6)), JoinSet::new());
            for copy in 0..6 {
                let (nodes, shown, start) = (nodes.clone(), shown.clone(), start.clone());
                tasks.spawn(async move {
                    start.wait().await;
                    shown.send(&nodes[copy % 2]).await
                });
            }
            let answers = tasks.join_all().await;
            let done = answers.iter().filter(|answer| answer.status == 201).count();
            assert_eq!(done, 1, "{answers:?}");
            assert_eq!(alice.posted(&to).await, 100 * round);
        }
    }
}
