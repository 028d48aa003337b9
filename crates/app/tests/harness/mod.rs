//! One bank per test, on either engine, gone afterwards. Time stands still until the test moves it.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
};

use strongroom_app::{
    Arrival, Bank, BankSettings, Clock, Credential, Cx, Error, ExposeSecret, IdentitySettings, SecretString,
    identity::{
        login::{LoginAnswer, TokenSet},
        operators::{AddOperator, OperatorAdded},
        personal::Client,
        registration::Register,
    },
    mail::{Mail, MailError, MailSink},
    money::{accounts::OpenAccount, counter::MoveCash},
};
use strongroom_crypto::{Keyring, SecretBytes, password::PoolSize, totp};
use strongroom_domain::{
    account::CustomerKind,
    id::{AccountId, MailId, RequestId},
    money::{Amount, Currency},
    principal::{Origin, Role},
    time::Timestamp,
};
pub use strongroom_store::Engine;
use strongroom_store::{Store, testing::TestDatabase};

/// A password that the policy likes.
pub const PASSWORD: &str = "quilt-harbour-lantern-58-osprey";
/// Another one.
pub const OTHER_PASSWORD: &str = "saddle+monsoon+turnip+91+cobalt";

/// Each test below, once per engine.
macro_rules! on_both_engines {
    ($($(#[$meta:meta])* async fn $name:ident($bank:ident: TestBank) $body:block)*) => {$(
        mod $name {
            use super::*;

            $(#[$meta])*
            async fn body($bank: TestBank) $body

            #[test]
            fn on_sqlite() {
                crate::harness::run(crate::harness::Engine::Sqlite, body);
            }

            #[test]
            fn on_postgres() {
                crate::harness::run(crate::harness::Engine::Postgres, body);
            }
        }
    )*};
}
pub(crate) use on_both_engines;

/// Runs a test on a bank of its own. On PostgreSQL without a server it passes, unless one is required.
pub fn run<F>(engine: Engine, body: impl FnOnce(TestBank) -> F)
where
    F: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let Some(database) = runtime.block_on(TestDatabase::make(engine)) else {
        return;
    };
    let database = Arc::new(database);
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async { body(TestBank::open(database.clone()).await).await });
    }));
    if let Ok(database) = Arc::try_unwrap(database) {
        runtime.block_on(database.remove());
    }
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// A clock that the test moves; each question moves it on by a microsecond.
#[derive(Debug)]
pub struct TestClock(AtomicI64);

impl TestClock {
    /// 2026-11-20, in microseconds.
    pub const START: i64 = 1_795_132_800_000_000;

    pub fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Keeps mails where the test reads them.
#[derive(Debug, Default)]
pub struct MemorySink {
    pub mails: Mutex<Vec<Mail>>,
    pub discarded: Mutex<Vec<MailId>>,
}

impl MailSink for MemorySink {
    fn send(&self, mail: &Mail) -> Result<(), MailError> {
        self.mails.lock().unwrap().push(mail.clone());
        Ok(())
    }

