//! Logins by an issuer elsewhere, over real HTTPS, against an issuer that does as it is told.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{sync::Barrier, task::JoinSet};

use crate::harness::{
    BUSY, Client, Person, Server,
    browser::{Browser, Page},
    issuer::{Algorithm, CLIENT, Issuer, SECRET, Subject, Wrong},
    people::{code_of, next_code_of},
    stories,
};

const PROVIDERS: &str = "STRONGROOM_OIDC__PROVIDERS";
const OWN: &str = "/api/v1/me/external-logins";
const REFUSED: &str = "/login?refused=external_login_refused";
const SESSION: &str = "/api/v1/auth/session";

stories! {
    with BUSY;
    an_issuers_customer_comes_in_and_comes_back,
    every_algorithm_that_counts_is_read,
    whatever_is_wrong_with_an_id_token_refuses_the_login,
    an_answer_counts_once_in_its_browser_and_of_its_issuer,
    of_many_answers_at_once_one_counts,
    an_address_is_no_proof_and_an_owner_adds_the_issuer,
    second_factors_are_asked_for_after_an_issuer,
    too_many_refusals_from_one_address_wait,
    keys_that_changed_are_asked_for_again,
    an_issuer_that_is_away_or_lies_is_no_way_in,
}

/// Starts an issuer and the server again with it under these names.
async fn with_issuers(server: &mut Server, issuers: &[(&str, &Issuer)]) {
    let text: Vec<String> = issuers
        .iter()
        .map(|(name, issuer)| {
            let url = issuer.url();
            format!("[{name}]\nissuer = \"{url}\"\nclient_id = \"{CLIENT}\"\nclient_secret = \"{SECRET}\"\n")
        })
        .collect();
    server.set(PROVIDERS, &text.concat());
    server.kill();
    server.resume().await;
}

pub(crate) async fn started(server: &mut Server) -> Issuer {
    let issuer = Issuer::start(Algorithm::Es256, true).await;
    with_issuers(server, &[("other", &issuer)]).await;
    issuer
}

/// Sends a browser to the issuer; where it was sent.
async fn depart(browser: &Browser, provider: &str) -> String {
    let sent = browser
        .get(&format!("/api/v1/auth/oidc/{provider}/start"))
        .await
        .expect(303);
    sent.header("location").to_owned()
}

pub(crate) async fn log_in(browser: &Browser, issuer: &Issuer, subject: &Subject, wrong: Wrong) -> Page {
    let sent = depart(browser, "other").await;
    browser.get(&issuer.agree(&sent, subject, wrong)).await
}

async fn customers(server: &Server, text: &str) -> usize {
    let support = server.operator("support").await;
    let listed = support
        .client
        .get("/api/v1/admin/users?limit=100")
        .await
        .expect(200);
    let all = listed.body["data"].as_array().unwrap().clone();
    all.iter().filter(|user| user["email"] == text).count()
}

