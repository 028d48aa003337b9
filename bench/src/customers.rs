//! The people of a measurement, made through the API as anybody is: customers who register, verify and log in, their
//! accounts, and a teller who brings the first money.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use strongroom_app::{Clock, SystemClock};
use strongroom_crypto::{ExposeSecret, SecretBytes, random, totp};
use strongroom_domain::text::hex;

use crate::{
    client::{Connection, Request, Sender, Target},
    draw::{Draw, Pairs},
    outcome::Outcome,
    server::{Program, Server},
};

/// Customers; each has one session.
const CUSTOMERS: usize = 16;
/// Accounts of each.
const ACCOUNTS_EACH: usize = 64;
/// All accounts.
pub(crate) const ACCOUNTS: usize = CUSTOMERS * ACCOUNTS_EACH;
/// What each account gets at first, in cents: more than a measurement can spend.
const OPENING_CENTS: i64 = 100_000_000;
/// An access token lives for fifteen minutes; a measurement begins with one that has most of it left.
const TOKEN_AGE_MAX: Duration = Duration::from_secs(300);
/// Most accounts on one page of a list.
const PAGE: usize = 100;
/// How long a mail may take to be written.
const MAIL_SECS_MAX: u64 = 20;

/// Somebody who can log in.
struct Customer {
    email: String,
    password: String,
    token: String,
}

/// Everybody, and every account by position: the first [`ACCOUNTS_EACH`] are the first customer's.
pub(crate) struct Customers {
    people: Vec<Customer>,
    accounts: Vec<String>,
    logged_in: Instant,
}

/// Says what went wrong, with the code of the answer.
struct Caller {
    connection: Connection,
    buffer: Vec<u8>,
}

impl Caller {
    async fn new(target: &Target) -> Outcome<Self> {
        Ok(Self {
            connection: target.connect().await?,
            buffer: Vec::new(),
        })
    }

    async fn send(&mut self, what: &str) -> Outcome<Value> {
        let reply = self.connection.exchange(&self.buffer).await?;
        if !(200..300).contains(&reply.status) {
            let code = self.connection.code(&reply);
            let body = String::from_utf8_lossy(self.connection.body(&reply)).into_owned();
            return Err(format!("{what} was answered with {} {code}: {body}", reply.status).into());
        }
        let body = self.connection.body(&reply);
        Ok(if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(body)?
        })
    }

    async fn get(&mut self, path: &str, token: &str) -> Outcome<Value> {
        Request::new("GET", path, Some(token)).empty(&mut self.buffer);
        self.send(path).await
    }

    /// Every request has a key of its own; verbs that take none do not look at it.
    async fn post(&mut self, path: &str, token: Option<&str>, body: &Value) -> Outcome<Value> {
        let key = hex(&random::bytes::<16>());
        let keyed = token.is_some().then_some(key.as_str());
        Request::new("POST", path, token).json(keyed, &body.to_string(), &mut self.buffer);
        self.send(path).await
    }
}

impl Customers {
    /// Makes everybody on a server that has just been started for the first time. The teller was made before, by the
    /// command line.
    pub(crate) async fn make(program: &Program, server: &Server, teller: &Teller) -> Outcome<Self> {
        let mut caller = Caller::new(&server.target).await?;
        let mut people = Vec::with_capacity(CUSTOMERS);
        for number in 0..CUSTOMERS {
            let email = format!("customer-{number}@example.org");
            let password = random::password().expose_secret().to_owned();
            let body =
                json!({"email": email, "password": password, "full_name": format!("Customer {number}")});
            caller.post("/api/v1/auth/register", None, &body).await?;
            people.push(Customer {
                email,
                password,
                token: String::new(),
            });
        }
        for person in &people {
            let token = mailed_token(&program.data().join("outbox"), &person.email).await?;
            let body = json!({"token": token, "password": person.password});
            caller.post("/api/v1/auth/verify-email", None, &body).await?;
        }
        let mut customers = Self {
            people,
            accounts: Vec::with_capacity(ACCOUNTS),
            logged_in: Instant::now(),
        };
        customers.log_in(&mut caller).await?;
        let teller = teller.log_in(&mut caller).await?;
        customers.open(server, &teller).await?;
        Ok(customers)
    }