    fn discard(&self, id: MailId) {
        self.discarded.lock().unwrap().push(id);
    }
}

/// One process of the bank.
pub struct TestBank {
    pub bank: Arc<Bank>,
    pub clock: Arc<TestClock>,
    pub mails: Arc<MemorySink>,
    pub database: Arc<TestDatabase>,
    pub ring: Arc<Keyring>,
    operators_at_once: bool,
}

/// Somebody with a login.
#[derive(Debug, Clone)]
pub struct Person {
    pub email: String,
    pub password: String,
}

/// An operator after the first login.
pub struct Operator {
    pub person: Person,
    pub totp: SecretBytes,
    pub tokens: TokenSet,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

pub fn secret(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

pub fn client() -> Client {
    Client {
        address: "127.0.0.9".to_owned(),
        user_agent: "test/1".to_owned(),
        ..Client::default()
    }
}

/// A client that shows the mark that this login gave it.
pub fn client_of(tokens: &TokenSet) -> Client {
    Client {
        device: tokens.device.as_ref().map(|mark| mark.expose_secret().to_owned()),
        ..client()
    }
}

/// The secret behind an `otpauth` address, as an authenticator reads it.
pub fn secret_of(uri: &SecretString) -> SecretBytes {
    let uri = uri.expose_secret();
    let (_, rest) = uri.split_once("secret=").unwrap();
    let text = rest.split('&').next().unwrap();
    let (mut out, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for c in text.bytes() {
        let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
            .iter()
            .position(|known| *known == c)
            .unwrap();
        bits = bits << 5 | u32::try_from(value).unwrap();
        count += 5;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    SecretBytes::new(out)
}

/// The token set of an answer that must be one.
#[track_caller]
pub fn tokens(answer: LoginAnswer) -> TokenSet {
    match answer {
        LoginAnswer::Session(set) => *set,
        other => panic!("no session: {other:?}"),
    }
}

impl TestBank {
    pub async fn open(database: Arc<TestDatabase>) -> Self {
        let clock = Arc::new(TestClock(AtomicI64::new(TestClock::START)));
        let ring = Arc::new(Keyring::generate(TestClock::START));
        Self::start(database, clock, ring, false).await
    }

    async fn start(
        database: Arc<TestDatabase>,
        clock: Arc<TestClock>,
        ring: Arc<Keyring>,
        operators_at_once: bool,
    ) -> Self {
        let store = Store::open(&database.settings).await.unwrap();
        let mut identity = IdentitySettings::new("https://localhost:8443");
        identity.operators_at_once = operators_at_once;
        identity.password_pool = PoolSize {
            workers: 2,
            queue: 256,
            reserved: 8,
        };
        let settings = BankSettings {
            country: "DE".to_owned(),
            code: "50010517".to_owned(),
            time_zone: "Europe/Berlin".to_owned(),
            log_origin: "localhost/log".to_owned(),
            witnesses: Vec::new(),
            checkpoints: database.folder.join("checkpoints"),
            writer: Default::default(),
            limits: Default::default(),
            fraud: Default::default(),
            identity,
        };
        let bank = Bank::open(store, ring.clone(), &settings, clock.clone())
            .await
            .unwrap();
        let mails = Arc::new(MemorySink::default());
        bank.send_mail_by(mails.clone());
        Self {
            bank: Arc::new(bank),
            clock,
            mails,
            database,
            ring,
            operators_at_once,
        }
    }

    /// The same bank in another process: on PostgreSQL beside this one, on SQLite only after this one has ended.
    pub async fn another_process(&self) -> Self {
        Self::start(
            self.database.clone(),
            self.clock.clone(),
            self.ring.clone(),
            self.operators_at_once,
        )
        .await
    }

    pub fn is_postgres(&self) -> bool {
        self.bank.store().engine() == Engine::Postgres
    }

    pub fn anonymous(&self) -> Cx {
        Cx::anonymous(request(), self.clock.now(), Origin::Api)
    }

    /// Who shows this access token.
    pub async fn enter(&self, token: &SecretString) -> Result<Cx, Error> {
        let credential = Credential::Bearer(token.expose_secret());
        self.bank.authenticate(credential, arrival(None)).await
    }

    pub async fn register(&self, email: &str, password: &str) -> Result<(), Error> {
        let input = Register {
            email: email.to_owned(),
            password: secret(password),
            full_name: "Alice Example".to_owned(),
        };
        self.bank.register(&self.anonymous(), input).await
    }

    /// Sends what waits and gives the texts that went to an address, oldest first.
    pub async fn mails_to(&self, email: &str) -> Vec<String> {
        self.bank.send_mails().await.unwrap();
        let mails = self.mails.mails.lock().unwrap();
        mails
            .iter()
            .filter(|mail| mail.to == email)
            .map(|mail| mail.text.clone())
            .collect()
    }

    /// The token of the newest mail to an address.
    pub async fn mailed_token(&self, email: &str) -> Option<SecretString> {
        let texts = self.mails_to(email).await;
        let newest = texts.last()?;
        newest
            .lines()
            .find_map(|line| line.strip_prefix("Token: "))
            .map(secret)
    }

    pub async fn customer(&self, name: &str) -> Person {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let person = Person {
            email: format!("{name}-{number}@example.com"),
            password: PASSWORD.to_owned(),
        };
        self.register(&person.email, PASSWORD).await.unwrap();
        let token = self.mailed_token(&person.email).await.unwrap();
        self.bank
            .verify_email(&self.anonymous(), token, secret(PASSWORD))
            .await
            .unwrap();
        person
    }

    pub async fn try_login(
        &self,
        client: &Client,
        email: &str,
        password: &str,
    ) -> Result<LoginAnswer, Error> {
        self.bank
            .login(&self.anonymous(), client, email, secret(password))
            .await
    }

    pub async fn login(&self, person: &Person) -> TokenSet {
        tokens(
            self.try_login(&client(), &person.email, &person.password)
                .await
                .unwrap(),
        )
    }

    /// A customer who is logged in.
    pub async fn logged_in(&self, name: &str) -> (Person, TokenSet, Cx) {
        let person = self.customer(name).await;
        let set = self.login(&person).await;
        let cx = self.enter(&set.access_token).await.unwrap();
        (person, set, cx)
    }

    pub fn code(&self, secret: &SecretBytes) -> SecretString {
        totp::code_at(secret, totp::step_at(self.clock.now().micros()))
    }

    pub async fn add_operator(&self, role: Role, break_glass: bool) -> OperatorAdded {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let input = AddOperator {
            email: format!("{}-{number}@bank.example", role.name()),
            full_name: "Olga Operator".to_owned(),
            role,
            break_glass,
        };
        let cx = self.bank.cx_cli(0).await.unwrap();
        self.bank.add_operator(&cx, input).await.unwrap()
    }

    /// An operator who went through the first login.
    pub async fn operator(&self, role: Role) -> Operator {
        let OperatorAdded::Ready {
            email,
            password,
            totp_uri,
            ..
        } = self.add_operator(role, true).await
        else {
            panic!("no operator")
        };
        let printed = secret_of(&totp_uri);
        let answer = self
            .try_login(&client(), &email, password.expose_secret())
            .await
            .unwrap();
        let LoginAnswer::MfaRequired { mfa_token, .. } = answer else {
            panic!("{answer:?}")
        };
        let answer = self.answer_code(&mfa_token, &self.code(&printed)).await.unwrap();
        let LoginAnswer::PasswordChangeRequired { change_token } = answer else {
            panic!("{answer:?}")
        };
        let answer = self
            .bank
            .set_first_password(
                &self.anonymous(),
                &client(),
                change_token.expose_secret(),
                secret(PASSWORD),
            )
            .await
            .unwrap();
        let LoginAnswer::TotpRequired {
            otpauth_uri,
            mfa_token,
            ..
        } = answer
        else {
            panic!("{answer:?}")
        };
        let totp = secret_of(&otpauth_uri);
        let set = tokens(self.answer_code(&mfa_token, &self.code(&totp)).await.unwrap());
        let person = Person {
            email,
            password: PASSWORD.to_owned(),
        };
        Operator {
            person,
            totp,
            tokens: set,
        }
    }

    /// An operator who logs in again.
    pub async fn login_operator(&self, operator: &Operator) -> TokenSet {
        let Person { email, password } = &operator.person;
        let answer = self.try_login(&client(), email, password).await.unwrap();
        let LoginAnswer::MfaRequired { mfa_token, .. } = answer else {
            panic!("{answer:?}")
        };
        let code = self.code(&operator.totp);
        tokens(self.answer_code(&mfa_token, &code).await.unwrap())
    }

    pub async fn answer_code(&self, token: &SecretString, code: &SecretString) -> Result<LoginAnswer, Error> {
        let code = secret(code.expose_secret());
        let (cx, client) = (self.anonymous(), client());
        self.bank
            .login_by_code(&cx, &client, token.expose_secret(), code)
            .await
    }

    pub async fn account(&self, cx: &Cx) -> AccountId {
        let input = OpenAccount {
            customer: None,
            kind: CustomerKind::Checking,
            currency: Currency::EUR,
            name: "Household".to_owned(),
            overdraft: 0,
            idempotency_key: None,
        };
        self.bank.open_account(cx, input).await.unwrap().value.id
    }

    pub async fn deposit(&self, teller: &Cx, account: AccountId, minor: i64) {
        let input = MoveCash {
            account,
            amount: Amount::new(minor).unwrap(),
            currency: Currency::EUR,
            reference: Some("cash".to_owned()),
            value_date: None,
            idempotency_key: Some(key()),
        };
        self.bank.deposit(teller, input).await.unwrap();
    }
}

/// A key that no other test uses.
pub fn key() -> String {
    format!(
        "app-{}-{}",
        std::process::id(),
        NUMBER.fetch_add(1, Ordering::Relaxed)
    )
}

/// A request that came from there.
pub fn arrival(address: Option<std::net::IpAddr>) -> Arrival {
    Arrival {
        request: request(),
        origin: Origin::Api,
        address,
        certificate: None,
    }
}

fn request() -> RequestId {
    RequestId::from_bytes(strongroom_crypto::random::uuid_v7(TestClock::START))
}