async fn an_issuers_customer_comes_in_and_comes_back(mut server: Server) {
    let issuer = started(&mut server).await;
    let alice = Subject::of("alice-1", "alice@example.com");
    let browser = Browser::new(&server);
    let sent = depart(&browser, "other").await;
    let before = browser.cookie("__Host-oidc").unwrap();
    let page = browser
        .get(&issuer.agree(&sent, &alice, Wrong::Nothing))
        .await
        .leads_to("/");
    let set: Vec<_> = page
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|value| value.to_str().unwrap().to_owned())
        .collect();
    let sid = set.iter().find(|it| it.starts_with("__Host-sid=")).unwrap();
    for part in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Strict"] {
        assert!(sid.contains(part), "{sid}");
    }
    assert!(!sid.contains("Domain") && !sid.contains("Max-Age"), "{sid}");
    assert!(browser.cookie("__Host-oidc").is_none(), "{before}");
    assert!(browser.cookie("__Host-device").is_some());
    let clock = browser.get(SESSION).await.expect(200);
    let clock: Value = serde_json::from_str(&clock.text).unwrap();
    assert!(clock["idle_seconds"].as_i64().unwrap() > 890, "{clock}");
    assert!(clock["left_seconds"].as_i64().unwrap() > 11 * 3600, "{clock}");
    // Known by issuer and subject: another address is the same person.
    let moved = Subject::of("alice-1", "alice@elsewhere.example");
    let again = Browser::new(&server);
    log_in(&again, &issuer, &moved, Wrong::Nothing)
        .await
        .leads_to("/");
    assert_ne!(again.cookie("__Host-sid"), browser.cookie("__Host-sid"));
    assert_eq!(customers(&server, "alice@example.com").await, 1);
    assert_eq!(customers(&server, "alice@elsewhere.example").await, 0);
    // No token of anybody is in a log.
    let logged = server.logged();
    for secret in [
        sent.as_str(),
        browser.cookie("__Host-sid").unwrap().as_str(),
        "code-0",
        SECRET,
    ] {
        assert!(!logged.contains(secret), "{secret}");
    }
}

async fn every_algorithm_that_counts_is_read(mut server: Server) {
    for algorithm in [Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Es256] {
        let issuer = Issuer::start(algorithm, false).await;
        with_issuers(&mut server, &[("other", &issuer)]).await;
        let name = format!("{algorithm:?}@example.com").to_lowercase();
        let subject = Subject::of(&name, &name);
        log_in(&Browser::new(&server), &issuer, &subject, Wrong::Nothing)
            .await
            .leads_to("/");
    }
}

async fn whatever_is_wrong_with_an_id_token_refuses_the_login(mut server: Server) {
    for algorithm in [Algorithm::Es256, Algorithm::Rs256] {
        let issuer = Issuer::start(algorithm, true).await;
        with_issuers(&mut server, &[("other", &issuer)]).await;
        let name = format!("{algorithm:?}@example.com").to_lowercase();
        let subject = Subject::of(&name, &name);
        log_in(&Browser::new(&server), &issuer, &subject, Wrong::Nothing)
            .await
            .leads_to("/");
        for wrong in [
            Wrong::Nonce,
            Wrong::NoNonce,
            Wrong::Audience,
            Wrong::TwoAudiences,
            Wrong::Party,
            Wrong::Issuer,
            Wrong::Expired,
            Wrong::IssuedLongAgo,
            Wrong::IssuedLater,
            Wrong::Unsigned,
            Wrong::SharedSecret,
            Wrong::PublicKeyAsSecret,
            Wrong::OtherKey,
            Wrong::UnknownKey,
            Wrong::Payload,
            Wrong::AccessToken,
            Wrong::NoSubject,
            Wrong::NoIdToken,
        ] {
            let browser = Browser::new(&server);
            let page = log_in(&browser, &issuer, &subject, wrong).await;
            assert_eq!(
                page.header("location"),
                REFUSED,
                "{algorithm:?} {wrong:?}: {page:?}"
            );
            assert_eq!(browser.cookie("__Host-sid"), None, "{wrong:?}");
        }
    }
}

