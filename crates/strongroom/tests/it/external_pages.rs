//! Another way in, added and taken away on a page, as a browser without a script sees it.

use crate::{
    external::{log_in, started},
    harness::{
        BUSY, Server,
        browser::Browser,
        issuer::{Subject, Wrong},
        stories,
    },
    pages::logged_in,
};

const ISSUERS: &str = "/issuers";

stories! {
    with BUSY;
    an_issuer_is_added_and_taken_away_on_a_page,
}

async fn an_issuer_is_added_and_taken_away_on_a_page(mut server: Server) {
    let issuer = started(&mut server).await;
    let alice = server.customer("alice").await;
    let elsewhere = Subject::of("alice-elsewhere", "a.lice@<elsewhere>.example");
    let add = [("provider", "other")];
    Browser::new(&server)
        .get(ISSUERS)
        .await
        .leads_to("/login?refused=session_ended");
    let browser = logged_in(&server, &alice).await;
    let page = browser.get(ISSUERS).await.expect(200);
    assert!(page.text.contains("You log in here alone"), "{}", page.text);
    // A fresh proof first.
    browser
        .fill(ISSUERS, "/issuers/add", &add)
        .await
        .leads_to("/step-up");
    let proof = [("method", "password"), ("code", alice.password.as_str())];
    browser.fill("/step-up", "/step-up", &proof).await.leads_to("/");
    browser
        .fill(ISSUERS, "/issuers/add", &[("provider", "nobody")])
        .await
        .expect(404);
    let page = browser.fill(ISSUERS, "/issuers/add", &add).await.expect(200);
    let sent = page.value_of("<a class=\"button\" href=\"");
    assert!(sent.starts_with(&issuer.url()), "{sent}");
    assert!(
        page.header("content-security-policy")
            .contains("form-action 'self'")
    );
    let back = issuer.agree(&sent, &elsewhere, Wrong::Nothing);
    // Another browser that comes back with it adds nothing to anybody.
    Browser::new(&server)
        .get(&back)
        .await
        .leads_to("/login?refused=external_login_refused");
    assert!(browser.get(ISSUERS).await.text.contains("You log in here alone"));
    let page = browser.fill(ISSUERS, "/issuers/add", &add).await.expect(200);
    let sent = page.value_of("<a class=\"button\" href=\"");
    browser
        .get(&issuer.agree(&sent, &elsewhere, Wrong::Nothing))
        .await
        .leads_to("/");
    let page = browser.get(ISSUERS).await.expect(200);
    assert!(
        !page.text.contains("<elsewhere>") && page.text.contains("since"),
        "{}",
        page.text
    );
    log_in(&Browser::new(&server), &issuer, &elsewhere, Wrong::Nothing)
        .await
        .leads_to("/");
    server.mail_with(&alice.email, "factor").await;
    // Somebody else takes nothing away, and its owner does.
    let id = page.value_of("name=\"id\" value=\"");
    let bob = server.customer("bob").await;
    let bobs = logged_in(&server, &bob).await;
    let proof = [("method", "password"), ("code", bob.password.as_str())];
    bobs.fill("/step-up", "/step-up", &proof).await.leads_to("/");
    bobs.fill(ISSUERS, "/issuers/remove", &[("id", &id)])
        .await
        .expect(404);
    browser
        .fill(ISSUERS, "/issuers/remove", &[("id", &id)])
        .await
        .leads_to(ISSUERS);
    log_in(&Browser::new(&server), &issuer, &elsewhere, Wrong::Nothing)
        .await
        .leads_to("/login?refused=address_unverified");
}
