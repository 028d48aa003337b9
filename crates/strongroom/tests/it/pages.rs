//! Pages and sessions of browsers, over real HTTPS.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    BUSY, Person, Server,
    authenticator::{Authenticator, Spoil},
    browser::{Browser, Page},
    people::{code_of, next_code_of},
    qr, stories,
};

const WRONG: &str = "That did not work";
const SID: &str = "__Host-sid";
/// A place that a form is sent to, and what is in it.
type Sent = (&'static str, &'static [(&'static str, &'static str)]);
/// Every form there is, filled in somehow.
const FORMS: &[Sent] = &[
    ("/login", &[("email", "a@example.com"), ("password", "x")]),
    ("/login/passkey", &[]),
    ("/login/passkey/answer", &[("credential", "{}")]),
    ("/login/second", &[("method", "totp"), ("code", "000000")]),
    ("/login/second/passkey", &[]),
    ("/login/second/passkey/answer", &[("credential", "{}")]),
    ("/login/rebind", &[]),
    ("/login/rebind/confirm", &[("code", "000000")]),
    (
        "/register",
        &[("email", "x"), ("full_name", "x"), ("password", "x")],
    ),
    ("/verify-email", &[("token", "x"), ("password", "x")]),
    ("/forgot-password", &[("email", "x")]),
    ("/reset-password", &[("token", "x"), ("new_password", "x")]),
    ("/login/first", &[("new_password", "x")]),
    ("/login/first/code", &[("code", "000000")]),
    ("/passkeys", &[("credential", "{}"), ("name", "x")]),
    ("/passkeys/new", &[]),
    ("/passkeys/remove", &[("id", "x")]),
    ("/email-change", &[("token", "x"), ("answer", "confirm")]),
    ("/step-up", &[("method", "totp"), ("code", "000000")]),
    ("/step-up/passkey", &[]),
    ("/step-up/passkey/answer", &[("credential", "{}")]),
    ("/devices/name", &[("id", "x"), ("name", "x")]),
    ("/devices/forget", &[("id", "x")]),
    ("/issuers/add", &[("provider", "x")]),
    ("/issuers/remove", &[("id", "x")]),
    ("/session/stay", &[]),
    ("/logout", &[]),
];
const PAGES: [&str; 8] = [
    "/login",
    "/register",
    "/verify-email",
    "/forgot-password",
    "/reset-password",
    "/email-change",
    "/login/rebind",
    "/",
];

stories! {
    with BUSY;
    a_person_registers_confirms_logs_in_and_out,
    every_page_is_for_nobody_elses_frame_and_for_no_cache,
    a_form_without_its_token_or_from_elsewhere_does_nothing,
    a_session_begins_is_proved_again_and_ends_under_its_own_cookie,
    a_cookie_is_no_token_and_a_token_no_cookie,
    what_people_type_is_text_wherever_it_is_shown,
    no_address_from_outside_leads_away,
    the_second_step_takes_a_code_a_passkey_or_a_recovery_code,
    a_forgotten_password_is_set_anew_on_a_page,
}

pub(crate) async fn logged_in(server: &Server, person: &Person) -> Browser {
    let browser = Browser::new(server);
    let fields = [
        ("email", person.email.as_str()),
        ("password", person.password.as_str()),
    ];
    browser.fill("/login", "/login", &fields).await.leads_to("/");
    browser
}

fn jar(browser: &Browser, name: &str, value: &str) {
    let mut cookies = browser.cookies.lock().unwrap();
    cookies.insert(name.to_owned(), value.to_owned());
}