async fn an_answer_counts_once_in_its_browser_and_of_its_issuer(mut server: Server) {
    let (issuer, hostile) = (
        Issuer::start(Algorithm::Es256, true).await,
        Issuer::start(Algorithm::Es256, false).await,
    );
    with_issuers(&mut server, &[("other", &issuer), ("hostile", &hostile)]).await;
    let alice = Subject::of("alice-1", "alice@example.com");
    let go = || async {
        let browser = Browser::new(&server);
        let sent = depart(&browser, "other").await;
        let back = issuer.agree(&sent, &alice, Wrong::Nothing);
        (browser, back)
    };
    let (browser, back) = go().await;
    browser.get(&back).await.leads_to("/");
    // Once: also with the cookie of then, whatever the issuer would say to the code.
    let (browser, back) = go().await;
    let cookie = browser.cookie("__Host-oidc").unwrap();
    browser.get(&back).await.leads_to("/");
    let redeemed = issuer.redeemed();
    let jar = |browser: &Browser, value: &str| {
        let mut cookies = browser.cookies.lock().unwrap();
        cookies.clear();
        cookies.insert("__Host-oidc".to_owned(), value.to_owned());
    };
    jar(&browser, &cookie);
    browser.get(&back).await.leads_to(REFUSED);
    assert_eq!(issuer.redeemed(), redeemed);
    let altered = |back: &str, from: &str, to: &str| {
        let path = back.replacen(from, to, 1);
        assert_ne!(path, back);
        path
    };
    let iss = issuer.url().replace(':', "%3A").replace('/', "%2F");
    let other = hostile.url().replace(':', "%3A").replace('/', "%2F");
    for (from, to) in [
        ("&state=", "&state=x"),
        ("&state=", "&nothing="),
        (&format!("&iss={iss}"), ""),
        (&iss, &other),
        ("/oidc/other/", "/oidc/hostile/"),
        ("code=code-", "code=x"),
    ] {
        let (browser, back) = go().await;
        browser.get(&altered(&back, from, to)).await.leads_to(REFUSED);
        assert_eq!(browser.cookie("__Host-sid"), None, "{from} {to}");
    }
    // Another browser, one without the cookie, and one that was sent somewhere else.
    let (_, back) = go().await;
    Browser::new(&server).get(&back).await.leads_to(REFUSED);
    let (_, back) = go().await;
    let stranger = Browser::new(&server);
    depart(&stranger, "other").await;
    stranger.get(&back).await.leads_to(REFUSED);
    let stranger = Browser::new(&server);
    depart(&stranger, "hostile").await;
    let (_, back) = go().await;
    stranger.get(&back).await.leads_to(REFUSED);
    // Mix-up: the answer of one issuer comes to the other's place, with the state of a login there.
    let victim = Browser::new(&server);
    let sent = depart(&victim, "other").await;
    let back = hostile.agree(
        &sent.replace(&issuer.url(), &hostile.url()),
        &Subject::of("alice-1", "alice@example.com"),
        Wrong::Nothing,
    );
    victim.get(&back).await.leads_to(REFUSED);
    // Who did not agree is not in, and is not charged with it.
    let (browser, back) = go().await;
    browser
        .get(&altered(&back, "code=", "error=access_denied&c="))
        .await
        .leads_to(REFUSED);
    let unknown = Browser::new(&server).get("/api/v1/auth/oidc/nobody/start").await;
    unknown.expect(404);
}

async fn of_many_answers_at_once_one_counts(mut server: Server) {
    let issuer = started(&mut server).await;
    let many = 12;
    for round in 0..3 {
        let subject = Subject::of(&format!("s{round}"), &format!("s{round}@example.com"));
        // One answer, many times at once; and many first logins of one person at once.
        for same in [true, false] {
            let first = Arc::new(Browser::new(&server));
            let sent = depart(&first, "other").await;
            let back = issuer.agree(&sent, &subject, Wrong::Nothing);
            let start = Arc::new(Barrier::new(many));
            let mut tasks = JoinSet::new();
            for _ in 0..many {
                let (browser, back) = if same {
                    let browser = Browser::new(&server);
                    browser.take_cookies_of(&first);
                    (browser, back.clone())
                } else {
                    let browser = Browser::new(&server);
                    let sent = depart(&browser, "other").await;
                    (browser, issuer.agree(&sent, &subject, Wrong::Nothing))
                };
                let start = start.clone();
                tasks.spawn(async move {
                    browser.get("/livez").await;
                    start.wait().await;
                    browser.get(&back).await.header("location").to_owned()
                });
            }
            let places = tasks.join_all().await;
            let entered = places.iter().filter(|place| *place == "/").count();
            if same {
                assert_eq!(entered, 1, "{places:?}");
            } else {
                assert!(entered >= 1, "{places:?}");
            }
        }
        assert_eq!(customers(&server, &format!("s{round}@example.com")).await, 1);
    }
}

