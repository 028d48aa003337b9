//! Another address, and leaving, over HTTPS.

use serde_json::{Value, json};

use crate::{
    harness::{Answer, BUSY, Client, Person, Server, browser::Browser, stories},
    notices::until_told,
};

const ME: &str = "/api/v1/me";
const EMAIL: &str = "/api/v1/me/email";

stories! {
    with BUSY;
    a_person_gets_everything_that_is_known_of_that_person_and_of_nobody_else,
    an_address_is_changed_on_a_page_by_tokens_that_were_mailed,
    a_customer_leaves_and_nothing_of_the_person_is_left_to_read,
}

async fn proved(server: &Server, person: &Person) -> Client {
    let body = json!({"method": "password", "code": person.password});
    let set = person.client.post("/api/v1/auth/step-up", body).await.expect(200);
    server.client().with_token(&set.text("access_token"))
}

fn token_in(mail: &str) -> String {
    let token = mail
        .split("Token: ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    token.expect("a token").to_owned()
}

async fn leave(client: &Client) -> Answer {
    client.send(client.request(reqwest::Method::DELETE, ME)).await
}

async fn a_person_gets_everything_that_is_known_of_that_person_and_of_nobody_else(server: Server) {
    let alice = server.customer("alice").await;
    let (first, second) = (alice.account("Household").await, alice.account("Journeys").await);
    let bob = server.customer("bob").await;
    bob.account("Secret plans").await;
    let teller = server.operator("teller").await;
    // More than one page.
    const DEPOSITS: usize = 205;
    for _ in 0..DEPOSITS {
        teller.deposit(&first, 1).await.expect(201);
    }
    until_told(&alice, "money_received", DEPOSITS).await;
    let wish = json!({"events": [{"event": "money_sent", "app": true, "mail": false}]});
    let request = alice
        .client
        .request(reqwest::Method::PUT, "/api/v1/me/notice-preferences");
    alice.client.send(request.json(&wish)).await.expect(200);
    const EXPORT: &str = "/api/v1/me/export";
    alice
        .client
        .post(EXPORT, Value::Null)
        .await
        .refused(401, "step_up_required");
    teller
        .client
        .post(EXPORT, Value::Null)
        .await
        .refused(403, "forbidden");
    let client = proved(&server, &alice).await;
    let copy = client.post(EXPORT, Value::Null).await.expect(200);
    assert!(
        copy.header("content-disposition")
            .unwrap()
            .starts_with("attachment")
    );
    let copy = copy.body;
    assert_eq!(copy["you"]["email"], alice.email);
    assert_eq!(copy["sessions"].as_array().unwrap().len(), 1);
    let accounts = copy["accounts"].as_array().unwrap();
    let of = |account: &Value| {
        let found = accounts.iter().find(|one| one["account"]["id"] == account["id"]);
        found.unwrap()["transactions"].as_array().unwrap().clone()
    };
    assert_eq!((accounts.len(), of(&second).len()), (2, 0));
    let sequences: std::collections::BTreeSet<_> = of(&first)
        .iter()
        .map(|line| line["sequence"].as_u64().unwrap())
        .collect();
    assert_eq!(sequences.len(), DEPOSITS);
    // What was told of, more than one page of it too, and by which ways.
    let notices = copy["notices"].as_array().unwrap();
    let received = notices
        .iter()
        .filter(|notice| notice["event"] == "money_received");
    assert_eq!(received.count(), DEPOSITS);
    let wishes = copy["notice_preferences"].as_array().unwrap();
    assert!(wishes.contains(&wish["events"][0]), "{wishes:?}");
    let text = copy.to_string();
    assert!(text.contains("opening cash") && !text.contains(&bob.email) && !text.contains("Secret plans"));
    server
        .mail_with(&alice.email, "everything that we know of you")
        .await;
}

async fn an_address_is_changed_on_a_page_by_tokens_that_were_mailed(server: Server) {
    let alice = server.customer("alice").await;
    let wish = json!({"new_email": "alice@new.example"});
    alice
        .client
        .post(EMAIL, wish.clone())
        .await
        .refused(401, "step_up_required");
    let client = proved(&server, &alice).await;
    let asked = client.post(EMAIL, wish).await.expect(202);
    assert_eq!(asked.body, json!({"status": "confirmation_sent"}));
    let old = token_in(&server.mail_with(&alice.email, "/email-change#token=").await);
    let new = token_in(
        &server
            .mail_with("alice@new.example", "/email-change#token=")
            .await,
    );
    let confirm = |token: &str| {
        let body = json!({"token": token});
        let client = server.client();
        async move { client.post("/api/v1/auth/email/confirm", body).await }
    };
    confirm("nobody's").await.refused(401, "invalid_credentials");
    let waiting = confirm(&new).await.expect(200);
    assert_eq!(waiting.body["status"], "waiting");
    assert!(waiting.body["effective_at"].is_string(), "{waiting:?}");
    // The other half on the page that the mail's link leads to; opening it does nothing.
    let browser = Browser::new(&server);
    client.get(ME).await.expect(200);
    let (page, answer) = ("/email-change", ("answer", "confirm"));
    browser
        .fill(page, page, &[("token", "nobody's"), answer])
        .await
        .expect(401);
    let page = browser
        .fill(page, page, &[("token", &old), answer])
        .await
        .expect(200);
    assert!(page.text.contains("The address is changed"), "{}", page.text);
    client.get(ME).await.refused(401, "token_invalid");
    let me = server.login("alice@new.example", &alice.password).await;
    assert_eq!(
        me.client.get(ME).await.expect(200).body["email"],
        "alice@new.example"
    );
}

async fn a_customer_leaves_and_nothing_of_the_person_is_left_to_read(server: Server) {
    let alice = server.customer("alice").await;
    let account = alice.account("Household").await;
    let teller = server.operator("teller").await;
    teller.deposit(&account, 500).await.expect(201);
    leave(&alice.client).await.refused(401, "step_up_required");
    let client = proved(&server, &alice).await;
    leave(&client).await.refused(409, "accounts_open");
    let close = format!("/api/v1/accounts/{}/close", account["id"].as_str().unwrap());
    client
        .post(&close, Value::Null)
        .await
        .refused(409, "account_not_empty");
    let bob = server.customer("bob").await;
    let his = bob.account("His").await;
    let alice = Person {
        client: client.clone(),
        ..alice
    };
    alice
        .transfer(&crate::harness::people::new_key(), &account, &his, 500)
        .await
        .expect(201);
    client.post(&close, Value::Null).await.expect(200);
    leave(&client).await.expect(204);
    client.get(ME).await.refused(401, "token_invalid");
    let login = json!({"email": alice.email, "password": alice.password});
    server
        .client()
        .post("/api/v1/auth/login", login)
        .await
        .refused(401, "invalid_credentials");
    server.mail_with(&alice.email, "your login is closed").await;
    // Operators see that there was somebody, and the books still balance.
    let admin = server.operator("admin").await;
    let listed = admin
        .client
        .get("/api/v1/admin/users?limit=100")
        .await
        .expect(200);
    let closed: Vec<&Value> = listed.body["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|user| user["state"] == "closed")
        .collect();
    assert_eq!(closed.len(), 1, "{listed:?}");
    assert_eq!(
        (&closed[0]["email"], &closed[0]["full_name"]),
        (&Value::Null, &json!(""))
    );
    let check = admin.client.get("/api/v1/admin/ledger/check").await.expect(200);
    assert_eq!(check.status, 200);
    let history = format!("/api/v1/accounts/{}/transactions", his["id"].as_str().unwrap());
    bob.client.get(&history).await.expect(200);
}
