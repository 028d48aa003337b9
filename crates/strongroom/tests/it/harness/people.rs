//! People of a story: customers who registered, operators who went through their first login.

use crate::harness::wait::awaited;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::{Answer, Client, Server};

/// Long and random enough for the policy; every person of a story has it with a name in front.
const PASSWORD: &str = "quilt-harbour-lantern-58-osprey";
static KEYS: AtomicU32 = AtomicU32::new(0);

/// Somebody who is logged in.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    /// With the person's token.
    pub(crate) client: Client,
    /// The address.
    pub(crate) email: String,
    /// The password.
    pub(crate) password: String,
    /// The token set of the login.
    pub(crate) tokens: Value,
}

/// A key that no other test uses.
pub(crate) fn new_key() -> String {
    format!(
        "it-{}-{}",
        std::process::id(),
        KEYS.fetch_add(1, Ordering::Relaxed)
    )
}

/// A moment so many minutes from now, as requests write it.
#[expect(
    clippy::disallowed_methods,
    reason = "the server runs by the clock of this machine"
)]
pub(crate) fn in_minutes(minutes: i64) -> String {
    (jiff::Timestamp::now() + jiff::SignedDuration::from_mins(minutes)).to_string()
}

impl Server {
    /// Registers a customer, reads the mail, verifies, logs in.
    pub(crate) async fn customer(&self, name: &str) -> Person {
        let client = self.visitor();
        let (email, password) = (format!("{name}@example.com"), format!("{name}-{PASSWORD}"));
        let body = json!({"email": email, "password": password, "full_name": format!("{name} Example")});
        client.post("/api/v1/auth/register", body).await.expect(202);
        let token = self.mailed_token(&email).await;
        let body = json!({"token": token, "password": password});
        client.post("/api/v1/auth/verify-email", body).await.expect(204);
        self.login(&email, &password).await
    }

    /// Logs a customer in.
    pub(crate) async fn login(&self, email: &str, password: &str) -> Person {
        let client = self.visitor();
        let tokens = client
            .post(
                "/api/v1/auth/login",
                json!({"email": email, "password": password}),
            )
            .await
            .expect(200);
        Person {
            client: client.with_token(&tokens.text("access_token")),
            email: email.to_owned(),
            password: password.to_owned(),
            tokens: tokens.body,
        }
    }

    /// The token of the newest mail to an address.
    pub(crate) async fn mailed_token(&self, email: &str) -> String {
        awaited("a mail with a token", async || self.newest_token(email)).await
    }

    /// The newest mail to an address that holds this text.
    pub(crate) async fn mail_with(&self, email: &str, text: &str) -> String {
        awaited("a mail", async || {
            let mut mails = self.mails_to(email).into_iter();
            mails.find(|mail| mail.contains(text))
        })
        .await
    }

    /// The mails to an address, lines joined, newest first.
    pub(crate) fn mails_to(&self, email: &str) -> Vec<String> {
        let mut mails: Vec<_> = std::fs::read_dir(self.outbox())
            .map(|entries| entries.filter_map(Result::ok).collect())
            .unwrap_or_default();
        // Asked once for each: mails come while they are sorted.
        mails.sort_by_cached_key(|entry| {
            std::cmp::Reverse(entry.metadata().and_then(|meta| meta.modified()).ok())
        });
        mails
            .iter()
            .filter_map(|entry| std::fs::read_to_string(entry.path()).ok())
            .filter(|text| {
                text.lines()
                    .any(|line| line.starts_with("To:") && line.contains(email))
            })
            .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }

    fn newest_token(&self, email: &str) -> Option<String> {
        let mut mails: Vec<_> = std::fs::read_dir(self.outbox())
            .ok()?
            .filter_map(Result::ok)
            .collect();
        // Asked once for each: mails come while they are sorted.
        mails.sort_by_cached_key(|entry| {
            std::cmp::Reverse(entry.metadata().and_then(|meta| meta.modified()).ok())
        });
        mails.iter().find_map(|entry| {
            let text = std::fs::read_to_string(entry.path()).ok()?;
            let to_it = text
                .lines()
                .any(|line| line.starts_with("To:") && line.contains(email));
            let token = text.lines().find_map(|line| line.strip_prefix("Token: "))?;
            to_it.then(|| token.trim().to_owned())
        })
    }