async fn a_person_registers_confirms_logs_in_and_out(server: Server) {
    let browser = Browser::new(&server);
    let (email, password) = ("eve@example.com", "quilt-harbour-lantern-58-osprey");
    browser.get("/").await.leads_to("/login");
    let weak = [
        ("email", email),
        ("full_name", "Eve Example"),
        ("password", "short"),
    ];
    let page = browser.fill("/register", "/register", &weak).await.expect(400);
    assert!(page.text.contains("Password: "), "{}", page.text);
    assert!(!page.text.contains("short"), "the password is in the page");
    let fields = [
        ("email", email),
        ("full_name", "Eve Example"),
        ("password", password),
    ];
    let page = browser
        .send_form("/register", &page.token(), &fields)
        .await
        .expect(200);
    assert!(page.text.contains("Look into your mail"));
    let token = server.mailed_token(email).await;
    assert!(server.mails_to(email)[0].contains(&format!("/verify-email#token={token}")));
    let wrong = [
        ("token", token.as_str()),
        ("password", "another-password-of-somebody"),
    ];
    let page = browser
        .fill("/verify-email", "/verify-email", &wrong)
        .await
        .expect(401);
    assert!(page.text.contains(WRONG));
    let right = [("token", token.as_str()), ("password", password)];
    browser
        .send_form("/verify-email", &page.token(), &right)
        .await
        .leads_to("/login?notice=verified");
    let wrong = [("email", email), ("password", "another-password-of-somebody")];
    let page = browser
        .fill("/login?notice=verified", "/login", &wrong)
        .await
        .expect(401);
    assert!(page.text.contains(WRONG) && page.text.contains(email));
    assert_eq!(browser.cookie(SID), None);
    let right = [("email", email), ("password", password)];
    let page = browser
        .send_form("/login", &page.token(), &right)
        .await
        .leads_to("/");
    let set: Vec<_> = page.headers.get_all("set-cookie").iter().collect();
    let sid = set
        .iter()
        .map(|it| it.to_str().unwrap())
        .find(|it| it.starts_with(SID))
        .unwrap();
    assert_eq!(
        sid.split_once(';').unwrap().1,
        " Path=/; Secure; HttpOnly; SameSite=Strict"
    );
    let home = browser.get("/").await.expect(200);
    assert!(home.text.contains("Welcome, Eve Example"));
    let left = browser.cookies.lock().unwrap().clone();
    let page = browser.send_form("/logout", &home.token(), &[]).await;
    let page = page.leads_to("/login?notice=logged_out");
    assert_eq!(page.header("clear-site-data"), "\"cache\", \"storage\"");
    assert_eq!(browser.cookie(SID), None);
    // The cookie of then opens nothing, whoever kept it.
    *browser.cookies.lock().unwrap() = left;
    browser.get("/").await.leads_to("/login?refused=session_ended");
    browser.get("/api/v1/auth/session").await.expect(401);
}

async fn every_page_is_for_nobody_elses_frame_and_for_no_cache(server: Server) {
    let alice = server.customer("alice").await;
    let browser = logged_in(&server, &alice).await;
    for path in PAGES.into_iter().chain(["/step-up"]) {
        let page = browser.get(path).await.expect(200);
        let csp = page.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
        ] {
            assert!(csp.contains(part), "{path}: {csp}");
        }
        assert!(!csp.contains("unsafe") && !csp.contains('*'), "{path}: {csp}");
        assert_eq!(page.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(page.header("referrer-policy"), "no-referrer", "{path}");
        assert!(
            page.header("strict-transport-security").contains("max-age="),
            "{path}"
        );
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8", "{path}");
        // Nothing inline that the policy would have to allow.
        assert!(
            !page.text.contains("<script>") && !page.text.contains(" style="),
            "{path}"
        );
        assert!(
            !page.text.contains(" onclick") && !page.text.contains("javascript:"),
            "{path}"
        );
        assert!(
            page.text.contains("<html lang=\"en\">") && page.text.contains("name=\"viewport\""),
            "{path}"
        );
        assert!(!page.text.contains(alice.client.token()), "{path}");
    }
    for (path, media) in [
        ("/assets/pages.css", "text/css; charset=utf-8"),
        ("/assets/pages.js", "text/javascript; charset=utf-8"),
    ] {
        assert_eq!(browser.get(path).await.expect(200).header("content-type"), media);
    }
}

async fn a_form_without_its_token_or_from_elsewhere_does_nothing(server: Server) {
    let alice = server.customer("alice").await;
    let (browser, other) = (logged_in(&server, &alice).await, Browser::new(&server));
    let token = browser.get("/").await.expect(200).token();
    let others = other.get("/login").await.expect(200).token();
    let send = |path: &'static str, fields: Vec<(&'static str, String)>, headers: &'static [(&str, &str)]| {
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let text = crate::harness::browser::form_text(&fields);
        let request = browser
            .request(Method::POST, path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(text);
        let request = headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value));
        browser.send(request)
    };
    let here: &[(&str, &str)] = &[("sec-fetch-site", "same-origin")];
    for (path, fields) in FORMS {
        let with = |token: Option<&str>| -> Vec<(&'static str, String)> {
            let csrf = token.map(|token| ("csrf", token.to_owned()));
            let fields = fields.iter().map(|(name, value)| (*name, (*value).to_owned()));
            csrf.into_iter().chain(fields).collect()
        };
        for wrong in [None, Some(""), Some(others.as_str()), Some(&token[1..])] {
            send(path, with(wrong), here).await.expect(403);
        }
        for headers in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")],
            &[("origin", "https://evil.example")],
        ] {
            send(path, with(Some(&token)), headers).await.expect(403);
        }
        // A form in another form, or with something more in it, is not read.
        let json = browser
            .request(Method::POST, path)
            .header("content-type", "text/plain")
            .body(format!("csrf={token}"));
        browser.send(json).await.expect(400);
        let mut more = with(Some(&token));
        more.push(("more", "x".to_owned()));
        send(path, more, here).await.expect(400);
        assert_eq!(browser.get("/").await.status, 200, "{path} did something");
    }
    // And the same forms are taken from our own pages: by browsers with and without Fetch metadata.
    for headers in [here, &[]] {
        let page = send("/session/stay", vec![("csrf", token.clone())], headers).await;
        page.leads_to("/");
    }
    send("/logout", vec![("csrf", token)], here)
        .await
        .leads_to("/login?notice=logged_out");
}

