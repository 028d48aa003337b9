//! A bank with people, and a history that fills more than one tile of the log.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use strongroom_app::{
    Bank, Clock, Cx, Error, Rights, SystemClock,
    api_keys::{AddApiKey, Caveats, KeyOwner},
    authority::policies::Draft,
    identity::{
        operators::{AddOperator, OperatorAdded},
        people::People,
    },
    money::{
        accounts::OpenAccount,
        counter::{Cash, MoveCash},
        payments::{CreatePayment, RefundPayment},
        transfers::{CreateTransfer, Payee},
    },
};
use strongroom_crypto::random;
use strongroom_domain::{
    account::{CustomerKind, FreezeScope},
    action::Action,
    audit::{Details, Object, Record, SignedRecord},
    id::{AccountId, GrantId, MerchantId, RequestId, TransactionId, UserId},
    ledger::Budget,
    limits::Caps,
    money::{Amount, Currency},
    principal::{Assurance, Caller, Origin, Principal, Role},
};
use strongroom_store::{NewUser, Scope, ledger::MerchantView};

use serde_json::json;

use crate::{
    place::Place,
    rows::{self, Staff},
};

pub(crate) const EUR: Currency = Currency::EUR;
/// Longest wait for something that takes well under a second.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Somebody with a data key and the role of a customer, with the record of it; a call says in which role.
pub(crate) async fn person(bank: &Bank, place: &Place) -> UserId {
    let id = UserId::from_bytes(random::uuid_v7(SystemClock.now().micros()));
    let people = People::new(bank.store().clone(), place.ring.clone());
    let (_, wrapped_key) = people.new_key(id);
    let mut tx = bank.store().write(Scope::System).await.unwrap();
    tx.insert_user(&NewUser {
        id,
        email_index: None,
        sealed_email: None,
        sealed_name: None,
        wrapped_key,
        created_at: SystemClock.now(),
    })
    .await
    .unwrap();
    let grant = GrantId::from_bytes(random::uuid_v7(SystemClock.now().micros()));
    tx.insert_grant(grant, id, Role::Customer, SystemClock.now())
        .await
        .unwrap();
    let slot = tx.next_record().await.unwrap();
    let record = Record {
        id: slot.id,
        at: SystemClock.now().max(slot.not_before),
        request: RequestId::from_bytes(random::bytes()),
        caller: Caller {
            principal: Principal::Job,
            session: None,
            origin: Origin::Job,
        },
        action: Action::UserCreate.name(),
        object: Object::User(id),
        outcome: "ok",
        policy: 1,
        details: Details::json(r#"{"role":"customer"}"#),
    };
    let mac = place.ring.audit_mac();
    let code = mac.sign(&record.canonical());
    let signed = SignedRecord::new(record, i64::from(mac.kid()), code);
    tx.append_record(&signed).await.unwrap();
    tx.commit().await.unwrap();
    id
}

/// Operators, an integration with its technical user, a policy in draft, a request that waits and limits that somebody
/// set: rows of the tables of authority and rules.
async fn authority(bank: &Arc<Bank>) -> UserId {
    let cli = bank.cx_cli(0).await.unwrap();
    let operator = |email: &str, role| AddOperator {
        email: email.to_owned(),
        full_name: "An Operator".to_owned(),
        role,
        break_glass: false,
    };
    let first = bank
        .add_operator(&cli, operator("admin@bank.example", Role::Admin))
        .await;
    let OperatorAdded::Ready { id: admin, .. } = first.unwrap() else {
        panic!("the first administrator waits for nobody");
    };
    let asked = bank
        .add_operator(&cli, operator("teller@bank.example", Role::Teller))
        .await;
    assert!(matches!(asked.unwrap(), OperatorAdded::Requested { .. }));
    let mut key = AddApiKey::new(KeyOwner::Technical(Role::Teller), "Counter", &["accounts:read"]);
    key.expires_at = Some(SystemClock.now().plus_seconds(90 * 86_400));
    key.caveats = Caveats {
        max_amount: Some((Amount::new(10_000).unwrap(), EUR)),
        payees: Some(vec![AccountId::from_bytes([7; 16])]),
        budget: Some(Budget {
            amount: Amount::new(50_000).unwrap(),
            currency: EUR,
            window_secs: 86_400,
        }),
    };
    bank.add_api_key(&cli, key).await.unwrap();
    let draft = Draft {
        name: "support-reads".to_owned(),
        text: r#"forbid (principal in Role::"support", action == Action::"key.manage", resource);"#
            .to_owned(),
        cases: Vec::new(),
    };
    bank.write_policy(&cli, None, draft).await.unwrap();
    admin
}

/// A call by somebody with a role.
pub(crate) async fn cx(bank: &Bank, user: UserId, role: Role) -> Cx {
    let rights = Rights {
        roles: vec![role],
        ..Rights::default()
    };
    let caller = Caller {
        principal: Principal::User(user),
        session: None,
        origin: Origin::Api,
    };
    Cx::new(
        caller,
        Arc::new(rights),
        Assurance::Aal2,
        RequestId::from_bytes(random::bytes()),
        SystemClock.now(),
        bank.store().epoch().await.unwrap(),
    )
}

pub(crate) async fn open_account(bank: &Bank, owner: UserId) -> AccountId {
    let input = OpenAccount {
        customer: None,
        kind: CustomerKind::Checking,
        currency: EUR,
        name: "Daily".to_owned(),
        overdraft: 0,
        idempotency_key: None,
    };
    let cx = cx(bank, owner, Role::Customer).await;
    bank.open_account(&cx, input).await.unwrap().value.id
}

/// A transfer, as a customer makes it.
pub(crate) async fn transfer(
    bank: &Bank,
    owner: UserId,
    from: AccountId,
    to: AccountId,
    minor: i64,
) -> Result<TransactionId, Error> {
    let key: [u8; 16] = random::bytes();
    let input = CreateTransfer {
        from,
        to: Payee::Account(to),
        amount: Amount::new(minor).unwrap(),
        currency: EUR,
        description: Some("rent".to_owned()),
        idempotency_key: Some(key.iter().map(|byte| format!("{byte:02x}")).collect()),
        dry_run: false,
        value_date: None,
    };
    let cx = cx(bank, owner, Role::Customer).await;
    let once = bank.create_transfer(&cx, input).await?;
    Ok(once.value.transaction.id)
}

pub(crate) async fn deposit(bank: &Bank, teller: UserId, account: AccountId, minor: i64) -> TransactionId {
    let key: [u8; 16] = random::bytes();
    let input = MoveCash {
        account,
        amount: Amount::new(minor).unwrap(),
        currency: EUR,
        reference: Some("slip".to_owned()),
        value_date: None,
        idempotency_key: Some(key.iter().map(|byte| format!("{byte:02x}")).collect()),
    };
    let cx = cx(bank, teller, Role::Teller).await;
    match bank.deposit(&cx, input).await.unwrap() {
        Cash::Booked(once) => once.value.transaction.id,
        Cash::Asked(approval) => panic!("{approval} waits for a second person"),
    }
}

/// Who is there after [`history`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct People3 {
    pub(crate) alice: UserId,
    pub(crate) bob: UserId,
    pub(crate) from: AccountId,
    pub(crate) to: AccountId,
}