async fn an_address_is_no_proof_and_an_owner_adds_the_issuer(mut server: Server) {
    let issuer = started(&mut server).await;
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let elsewhere = Subject::of("alice-elsewhere", &alice.email);
    let browser = Browser::new(&server);
    log_in(&browser, &issuer, &elsewhere, Wrong::Nothing)
        .await
        .leads_to("/login?refused=link_required");
    assert_eq!(browser.cookie("__Host-sid"), None);
    for (email, verified) in [
        (None, true),
        (Some("new@example.com"), false),
        (Some("no address"), true),
    ] {
        let nobody = Subject {
            sub: "nobody".to_owned(),
            email: email.map(str::to_owned),
            verified,
        };
        log_in(&Browser::new(&server), &issuer, &nobody, Wrong::Nothing)
            .await
            .leads_to("/login?refused=address_unverified");
    }
    // From inside, with a fresh factor, in the browser that asked.
    alice
        .client
        .post(OWN, json!({"provider": "other"}))
        .await
        .refused(401, "step_up_required");
    let proved = |client: Client, password: String| async move {
        let body = json!({"method": "password", "code": password});
        let token = client
            .post("/api/v1/auth/step-up", body)
            .await
            .expect(200)
            .text("access_token");
        client.with_token(&token)
    };
    let alice_proved = proved(alice.client.clone(), alice.password.clone()).await;
    alice_proved
        .post(OWN, json!({"provider": "nobody"}))
        .await
        .refused(404, "not_found");
    let ask = |client: &Client| {
        let browser = Browser::new(&server);
        let token = client.token().to_owned();
        async move {
            let request = browser.request(Method::POST, OWN).bearer_auth(token);
            let page = browser
                .send(request.json(&json!({"provider": "other"})))
                .await
                .expect(200);
            let body: Value = serde_json::from_str(&page.text).unwrap();
            (browser, body["authorization_url"].as_str().unwrap().to_owned())
        }
    };
    let (_, sent) = ask(&alice_proved).await;
    let stranger = Browser::new(&server);
    stranger
        .get(&issuer.agree(&sent, &elsewhere, Wrong::Nothing))
        .await
        .leads_to(REFUSED);
    let (browser, sent) = ask(&alice_proved).await;
    browser
        .get(&issuer.agree(&sent, &elsewhere, Wrong::Nothing))
        .await
        .leads_to("/");
    server.mail_with(&alice.email, "factor").await;
    let listed = alice_proved.get(OWN).await.expect(200);
    assert_eq!(listed.body["data"][0]["provider"], "other");
    assert_eq!(listed.body["data"][0]["email"], alice.email.as_str());
    log_in(&Browser::new(&server), &issuer, &elsewhere, Wrong::Nothing)
        .await
        .leads_to("/");
    // One identity is one person's; and a session that ended adds nothing.
    let bob_proved = proved(bob.client.clone(), bob.password.clone()).await;
    let (browser, sent) = ask(&bob_proved).await;
    browser
        .get(&issuer.agree(&sent, &elsewhere, Wrong::Nothing))
        .await
        .leads_to("/login?refused=external_login_taken");
    let (browser, sent) = ask(&bob_proved).await;
    let ended = bob_proved.request(Method::DELETE, "/api/v1/me/sessions");
    bob_proved.send(ended).await.expect(204);
    browser
        .get(&issuer.agree(&sent, &Subject::of("bob-elsewhere", &bob.email), Wrong::Nothing))
        .await
        .leads_to("/login?refused=token_invalid");
    // Taken away by its owner only, then it is no way in.
    let path = format!("{OWN}/{}", listed.body["data"][0]["id"].as_str().unwrap());
    let remove = |client: Client| {
        let path = path.clone();
        async move { client.send(client.request(Method::DELETE, &path)).await }
    };
    let bob = server.login(&bob.email, &bob.password).await;
    remove(bob.client.clone()).await.refused(401, "step_up_required");
    let bob_proved = proved(bob.client, bob.password).await;
    remove(bob_proved).await.refused(404, "not_found");
    remove(alice_proved.clone()).await.expect(204);
    log_in(&Browser::new(&server), &issuer, &elsewhere, Wrong::Nothing)
        .await
        .leads_to("/login?refused=link_required");
}