async fn a_session_begins_is_proved_again_and_ends_under_its_own_cookie(server: Server) {
    let alice = server.customer("alice").await;
    // What somebody put into the browser before names no session afterwards.
    let browser = Browser::new(&server);
    jar(&browser, SID, "planted-by-somebody-else");
    jar(&browser, "__Host-form", "planted-too");
    let before = browser.get("/login").await.expect(200).token();
    let fields = [
        ("email", alice.email.as_str()),
        ("password", alice.password.as_str()),
    ];
    browser.send_form("/login", &before, &fields).await.leads_to("/");
    let first = browser.cookie(SID).unwrap();
    assert_ne!(first, "planted-by-somebody-else");
    assert_ne!(browser.cookie("__Host-form").unwrap(), "planted-too");
    // Nor does a form that was shown before count.
    browser.send_form("/session/stay", &before, &[]).await.expect(403);
    // A login over a session ends that one.
    browser.fill("/login", "/login", &fields).await.leads_to("/");
    let second = browser.cookie(SID).unwrap();
    assert_ne!(first, second);
    let old = Browser::new(&server);
    jar(&old, SID, &first);
    old.get("/").await.leads_to("/login?refused=session_ended");
    // A fresh proof renews it.
    let page = browser
        .fill(
            "/step-up",
            "/step-up",
            &[("method", "password"), ("code", "wrong")],
        )
        .await
        .expect(401);
    assert!(page.text.contains(WRONG));
    let proof = [("method", "password"), ("code", alice.password.as_str())];
    browser
        .send_form("/step-up", &page.token(), &proof)
        .await
        .leads_to("/");
    let third = browser.cookie(SID).unwrap();
    assert_ne!(second, third);
    jar(&old, SID, &second);
    old.get("/").await.leads_to("/login?refused=session_ended");
    browser.get("/").await.expect(200);
    // Ended elsewhere, it is over here with the next request.
    let again = server.login(&alice.email, &alice.password).await;
    let end = again.client.request(Method::DELETE, "/api/v1/me/sessions");
    again.client.send(end).await.expect(204);
    browser.get("/").await.leads_to("/login?refused=session_ended");
    browser.get("/api/v1/auth/session").await.expect(401);
}

async fn a_cookie_is_no_token_and_a_token_no_cookie(server: Server) {
    let alice = server.customer("alice").await;
    let browser = logged_in(&server, &alice).await;
    let sid = browser.cookie(SID).unwrap();
    browser.get("/api/v1/me").await.expect(401);
    server
        .client()
        .with_token(&sid)
        .get("/api/v1/me")
        .await
        .refused(401, "token_invalid");
    let other = Browser::new(&server);
    jar(&other, SID, alice.client.token());
    other.get("/").await.leads_to("/login?refused=session_ended");
    for path in ["/?access_token=", "/?token="] {
        let page = Browser::new(&server)
            .get(&format!("{path}{}", alice.client.token()))
            .await;
        page.leads_to("/login");
    }
    // Twice is never: one of the two is not ours.
    let twice = Browser::new(&server);
    let request = twice
        .request(Method::GET, "/")
        .header("cookie", format!("{SID}={sid}; {SID}={sid}"));
    twice.send(request).await.leads_to("/login");
    let stored = server.logged();
    assert!(!stored.contains(&sid));
}