/// Accounts, deposits, some hundred transfers, a refusal, freezes: more than 256 records.
pub(crate) async fn history(bank: &Bank, place: &Place) -> People3 {
    history_with(bank, place, None).await
}

/// As [`history`], with rows of every table that verification compares where somebody of the bank helps.
async fn history_with(bank: &Bank, place: &Place, staff: Option<(&Arc<Bank>, Staff)>) -> People3 {
    let alice = person(bank, place).await;
    let bob = person(bank, place).await;
    let teller = person(bank, place).await;
    let (from, to) = (open_account(bank, alice).await, open_account(bank, bob).await);
    let people = People3 { alice, bob, from, to };
    deposit(bank, teller, from, 1_000_000).await;
    let caps = Caps {
        per_transfer: Some(90_000_000),
        ..Caps::NONE
    };
    let customer = cx(bank, alice, Role::Customer).await;
    bank.set_limits(&customer, EUR, caps).await.unwrap();
    pay_and_refund(bank, place, &people).await;
    if let Some((bank, staff)) = staff {
        rows::all(bank, place, &people, staff).await;
    }
    book(bank, &people, 280).await;
    let broke = transfer(bank, bob, to, from, 900_000_000).await;
    assert_eq!(broke.unwrap_err().code, "insufficient_funds");
    let teller_cx = cx(bank, teller, Role::Teller).await;
    bank.freeze_account(&teller_cx, to, FreezeScope::Debits)
        .await
        .unwrap();
    people
}