/// Adds an issuer to somebody's login; the client of the session that stays.
async fn linked(server: &Server, person: &Person, issuer: &Issuer, subject: &Subject) -> Client {
    let body = json!({"method": "password", "code": person.password});
    let stepped = person.client.post("/api/v1/auth/step-up", body).await.expect(200);
    let client = server.client().with_token(&stepped.text("access_token"));
    let browser = Browser::new(server);
    let request = browser.request(Method::POST, OWN).bearer_auth(client.token());
    let page = browser
        .send(request.json(&json!({"provider": "other"})))
        .await
        .expect(200);
    let body: Value = serde_json::from_str(&page.text).unwrap();
    let sent = body["authorization_url"].as_str().unwrap();
    browser
        .get(&issuer.agree(sent, subject, Wrong::Nothing))
        .await
        .leads_to("/");
    client
}

async fn second_factors_are_asked_for_after_an_issuer(mut server: Server) {
    let issuer = started(&mut server).await;
    let alice = server.customer("alice").await;
    let subject = Subject::of("alice-elsewhere", &alice.email);
    let client = linked(&server, &alice, &issuer, &subject).await;
    let totp = "/api/v1/me/mfa/totp";
    let uri = client
        .post(totp, Value::Null)
        .await
        .expect(200)
        .text("otpauth_uri");
    let confirm = json!({"code": code_of(&uri)});
    client.post(&format!("{totp}/confirm"), confirm).await.expect(200);
    // The issuer is the first half only.
    let half = || async {
        let browser = Browser::new(&server);
        log_in(&browser, &issuer, &subject, Wrong::Nothing)
            .await
            .leads_to("/login/second");
        assert_eq!(browser.cookie("__Host-sid"), None);
        browser.get(SESSION).await.expect(401);
        browser.cookie("__Host-login").unwrap()
    };
    let client = server.client();
    let show = |half: String, code: String| {
        let client = client.clone();
        async move {
            let body = json!({"mfa_token": half, "method": "totp", "code": code});
            client.post("/api/v1/auth/login/mfa", body).await
        }
    };
    let first = half().await;
    client
        .with_token(&first)
        .get("/api/v1/me")
        .await
        .refused(401, "token_invalid");
    let set = show(first.clone(), next_code_of(&uri)).await.expect(200);
    let claims = claims_of(&set.text("access_token"));
    assert_eq!(claims["amr"], json!(["fed", "otp", "mfa"]), "{claims}");
    show(first, next_code_of(&uri))
        .await
        .refused(401, "invalid_credentials");
    // The tries are those of every other way in: what is used up here is used up there.
    let second = half().await;
    for _ in 0..5 {
        show(second.clone(), "000000".to_owned())
            .await
            .refused(401, "invalid_credentials");
    }
    let body = json!({"email": alice.email, "password": alice.password});
    client
        .post("/api/v1/auth/login", body)
        .await
        .refused(401, "invalid_credentials");
    // A login that was stopped is stopped whoever vouches.
    let carol = Subject::of("carol", "carol@example.com");
    log_in(&Browser::new(&server), &issuer, &carol, Wrong::Nothing)
        .await
        .leads_to("/");
    let admin = server.operator("admin").await;
    let listed = admin
        .client
        .get("/api/v1/admin/users?limit=100")
        .await
        .expect(200);
    let all = listed.body["data"].as_array().unwrap().clone();
    let found = all.iter().find(|user| user["email"] == "carol@example.com");
    let lock = format!(
        "/api/v1/admin/users/{}/lock",
        found.unwrap()["id"].as_str().unwrap()
    );
    let locked = admin.client.post(&lock, json!({"reason": "test"})).await;
    assert!(locked.status < 300, "{locked:?}");
    log_in(&Browser::new(&server), &issuer, &carol, Wrong::Nothing)
        .await
        .leads_to("/login?refused=invalid_credentials");
}