    async fn log_in(&mut self, caller: &mut Caller) -> Outcome<()> {
        for person in &mut self.people {
            let body = json!({"email": person.email, "password": person.password});
            let answer = caller.post("/api/v1/auth/login", None, &body).await?;
            person.token = text(&answer, "access_token")?;
        }
        self.logged_in = Instant::now();
        Ok(())
    }

    /// Logs everybody in again where the tokens have grown old.
    pub(crate) async fn refresh(&mut self, server: &Server) -> Outcome<()> {
        if self.logged_in.elapsed() > TOKEN_AGE_MAX {
            self.log_in(&mut Caller::new(&server.target).await?).await?;
        }
        Ok(())
    }

    /// Everybody's access token.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = &str> {
        self.people.iter().map(|person| person.token.as_str())
    }

    /// Opens the accounts and pays in, a connection per customer at once.
    async fn open(&mut self, server: &Server, teller: &str) -> Outcome<()> {
        let mut tasks = Vec::new();
        for person in &self.people {
            let (target, own, teller) = (server.target.clone(), person.token.clone(), teller.to_owned());
            tasks.push(tokio::spawn(async move {
                let mut caller = Caller::new(&target).await?;
                let mut ids = Vec::with_capacity(ACCOUNTS_EACH);
                for number in 0..ACCOUNTS_EACH {
                    let body =
                        json!({"kind": "checking", "currency": "EUR", "name": format!("Account {number}")});
                    let account = caller.post("/api/v1/accounts", Some(&own), &body).await?;
                    let id = text(&account, "id")?;
                    let body =
                        json!({"account_id": id, "amount": {"amount": OPENING_CENTS, "currency": "EUR"}});
                    caller.post("/api/v1/deposits", Some(&teller), &body).await?;
                    ids.push(id);
                }
                Outcome::Ok(ids)
            }));
        }
        for task in tasks {
            self.accounts.extend(task.await??);
        }
        Ok(())
    }

    /// What writes one transfer of a cent after another: accounts as drawn, each under its owner's token and a random
    /// key.
    pub(crate) fn transfers(&self, pairs: Pairs, seed: u64) -> impl FnMut(&mut Vec<u8>) + Send + 'static {
        let heads = self.heads("POST", |_| "/api/v1/transfers".to_owned());
        let accounts = self.accounts.clone();
        let mut draw = Draw::new(seed);
        move |out| {
            let (from, to) = pairs.next(&mut draw);
            let body = format!(
                r#"{{"from_account_id":"{}","to_account_id":"{}","amount":{{"amount":1,"currency":"EUR"}}}}"#,
                accounts[from], accounts[to]
            );
            let key = format!("{:032x}", draw.wide());
            heads[from / ACCOUNTS_EACH].json(Some(&key), &body, out);
        }
    }

    /// What writes one batch after another of so many transfers of a cent, all of one customer, each on its own.
    pub(crate) fn batches(
        &self,
        pairs: Pairs,
        seed: u64,
        items: usize,
    ) -> impl FnMut(&mut Vec<u8>) + Send + 'static {
        let heads = self.heads("POST", |_| "/api/v1/transfers/batch".to_owned());
        let accounts = self.accounts.clone();
        let mut draw = Draw::new(seed);
        move |out| {
            let (first, _) = pairs.next(&mut draw);
            let customer = first / ACCOUNTS_EACH;
            let mut body = String::from(r#"{"mode":"independent","transfers":["#);
            for item in 0..items {
                let (from, to) = pairs.next(&mut draw);
                let from = customer * ACCOUNTS_EACH + from % ACCOUNTS_EACH;
                let to = if to == from { (to + 1) % ACCOUNTS } else { to };
                let comma = if item == 0 { "" } else { "," };
                body.push_str(&format!(
                    r#"{comma}{{"from_account_id":"{}","to_account_id":"{}","amount":{{"amount":1,"currency":"EUR"}}}}"#,
                    accounts[from], accounts[to]
                ));
            }
            body.push_str("]}");
            let key = format!("{:032x}", draw.wide());
            heads[customer].json(Some(&key), &body, out);
        }
    }

    /// What asks for one balance after another.
    pub(crate) fn balances(&self, pairs: Pairs, seed: u64) -> impl FnMut(&mut Vec<u8>) + Send + 'static {
        let requests: Vec<Vec<u8>> = self
            .accounts
            .iter()
            .enumerate()
            .map(|(index, id)| {
                let mut out = Vec::new();
                let token = &self.people[index / ACCOUNTS_EACH].token;
                Request::new("GET", &format!("/api/v1/accounts/{id}/balance"), Some(token)).empty(&mut out);
                out
            })
            .collect();
        let mut draw = Draw::new(seed);
        move |out| {
            out.clear();
            out.extend_from_slice(&requests[pairs.one(&mut draw)]);
        }
    }

    /// What logs one customer in after another, each with the right password on a device that is new.
    pub(crate) fn logins(&self, first: usize) -> impl FnMut(&mut Vec<u8>) + Send + 'static {
        let requests: Vec<Vec<u8>> = self
            .people
            .iter()
            .map(|person| {
                let mut out = Vec::new();
                let body = json!({"email": person.email, "password": person.password}).to_string();
                Request::new("POST", "/api/v1/auth/login", None).json(None, &body, &mut out);
                out
            })
            .collect();
        let mut next = first;
        move |out| {
            out.clear();
            out.extend_from_slice(&requests[next % requests.len()]);
            next += 1;
        }
    }

    /// As many sessions, each with the token that renews it.
    pub(crate) async fn sessions(&self, server: &Server, count: usize) -> Outcome<Vec<Renewing>> {
        let mut caller = Caller::new(&server.target).await?;
        let mut sessions = Vec::with_capacity(count);
        for person in self.people.iter().cycle().take(count) {
            let body = json!({"email": person.email, "password": person.password});
            let answer = caller.post("/api/v1/auth/login", None, &body).await?;
            sessions.push(Renewing {
                head: Request::new("POST", "/api/v1/auth/refresh", None),
                token: text(&answer, "refresh_token")?,
            });
        }
        Ok(sessions)
    }

    fn heads(&self, method: &str, path: impl Fn(usize) -> String) -> Vec<Request> {
        self.people
            .iter()
            .enumerate()
            .map(|(index, person)| Request::new(method, &path(index), Some(&person.token)))
            .collect()
    }

    /// The sum of all customers' balances is what was paid in, and no account is in debt. Gives the first account's
    /// balance.
    pub(crate) async fn check_sums(&self, server: &Server) -> Outcome<i64> {
        let mut caller = Caller::new(&server.target).await?;
        let (mut sum, mut count, mut first) = (0, 0, 0);
        for person in &self.people {
            let mut cursor = String::new();
            loop {
                let path = format!("/api/v1/accounts?limit={PAGE}{cursor}");
                let page = caller.get(&path, &person.token).await?;
                for account in page["data"].as_array().ok_or("a list without data")? {
                    let posted = account["balance"]["posted"]
                        .as_i64()
                        .ok_or("an account without balance")?;
                    if posted < 0 {
                        return Err("an account without overdraft is in debt".into());
                    }
                    if account["id"] == self.accounts[0].as_str() {
                        first = posted;
                    }
                    sum += posted;
                    count += 1;
                }
                match page["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
        }
        let expected = OPENING_CENTS * i64::try_from(ACCOUNTS)?;
        if sum == expected && count == ACCOUNTS {
            Ok(first)
        } else {
            Err(format!("the books are off: {count} accounts hold {sum} instead of {expected}").into())
        }
    }
}

/// A session that is renewed again and again, each time with the token of the answer before.
pub(crate) struct Renewing {
    head: Request,
    token: String,
}

impl Sender for Renewing {
    fn next(&mut self, out: &mut Vec<u8>) {
        let body = format!(r#"{{"refresh_token":"{}"}}"#, self.token);
        self.head.json(None, &body, out);
    }

    fn answered(&mut self, body: &[u8]) {
        let answer: Value = serde_json::from_slice(body).unwrap_or_default();
        // Without a token in it the next request shows an old one, and is counted as what it then is: refused.
        self.token = text(&answer, "refresh_token").unwrap_or_default();
    }
}

/// An operator's first secrets, as the command line prints them.
pub(crate) struct Teller {
    email: String,
    password: String,
    uri: String,
}

impl Teller {
    /// Makes a teller while no server runs.
    pub(crate) fn make(program: &Program) -> Outcome<Self> {
        let email = "teller@example.org";
        let output = program
            .verb(&[
                "operator", "add", "--email", email, "--name", "Teller", "--role", "teller", "--json",
            ])
            .output()?;
        if !output.status.success() {
            return Err(format!("no teller: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        let secrets: Value = serde_json::from_slice(&output.stdout)?;
        Ok(Self {
            email: email.to_owned(),
            password: text(&secrets, "password")?,
            uri: text(&secrets, "totp_uri")?,
        })
    }

    /// The first login: printed secrets, new password, new device.
    async fn log_in(&self, caller: &mut Caller) -> Outcome<String> {
        let body = json!({"email": self.email, "password": self.password});
        let answer = caller.post("/api/v1/auth/login", None, &body).await?;
        let body =
            json!({"mfa_token": text(&answer, "mfa_token")?, "method": "totp", "code": code(&self.uri)?});
        let answer = caller.post("/api/v1/auth/login/mfa", None, &body).await?;
        let new = random::password().expose_secret().to_owned();
        let body = json!({"change_token": text(&answer, "change_token")?, "new_password": new});
        let answer = caller.post("/api/v1/auth/password/change", None, &body).await?;
        let device = code(&text(&answer, "otpauth_uri")?)?;
        let body = json!({"mfa_token": text(&answer, "mfa_token")?, "method": "totp", "code": device});
        let answer = caller.post("/api/v1/auth/login/mfa", None, &body).await?;
        text(&answer, "access_token")
    }
}

/// The code of this moment for the secret in an `otpauth` URI.
fn code(uri: &str) -> Outcome<String> {
    let (_, rest) = uri.split_once("secret=").ok_or("a device without secret")?;
    let secret = base32(rest.split('&').next().unwrap_or_default())?;
    let step = totp::step_at(SystemClock.now().micros());
    Ok(totp::code_at(&SecretBytes::from(secret), step)
        .expose_secret()
        .to_owned())
}

/// RFC 4648, without padding.
fn base32(text: &str) -> Outcome<Vec<u8>> {
    let (mut bytes, mut bits, mut value) = (Vec::new(), 0_u32, 0_u32);
    for letter in text.trim_end_matches('=').bytes() {
        let digit = match letter.to_ascii_uppercase() {
            letter @ b'A'..=b'Z' => letter - b'A',
            digit @ b'2'..=b'7' => digit - b'2' + 26,
            _ => return Err("not base 32".into()),
        };
        value = (value << 5 | u32::from(digit)) & 0xfff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(value >> bits & 0xff)?);
        }
    }
    Ok(bytes)
}

/// Waits for a mail to somebody and takes the token out of it.
async fn mailed_token(outbox: &Path, email: &str) -> Outcome<String> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(MAIL_SECS_MAX) {
        for entry in std::fs::read_dir(outbox).into_iter().flatten().flatten() {
            let mail = std::fs::read_to_string(entry.path()).unwrap_or_default();
            let token = mail.lines().find_map(|line| line.strip_prefix("Token: "));
            if let Some(token) = token.filter(|_| mail.contains(email)) {
                return Ok(token.trim().to_owned());
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(format!("no mail to {email} within {MAIL_SECS_MAX} s").into())
}

fn text(value: &Value, name: &str) -> Outcome<String> {
    let found = value[name].as_str().map(str::to_owned);
    found.ok_or_else(|| format!("an answer without `{name}`: {value}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_32_is_read_as_the_standard_writes_it() {
        assert_eq!(base32("MZXW6YTBOI").expect("it is well"), b"foobar");
        assert_eq!(base32("MZXW6===").expect("it is well"), b"foo");
        assert!(base32("M1").is_err());
    }
}