async fn what_people_type_is_text_wherever_it_is_shown(server: Server) {
    let evil = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'";
    let browser = Browser::new(&server);
    let text_only = |page: &Page, path: &str| {
        assert!(
            !page.text.contains("<script>alert") && !page.text.contains("<img"),
            "{path}: {}",
            page.text
        );
    };
    for (path, fields) in FORMS {
        for at in 0..fields.len() {
            let mut fields = fields.to_vec();
            fields[at].1 = evil;
            let token = browser.get("/login").await.expect(200).token();
            let page = browser.send_form(path, &token, &fields).await;
            assert!(page.status < 500, "{path}: {page:?}");
            text_only(&page, path);
        }
    }
    let token = browser.get("/login").await.expect(200).token();
    let fields = [("email", evil), ("password", "x")];
    let page = browser.send_form("/login", &token, &fields).await.expect(401);
    assert_eq!(page.value_of("maxlength=\"254\" value=\""), evil);
    for query in ["refused", "notice"] {
        let path = format!("/login?{query}=%22%3E%3Cscript%3Ealert(1)%3C/script%3E");
        let page = browser.get(&path).await.expect(200);
        text_only(&page, &path);
        assert!(!page.text.contains("alert(1)"), "{path}");
    }
    let alice = server.customer("alice").await;
    let name = "A <script>alert(1)</script> & \"B\"";
    let renamed = alice.client.patch("/api/v1/me", json!({"full_name": name})).await;
    renamed.expect(200);
    let page = logged_in(&server, &alice).await.get("/").await.expect(200);
    text_only(&page, "/");
    assert!(page.text.contains("alert(1)"), "{}", page.text);
}

async fn no_address_from_outside_leads_away(server: Server) {
    let alice = server.customer("alice").await;
    let fields = [
        ("email", alice.email.as_str()),
        ("password", alice.password.as_str()),
    ];
    for query in ["next", "return_to", "redirect", "url", "refused", "notice"] {
        let browser = Browser::new(&server);
        let page = format!("/login?{query}=https%3A%2F%2Fevil.example%2F");
        let shown = browser.get(&page).await.expect(200);
        assert!(!shown.text.contains("evil.example"), "{query}");
        browser.fill(&page, "/login", &fields).await.leads_to("/");
    }
    let browser = Browser::new(&server);
    let request = browser.request(Method::GET, "/").header("host", "evil.example");
    let page = browser.send(request).await;
    assert!(
        !page
            .headers
            .iter()
            .any(|(_, value)| value.as_bytes().windows(4).any(|it| it == b"evil"))
    );
    // Who comes from elsewhere left the strict cookie there, and comes again from here.
    let from_mail = browser
        .request(Method::GET, "/")
        .header("sec-fetch-site", "cross-site");
    let page = browser.send(from_mail).await.expect(200);
    assert!(page.text.contains("http-equiv=\"refresh\" content=\"0;url=/\""));
}