    /// Makes an operator by the command line and goes through the first login.
    pub(crate) async fn operator(&self, role: &str) -> Person {
        let email = format!("{role}-{}@bank.example", KEYS.fetch_add(1, Ordering::Relaxed));
        let arguments = [
            "operator", "add", "--email", &email, "--name", role, "--role", role, "--json",
        ];
        let (ok, out, err) = self.cli(&arguments);
        assert!(ok, "{out}{err}");
        let made: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("no JSON: {out}{err}"));
        let client = self.visitor();
        let text = |value: &Value, name: &str| {
            value[name]
                .as_str()
                .unwrap_or_else(|| panic!("no {name}: {value}"))
                .to_owned()
        };
        let login = json!({"email": email, "password": text(&made, "password")});
        let first = client.post("/api/v1/auth/login", login).await.expect(200);
        let code = code_of(&text(&made, "totp_uri"));
        let body = json!({"mfa_token": first.text("mfa_token"), "method": "totp", "code": code});
        let change = client.post("/api/v1/auth/login/mfa", body).await.expect(200);
        assert_eq!(change.body["status"], "password_change_required", "{change:?}");
        let password = format!("{role}-{PASSWORD}");
        let body = json!({"change_token": change.text("change_token"), "new_password": password});
        let totp = client
            .post("/api/v1/auth/password/change", body)
            .await
            .expect(200);
        let code = code_of(&totp.text("otpauth_uri"));
        let body = json!({"mfa_token": totp.text("mfa_token"), "method": "totp", "code": code});
        let tokens = client.post("/api/v1/auth/login/mfa", body).await.expect(200);
        // Support asks for a reason.
        let client = client.with_reason((role == "support").then_some("ticket 1042"));
        Person {
            client: client.with_token(&tokens.text("access_token")),
            email,
            password,
            tokens: tokens.body,
        }
    }
}

/// The code that an authenticator app would show now, by another implementation than the server's.
pub(crate) fn code_of(uri: &str) -> String {
    totp_rs::Totp::from_url(uri)
        .expect("a URI that authenticator apps read")
        .generate_current()
        .to_string()
}

/// The code that it will show next: it counts already, and follows one that was just used.
#[expect(
    clippy::disallowed_methods,
    reason = "an authenticator has a clock of its own"
)]
pub(crate) fn next_code_of(uri: &str) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    totp_rs::Totp::from_url(uri)
        .expect("a URI that authenticator apps read")
        .generate(now.as_secs() + 30)
        .to_string()
}

/// Says `approve` or `reject` to what waits for a second person.
pub(crate) async fn decide(checker: &Person, approval: &str, verb: &str) -> Answer {
    let path = format!("/api/v1/admin/approvals/{approval}/{verb}");
    checker.client.post(&path, json!({"reason": "looked at"})).await
}

impl Person {
    /// Its id.
    pub(crate) async fn id(&self) -> String {
        self.client.get("/api/v1/me").await.expect(200).text("id")
    }

    /// Opens an account in euros.
    pub(crate) async fn account(&self, name: &str) -> Value {
        self.account_in(name, "EUR").await
    }

    /// Opens an account in a currency.
    pub(crate) async fn account_in(&self, name: &str, currency: &str) -> Value {
        let body = json!({"kind": "checking", "currency": currency, "name": name});
        self.client
            .post_once("/api/v1/accounts", &new_key(), body)
            .await
            .expect(201)
            .body
    }

    /// As a teller: books cash into an account.
    pub(crate) async fn deposit(&self, account: &Value, minor: i64) -> Answer {
        let body = json!({"account_id": account["id"], "amount": {"amount": minor, "currency": account["currency"]},
            "reference": "opening cash"});
        self.client.post_once("/api/v1/deposits", &new_key(), body).await
    }

    /// Sends a transfer between two accounts under a key.
    pub(crate) async fn transfer(&self, key: &str, from: &Value, to: &Value, minor: i64) -> Answer {
        self.client
            .post_once("/api/v1/transfers", key, transfer_body(from, to, minor))
            .await
    }

    /// The posted balance of an account, minor units.
    pub(crate) async fn posted(&self, account: &Value) -> i64 {
        let id = account["id"].as_str().unwrap();
        let balance = self
            .client
            .get(&format!("/api/v1/accounts/{id}/balance"))
            .await
            .expect(200);
        balance.body["posted"].as_i64().unwrap()
    }
}

/// The body of a transfer.
pub(crate) fn transfer_body(from: &Value, to: &Value, minor: i64) -> Value {
    json!({"from_account_id": from["id"], "to_account_id": to["id"],
        "amount": {"amount": minor, "currency": from["currency"]}, "description": "rent"})
}
