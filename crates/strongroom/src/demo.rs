//! The sample bank of `strongroom demo`: customers, accounts and a little history, made through the same use cases as
//! everything else.
//!
//! Passwords are random per data directory and lie in one file that only its owner can read. Every step has an
//! idempotency key or finds what is there, so a demo that was interrupted goes on where it stopped.

use std::{
    error::Error,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use strongroom_app::{
    Arrival, Bank, Cx,
    api_keys::{AddApiKey, KeyOwner},
    arrival::Credential,
    identity::{
        customers::{AddCustomer, FirstPassword},
        login::LoginAnswer,
        operators::{AddOperator, OperatorAdded},
        personal::Client,
    },
    money::{
        accounts::{AccountDetails, OpenAccount},
        counter::MoveCash,
        transfers::{CreateTransfer, Payee},
    },
};
use strongroom_crypto::{ExposeSecret, random};
use strongroom_domain::{
    account::CustomerKind,
    iban::Iban,
    id::{RequestId, UserId},
    money::{Amount, Currency},
    principal::{Origin, Role},
};

type Failure = Box<dyn Error + Send + Sync>;

const FILE: &str = "demo-logins.json";
const PEOPLE: &[(&str, &str)] = &[
    ("alice@example.com", "Alice Example"),
    ("bob@example.com", "Bob O'Brien"),
    ("carol@example.com", "Carol Sample"),
];
const STAFF: &[(&str, &str, Role)] = &[
    ("admin@bank.example", "Ada Admin", Role::Admin),
    ("teller@bank.example", "Theo Teller", Role::Teller),
    ("auditor@bank.example", "Aud Itor", Role::Auditor),
];
/// From, to (by position in [`PEOPLE`]), minor units, text.
const PAYMENTS: &[(usize, usize, i64, &str)] = &[
    (0, 1, 1_250, "Lunch, thanks!"),
    (1, 0, 60_000, "Rent March"),
    (2, 0, 3_499, "Concert tickets"),
    (0, 2, 899, "Coffee beans"),
    (1, 2, 12_000, "Bicycle, first half"),
    (1, 2, 12_000, "Bicycle, second half"),
    (2, 1, 450, "Parking"),
    (0, 1, 7_825, "Groceries for the party"),
];

#[derive(Serialize, Deserialize)]
struct Logins {
    customers: Vec<Login>,
    operators: Vec<FirstLogin>,
    /// Whether everything is there.
    complete: bool,
}

#[derive(Serialize, Deserialize)]
struct Login {
    email: String,
    password: String,
}

/// One-time secrets: the first login asks for a new password and a new device.
#[derive(Serialize, Deserialize)]
struct FirstLogin {
    role: String,
    email: String,
    password: String,
    totp_uri: String,
}

/// Makes the sample bank if it is not there yet; gives the file with the logins.
pub(crate) async fn prepare(bank: &Arc<Bank>, data: &Path) -> Result<PathBuf, Failure> {
    let path = data.join(FILE);
    let mut logins = match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Logins::new(),
        Err(error) => return Err(error.into()),
    };
    if logins.complete {
        return Ok(path);
    }
    write(&path, &logins)?;
    let customers = customers(bank, &logins).await?;
    let accounts = accounts(bank, &customers).await?;
    payments(bank, &logins, &accounts).await?;
    logins.operators.extend(operators(bank).await?);
    logins.complete = true;
    write(&path, &logins)?;
    Ok(path)
}

impl Logins {
    fn new() -> Self {
        let login = |(email, _): &(&str, &str)| Login {
            email: (*email).to_owned(),
            password: random::password().expose_secret().to_owned(),
        };
        Self {
            customers: PEOPLE.iter().map(login).collect(),
            operators: Vec::new(),
            complete: false,
        }
    }
}

/// Readable by its owner alone, and whole or not at all.
fn write(path: &Path, logins: &Logins) -> Result<(), Failure> {
    let part = path.with_extension("part");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&part)?;
    file.write_all(&serde_json::to_vec_pretty(logins)?)?;
    file.sync_all()?;
    Ok(std::fs::rename(part, path)?)
}

fn request() -> RequestId {
    RequestId::from_bytes(random::bytes())
}