async fn the_second_step_takes_a_code_a_passkey_or_a_recovery_code(server: Server) {
    let alice = server.customer("alice").await;
    let totp = "/api/v1/me/mfa/totp";
    let made = alice.client.post(totp, Value::Null).await.expect(200);
    let uri = made.text("otpauth_uri");
    let confirm = json!({"code": code_of(&uri)});
    let codes = alice
        .client
        .post(&format!("{totp}/confirm"), confirm)
        .await
        .expect(200);
    let recovery = codes.body["recovery_codes"][0].as_str().unwrap().to_owned();
    let mut phone = Authenticator::new(server.url());
    let asked = alice
        .client
        .post("/api/v1/me/passkeys/options", Value::Null)
        .await
        .expect(200);
    let credential = phone.create(&asked.body, &Spoil::default());
    let bind = json!({"credential": credential, "name": "Phone"});
    alice.client.post("/api/v1/me/passkeys", bind).await.expect(201);

    let fields = [
        ("email", alice.email.as_str()),
        ("password", alice.password.as_str()),
    ];
    let half = || async {
        let browser = Browser::new(&server);
        browser
            .fill("/login", "/login", &fields)
            .await
            .leads_to("/login/second");
        assert_eq!(browser.cookie(SID), None);
        browser.get("/").await.leads_to("/login");
        let page = browser.get("/login/second").await.expect(200);
        (browser, page)
    };
    // A code: wrong, then right.
    let (browser, page) = half().await;
    let wrong = [("method", "totp"), ("code", "000000")];
    let page = browser
        .send_form("/login/second", &page.token(), &wrong)
        .await
        .expect(401);
    assert!(page.text.contains(WRONG));
    let code = next_code_of(&uri);
    let right = [("method", "totp"), ("code", code.as_str())];
    browser
        .send_form("/login/second", &page.token(), &right)
        .await
        .leads_to("/");
    assert_eq!(browser.cookie("__Host-login"), None);
    browser.get("/").await.expect(200);
    // A passkey after the password, and one instead of it.
    let (browser, page) = half().await;
    let page = browser
        .send_form("/login/second/passkey", &page.token(), &[])
        .await
        .expect(200);
    let asked: Value = serde_json::from_str(&page.value_of("data-passkey=\"")).unwrap();
    let shown = phone.get(&asked, &Spoil::default()).to_string();
    let answer = [("credential", shown.as_str())];
    browser
        .send_form("/login/second/passkey/answer", &page.token(), &answer)
        .await
        .leads_to("/");
    browser.get("/").await.expect(200);
    let browser = Browser::new(&server);
    let page = browser.fill("/login", "/login/passkey", &[]).await.expect(200);
    let asked: Value = serde_json::from_str(&page.value_of("data-passkey=\"")).unwrap();
    let spoilt = Spoil {
        signature: true,
        ..Spoil::default()
    };
    let shown = phone.get(&asked, &spoilt).to_string();
    let page = browser
        .send_form(
            "/login/passkey/answer",
            &page.token(),
            &[("credential", shown.as_str())],
        )
        .await
        .expect(401);
    let page = browser
        .send_form("/login/passkey", &page.token(), &[])
        .await
        .expect(200);
    let asked: Value = serde_json::from_str(&page.value_of("data-passkey=\"")).unwrap();
    let shown = phone.get(&asked, &Spoil::default()).to_string();
    browser
        .send_form(
            "/login/passkey/answer",
            &page.token(),
            &[("credential", shown.as_str())],
        )
        .await
        .leads_to("/");
    browser.get("/").await.expect(200);
    // A recovery code leads to a new factor and nowhere else.
    let (browser, page) = half().await;
    let lost = [("method", "recovery_code"), ("code", recovery.as_str())];
    browser
        .send_form("/login/second", &page.token(), &lost)
        .await
        .leads_to("/login/rebind");
    assert_eq!(browser.cookie(SID), None);
    let page = browser
        .fill("/login/rebind", "/login/rebind", &[])
        .await
        .expect(200);
    let (_, rest) = page.text.split_once("class=\"key\">").unwrap();
    let secret = rest.split_once('<').unwrap().0.to_owned();
    let (_, picture) = page.text.split_once("class=\"qr\"").unwrap();
    let new_uri = qr::read(picture);
    assert!(new_uri.contains(&format!("secret={secret}&")), "{new_uri}");
    let code = code_of(&new_uri);
    let page = browser
        .send_form("/login/rebind/confirm", &page.token(), &[("code", code.as_str())])
        .await
        .expect(200);
    assert!(page.text.contains("Your recovery codes"));
    assert_eq!(page.text.matches("<li><code>").count(), 10);
    assert_eq!(browser.cookie("__Host-login"), None);
    // Nobody is let to the second step without the first.
    Browser::new(&server)
        .get("/login/second")
        .await
        .leads_to("/login");
}

async fn a_forgotten_password_is_set_anew_on_a_page(server: Server) {
    let alice = server.customer("alice").await;
    let browser = logged_in(&server, &alice).await;
    let stranger = Browser::new(&server);
    let pages = [alice.email.as_str(), "nobody@example.com"].map(|email| {
        let stranger = &stranger;
        async move {
            let fields = [("email", email)];
            stranger
                .fill("/forgot-password", "/forgot-password", &fields)
                .await
                .expect(200)
                .text
        }
    });
    let [known, unknown] = pages;
    assert_eq!(known.await, unknown.await);
    server.mail_with(&alice.email, "/reset-password#token=").await;
    let token = server.mailed_token(&alice.email).await;
    let weak = [("token", token.as_str()), ("new_password", "short")];
    let page = stranger
        .fill("/reset-password", "/reset-password", &weak)
        .await
        .expect(400);
    assert!(page.text.contains("Password: "));
    let new = "saddle+monsoon+turnip+91+cobalt";
    let right = [("token", token.as_str()), ("new_password", new)];
    stranger
        .send_form("/reset-password", &page.token(), &right)
        .await
        .leads_to("/login?notice=password_set");
    let page = stranger
        .fill("/reset-password", "/reset-password", &right)
        .await
        .expect(401);
    assert!(page.text.contains(WRONG));
    browser.get("/").await.leads_to("/login?refused=session_ended");
    let fields = [("email", alice.email.as_str()), ("password", new)];
    stranger.fill("/login", "/login", &fields).await.leads_to("/");
}