fn claims_of(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

async fn too_many_refusals_from_one_address_wait(mut server: Server) {
    let issuer = started(&mut server).await;
    let alice = Subject::of("alice-1", "alice@example.com");
    let address = std::net::Ipv4Addr::new(127, 78, 0, 1);
    for _ in 0..8 {
        let browser = Browser::at(&server, address);
        log_in(&browser, &issuer, &alice, Wrong::Nothing)
            .await
            .leads_to("/");
    }
    for _ in 0..5 {
        let browser = Browser::at(&server, address);
        log_in(&browser, &issuer, &alice, Wrong::Nonce)
            .await
            .leads_to(REFUSED);
    }
    let browser = Browser::at(&server, address);
    log_in(&browser, &issuer, &alice, Wrong::Nothing)
        .await
        .leads_to("/login?refused=rate_limited");
    log_in(&Browser::new(&server), &issuer, &alice, Wrong::Nothing)
        .await
        .leads_to("/");
}

async fn keys_that_changed_are_asked_for_again(mut server: Server) {
    let issuer = started(&mut server).await;
    let alice = Subject::of("alice-1", "alice@example.com");
    log_in(&Browser::new(&server), &issuer, &alice, Wrong::Nothing)
        .await
        .leads_to("/");
    issuer.rotate();
    log_in(&Browser::new(&server), &issuer, &alice, Wrong::Nothing)
        .await
        .leads_to("/");
    // What was known is good while the issuer only fails to describe itself.
    issuer.sends_keys(Some("{}".to_owned()));
    log_in(&Browser::new(&server), &issuer, &alice, Wrong::Nothing)
        .await
        .leads_to("/");
    log_in(&Browser::new(&server), &issuer, &alice, Wrong::UnknownKey)
        .await
        .leads_to(REFUSED);
}

async fn an_issuer_that_is_away_or_lies_is_no_way_in(mut server: Server) {
    let issuer = Issuer::start(Algorithm::Es256, true).await;
    let again = |server: Server| async {
        let mut server = server;
        with_issuers(&mut server, &[("other", &issuer)]).await;
        server
    };
    server = again(server).await;
    let start = "/api/v1/auth/oidc/other/start";
    Browser::new(&server).get(start).await.expect(303);
    for lie in [
        json!({"issuer": "https://another.example"}),
        json!({"jwks_uri": "ftp://another.example/keys"}),
        json!({"token_endpoint": 7}),
    ] {
        issuer.says(lie);
        server = again(server).await;
        Browser::new(&server).get(start).await.expect(503);
    }
    issuer.says(json!({}));
    for keys in [
        "nothing".to_owned(),
        format!("{{\"keys\":[],\"x\":\"{}\"}}", "y".repeat(300_000)),
    ] {
        issuer.sends_keys(Some(keys));
        server = again(server).await;
        Browser::new(&server).get(start).await.expect(503);
    }
    issuer.sends_keys(None);
    issuer.awake(false);
    server = again(server).await;
    Browser::new(&server).get(start).await.expect(503);
    // Asked again only after a moment, whoever asks how often.
    issuer.awake(true);
    Browser::new(&server).get(start).await.expect(503);
}