async fn customers(bank: &Arc<Bank>, logins: &Logins) -> Result<Vec<UserId>, Failure> {
    let cx = bank.cx_cli(rustix::process::getuid().as_raw()).await?;
    let mut ids = Vec::new();
    for (login, (_, name)) in logins.customers.iter().zip(PEOPLE) {
        let input = AddCustomer {
            email: login.email.clone(),
            full_name: (*name).to_owned(),
            password: FirstPassword::Chosen(login.password.clone().into()),
        };
        match bank.add_customer(&cx, input).await {
            Ok(id) => ids.push(id),
            Err(error) if error.code == "email_taken" => ids.push(person(bank, login).await?.person()?),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(ids)
}

/// The sample bank makes itself, from within.
fn arrival() -> Arrival {
    Arrival {
        request: request(),
        origin: Origin::Job,
        address: None,
        certificate: None,
    }
}

/// The customer, logged in.
async fn person(bank: &Arc<Bank>, login: &Login) -> Result<Cx, Failure> {
    let anonymous = Cx::anonymous(request(), bank.clock().now(), Origin::Job);
    let answer = bank
        .login(
            &anonymous,
            &Client::default(),
            &login.email,
            login.password.clone().into(),
        )
        .await?;
    let LoginAnswer::Session(tokens) = answer else {
        return Err("a demo login asks for more than a password".into());
    };
    let token = Credential::Bearer(tokens.access_token.expose_secret());
    Ok(bank.authenticate(token, arrival()).await?)
}

/// Somebody at the counter, for as long as the sample bank is made.
async fn counter(bank: &Arc<Bank>) -> Result<Cx, Failure> {
    let cx = bank.cx_cli(rustix::process::getuid().as_raw()).await?;
    let scopes = ["accounts:write", "accounts:read", "deposits:write"];
    let input = AddApiKey {
        expires_at: Some(cx.now().plus_seconds(60)),
        ..AddApiKey::new(KeyOwner::Technical(Role::Teller), "sample bank", &scopes)
    };
    let added = bank.add_api_key(&cx, input).await?;
    Ok(bank
        .authenticate(Credential::ApiKey(added.key.expose_secret()), arrival())
        .await?)
}

/// What each customer has: name, kind, opening cash in minor units. The first is the one for payments.
const ACCOUNTS: &[(&str, CustomerKind, i64)] = &[
    ("Household", CustomerKind::Checking, 150_000),
    ("Rainy days", CustomerKind::Savings, 500_000),
];

/// Opens what is missing and fills what is empty; gives each customer's account for payments.
async fn accounts(bank: &Arc<Bank>, customers: &[UserId]) -> Result<Vec<AccountDetails>, Failure> {
    let teller = counter(bank).await?;
    let mut first = Vec::new();
    for customer in customers {
        let there = bank.accounts(&teller, Some(*customer), None, 10).await?;
        for (name, kind, minor) in ACCOUNTS {
            let account = match there.iter().find(|account| account.name == *name) {
                Some(account) => account.clone(),
                None => open(bank, &teller, *customer, name, *kind).await?,
            };
            if account.posted == 0 {
                let cash = MoveCash {
                    account: account.id,
                    amount: Amount::new(*minor)?,
                    currency: Currency::EUR,
                    reference: Some("Opening deposit".to_owned()),
                    value_date: None,
                    idempotency_key: Some(format!("demo-cash-{}", account.id)),
                };
                bank.deposit(&teller, cash).await?;
            }
            if *name == ACCOUNTS[0].0 {
                first.push(account);
            }
        }
    }
    Ok(first)
}

async fn open(
    bank: &Arc<Bank>,
    teller: &Cx,
    customer: UserId,
    name: &str,
    kind: CustomerKind,
) -> Result<AccountDetails, Failure> {
    let input = OpenAccount {
        customer: Some(customer),
        kind,
        currency: Currency::EUR,
        name: name.to_owned(),
        overdraft: 0,
        idempotency_key: None,
    };
    Ok(bank.open_account(teller, input).await?.value)
}

async fn payments(bank: &Arc<Bank>, logins: &Logins, accounts: &[AccountDetails]) -> Result<(), Failure> {
    for (number, (from, to, minor, text)) in PAYMENTS.iter().enumerate() {
        let (Some(login), Some(payer), Some(payee)) = (
            logins.customers.get(*from),
            accounts.get(*from),
            accounts.get(*to),
        ) else {
            return Err("a payment of the sample bank names nobody".into());
        };
        let cx = person(bank, login).await?;
        let input = CreateTransfer {
            from: payer.id,
            to: Payee::Number(Iban::parse(payee.number.as_deref().unwrap_or_default())?),
            amount: Amount::new(*minor)?,
            currency: Currency::EUR,
            description: Some((*text).to_owned()),
            idempotency_key: Some(format!("demo-payment-{number}")),
            dry_run: false,
            value_date: None,
        };
        bank.create_transfer(&cx, input).await?;
    }
    Ok(())
}

async fn operators(bank: &Arc<Bank>) -> Result<Vec<FirstLogin>, Failure> {
    let cx = bank.cx_cli(rustix::process::getuid().as_raw()).await?;
    let mut made = Vec::new();
    for (email, name, role) in STAFF {
        let input = AddOperator {
            email: (*email).to_owned(),
            full_name: (*name).to_owned(),
            role: *role,
            break_glass: false,
        };
        match bank.add_operator(&cx, input).await {
            Ok(OperatorAdded::Ready {
                email,
                password,
                totp_uri,
                ..
            }) => made.push(FirstLogin {
                role: role.name().to_owned(),
                email,
                password: password.expose_secret().to_owned(),
                totp_uri: totp_uri.expose_secret().to_owned(),
            }),
            Ok(OperatorAdded::Requested { .. }) => {}
            // Made before an interruption; its secrets are lost, as one-time secrets are.
            Err(error) if error.kind == strongroom_app::Kind::Conflict => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(made)
}
