//! Replays histories through the public API: accounts in parallel, each account's movements in their order.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use strongroom_api::{
    accounts::{AccountKind, OpenAccountFor},
    client::{Client, ClientError},
    money::Money,
    transfers::MoveCash,
};
use tokio::sync::Semaphore;

use super::berka::{CURRENCY, History, Movement};
use crate::{
    cli::{Common, Outcome, administer::administer, api_key},
    config,
    control::Request,
    signer::Signer,
};

/// How often a request that may succeed later is sent again.
const ATTEMPTS_MAX: u32 = 50;
/// Pause before the first repetition; it grows with each.
const PAUSE_MILLIS: u64 = 20;
/// Between two lines of progress.
const PROGRESS_SECONDS: u64 = 2;
/// The service principal may do this and nothing else.
const SCOPES: &[&str] = &["accounts:write", "accounts:read", "deposits:write"];
/// Hours that the import's key lives.
const KEY_HOURS: i64 = 24;

type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(super) fn run(common: &Common, url: Option<&str>, parallel: usize, history: History) -> Outcome {
    let (_, config) = config::load(common.sources(Vec::new()), &common.data_dir);
    let config = config?;
    let url = url.map_or_else(|| config.server.public_url.to_string(), str::to_owned);
    let made = |name: &str, scopes: &[&str]| {
        administer(
            common,
            Request::ApiKeyAdd(api_key::Add::service(name, scopes, KEY_HOURS)),
        )
    };
    let key = made("berka import", SCOPES)?;
    // Nobody books cash on accounts of one's own: another technical user holds them, whose key nobody gets to see.
    let holder = made("berka accounts", &["accounts:read"])?;
    let text = |of: &serde_json::Value, name: &str| {
        of[name]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| format!("no {name} was made at once: the sample history is for development"))
    };
    let authority = std::fs::read(common.data_dir.join("tls").join("ca.pem"))?;
    drop(crate::tls::provider().install_default());
    let signer = Signer::new(text(&key, "id")?, text(&key, "signing_secret")?.into());
    let client = Client::new(&url, &authority, &text(&key, "key")?)?.signing(Arc::new(signer));
    let owner = text(&holder, "owner_id")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(replay(client, owner, parallel, history))
}

/// What all accounts share.
struct Shared {
    client: Client,
    owner: String,
    places: Semaphore,
    done: AtomicUsize,
}

async fn replay(client: Client, owner: String, parallel: usize, history: History) -> Outcome {
    let (accounts, movements) = (history.len(), history.values().map(Vec::len).sum::<usize>());
    println!("replaying {movements} transactions of {accounts} accounts");
    let shared = Arc::new(Shared {
        client,
        owner,
        places: Semaphore::new(parallel),
        done: AtomicUsize::new(0),
    });
    let started = Instant::now();
    let progress = tokio::spawn(tell(shared.clone(), movements));
    let mut tasks = tokio::task::JoinSet::new();
    for (number, movements) in history {
        let shared = shared.clone();
        tasks.spawn(async move { shared.account(number, &movements).await });
    }
    let (mut compared, mut differences) = (0, 0);
    while let Some(finished) = tasks.join_next().await {
        let (same, different) = finished??;
        compared += same + different;
        differences += different;
    }
    progress.abort();
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "booked {movements} transactions in {seconds:.1} s, compared {compared} balances, differences: {differences}"
    );
    if differences > 0 || compared != movements {
        return Err(format!("{differences} balances differ, {compared} of {movements} were compared").into());
    }
    Ok(())
}

async fn tell(shared: Arc<Shared>, movements: usize) {
    let mut tick = tokio::time::interval(Duration::from_secs(PROGRESS_SECONDS));
    loop {
        tick.tick().await;
        println!("  {} of {movements}", shared.done.load(Ordering::Relaxed));
        drop(std::io::stdout().flush());
    }
}

impl Shared {
    /// Opens an account, books its movements one after the other, and compares. Gives (same, different).
    async fn account(&self, number: u64, movements: &[Movement]) -> Result<(usize, usize), Failure> {
        let lowest = movements
            .iter()
            .map(|movement| movement.balance_after)
            .min()
            .unwrap_or(0);
        let body = OpenAccountFor {
            customer_id: self.owner.clone(),
            kind: AccountKind::Checking,
            currency: CURRENCY.to_owned(),
            name: format!("Account {number}"),
            // The bank let some accounts go below zero; how far, only the history tells.
            overdraft: (lowest < 0).then(|| money(-lowest)),
        };
        let key = format!("berka-account-{number}");
        let account = self
            .insist(async || self.client.open_account_for(&key, &body).await)
            .await?;
        for movement in movements {
            self.book(&account.id, movement).await?;
            self.done.fetch_add(1, Ordering::Relaxed);
        }
        self.compare(number, &account.id, movements).await
    }

    async fn book(&self, account: &str, movement: &Movement) -> Result<(), Failure> {
        let body = MoveCash {
            account_id: account.to_owned(),
            amount: money(movement.amount.abs()),
            reference: Some(movement.reference.clone()).filter(|text| !text.is_empty()),
            value_date: Some(movement.date.clone()),
        };
        let key = format!("berka-{}", movement.number);
        if movement.amount > 0 {
            self.insist(async || self.client.deposit(&key, &body).await)
                .await?;
        } else {
            self.insist(async || self.client.withdraw(&key, &body).await)
                .await?;
        }
        Ok(())
    }

    /// Holds every balance that was booked against the bank's own, newest first.
    async fn compare(
        &self,
        number: u64,
        account: &str,
        movements: &[Movement],
    ) -> Result<(usize, usize), Failure> {
        let (mut same, mut different, mut cursor) = (0, 0, None);
        let mut expected = movements.iter().rev();
        loop {
            let page = self
                .insist(async || self.client.history(account, cursor.as_deref()).await)
                .await?;
            for line in &page.data {
                match expected.next() {
                    Some(movement)
                        if (movement.balance_after, movement.amount, movement.date.as_str())
                            == (line.balance_after, line.amount.amount, line.value_date.as_str()) =>
                    {
                        same += 1;
                    }
                    Some(movement) => {
                        different += 1;
                        println!(
                            "account {number}, transaction {}: the bank booked {}, we {}",
                            movement.number, movement.balance_after, line.balance_after
                        );
                    }
                    None => different += 1,
                }
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok((same, different + expected.count()));
            }
        }
    }

    /// Sends a request until it is decided. The same key makes repeating safe.
    async fn insist<T, F>(&self, request: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let mut attempt = 0;
        loop {
            let answer = {
                let _place = self.places.acquire().await?;
                request().await
            };
            match answer {
                Ok(value) => return Ok(value),
                Err(error) if error.is_transient() && attempt < ATTEMPTS_MAX => {
                    attempt += 1;
                    tokio::time::sleep(Duration::from_millis(PAUSE_MILLIS * u64::from(attempt))).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn money(minor: i64) -> Money {
    Money {
        amount: minor,
        currency: CURRENCY.to_owned(),
    }
}