/// Two payments from Alice to Bob, who is a merchant, and something given back of one.
async fn pay_and_refund(bank: &Bank, place: &Place, people: &People3) {
    let merchant = MerchantView {
        id: MerchantId::from_bytes(random::uuid_v7(SystemClock.now().micros())),
        account: people.to,
        owner: people.bob,
        sealed_name: None,
        created_at: SystemClock.now(),
    };
    let mut tx = bank.store().write(Scope::Operator).await.unwrap();
    tx.insert_merchant(&merchant).await.unwrap();
    let words = json!({"account": people.to.to_string(), "owner": people.bob.to_string()});
    let object = Object::Other("merchant", *merchant.id.as_bytes());
    rows::record(&mut tx, place, Action::MerchantCreate, object, words).await;
    tx.commit().await.unwrap();
    let (payer, payee) = (
        cx(bank, people.alice, Role::Customer).await,
        cx(bank, people.bob, Role::Customer).await,
    );
    for minor in [500, 600] {
        let input = CreatePayment {
            from: people.from,
            merchant: merchant.id,
            amount: Amount::new(minor).unwrap(),
            currency: EUR,
            reference: None,
            confirmed: None,
            idempotency_key: Some(format!("pay-{minor}")),
        };
        let paid = bank.create_payment(&payer, input).await.unwrap().value;
        let input = RefundPayment {
            payment: paid.payment.id,
            amount: Some((Amount::new(200).unwrap(), EUR)),
            idempotency_key: Some(format!("refund-{minor}")),
        };
        bank.refund_payment(&payee, input).await.unwrap();
    }
}

/// A number of transfers from Alice to Bob, many at a time.
pub(crate) async fn book(bank: &Bank, people: &People3, count: i64) {
    let all = (1..=count).map(|minor| transfer(bank, people.alice, people.from, people.to, minor));
    for done in join_all(all).await {
        done.unwrap();
    }
}

/// Waits until a checkpoint covers so many records.
pub(crate) async fn published(bank: &Bank, size: u64) {
    let mut news = bank.checkpoints().subscribe();
    let covered = news.wait_for(|latest| latest.as_ref().is_some_and(|latest| latest.size >= size));
    tokio::time::timeout(PATIENCE, covered).await.unwrap().unwrap();
}

/// How many records there are.
pub(crate) async fn records(place: &Place) -> u64 {
    let mut owner = place.owner_reading().await;
    let count = owner.number("SELECT count(*) FROM audit_records").await;
    owner.close().await;
    u64::try_from(count).unwrap()
}

/// A stopped bank with a history, and its newest checkpoint, which covers all of it.
pub(crate) async fn stopped_bank(place: &Place) -> People3 {
    let bank = Arc::new(place.open().await.unwrap());
    authority(&bank).await;
    let people = history(&bank, place).await;
    stop_covered(&bank, place).await;
    people
}

/// As [`stopped_bank`], with rows of every table that verification compares.
pub(crate) async fn stopped_bank_with_rows(place: &Place) {
    let bank = Arc::new(place.open().await.unwrap());
    let admin = authority(&bank).await;
    let teller = rows::teller(&bank).await;
    history_with(&bank, place, Some((&bank, Staff { admin, teller }))).await;
    stop_covered(&bank, place).await;
}

async fn stop_covered(bank: &Bank, place: &Place) {
    published(bank, records(place).await).await;
    bank.writer().close().await;
}

/// Ends a bank: nobody holds the database any more.
pub(crate) async fn stop(bank: Bank) {
    bank.writer().close().await;
    drop(bank);
}
