//! Bytes that are hashed into the log: they never change, or every proof ever given stops verifying. The expected
//! digests were computed outside this code, from the layout as it is written here.

use super::desk::EUR;
use crate::{
    account::SystemAccount,
    audit::{CompactRange, leaf_hash},
    id::{AccountId, TransactionId},
    money::{Amount, Currency},
    time::{Date, Timestamp},
    transaction::{Entry, Transaction, TransactionKind, entries_digest},
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn transaction(kind: TransactionKind, memo: Option<[u8; 32]>) -> Transaction {
    Transaction {
        id: TransactionId::from_bytes([0x11; 16]),
        first_entry: 41,
        last_entry: 42,
        kind,
        from_account: AccountId::from_bytes([0x22; 16]),
        to_account: AccountId::from_bytes([0x33; 16]),
        amount: Amount::new(12_345).unwrap(),
        currency: EUR,
        booked_at: Timestamp::from_micros(1_700_000_000_000_001),
        value_date: Date::parse("2023-11-14").unwrap(),
        memo,
        salt: [0x55; 16],
        record: 7,
    }
}

fn entries() -> [Entry; 2] {
    let debit = Entry {
        id: 41,
        transaction: 42,
        account: AccountId::from_bytes([0x22; 16]),
        sequence: 3,
        amount: -12_345,
        currency: EUR,
        balance_after: -45,
        booked_at: Timestamp::from_micros(1_700_000_000_000_001),
        prev: Some(17),
        jump: Some(5),
    };
    let credit = Entry {
        id: 42,
        account: AccountId::from_bytes([0x33; 16]),
        sequence: 1,
        amount: 12_345,
        balance_after: 12_345,
        prev: None,
        jump: None,
        ..debit
    };
    [debit, credit]
}

#[test]
fn the_facts_of_a_transaction_never_change_their_bytes() {
    let expected = [
        &"11".repeat(16),
        "08",
        "7472616e73666572",
        &"22".repeat(16),
        &"33".repeat(16),
        "0000000000003039",
        "455552",
        "00060a24181e4001",
        "00004cdb",
        &"44".repeat(32),
    ]
    .concat();
    let facts = transaction(TransactionKind::Transfer, Some([0x44; 32])).facts();
    assert_eq!(hex(&facts), expected);
    for (kind, name) in [
        (TransactionKind::Deposit, "076465706f736974"),
        (TransactionKind::Withdrawal, "0a7769746864726177616c"),
    ] {
        let facts = hex(&transaction(kind, None).facts());
        assert_eq!(&facts[32..32 + name.len()], name);
        assert!(facts.ends_with(&"00".repeat(32)));
    }
}

#[test]
fn the_digests_of_a_transaction_never_change() {
    let entries = entries_digest(&[0x55; 16], &entries());
    assert_eq!(
        hex(&entries),
        "082102c2c7eda3c4e0f4e4a527e4eb24d6e435eb0338c6b7808a49c407774650"
    );
    let transaction = transaction(TransactionKind::Transfer, Some([0x44; 32]));
    assert_eq!(
        hex(&transaction.digest(&entries)),
        "0663092671b6fc66d491c704ef8fd5348b2b0c865c565bead126a2d3621fc10f"
    );
}

#[test]
fn every_fact_and_every_field_of_an_entry_changes_the_digest() {
    let base = transaction(TransactionKind::Transfer, Some([0x44; 32]));
    let digest = |transaction: &Transaction, salt: &[u8; 16], entries: &[Entry]| {
        transaction.digest(&entries_digest(salt, entries))
    };
    let expected = digest(&base, &base.salt, &entries());
    let facts: Vec<fn(&mut Transaction)> = vec![
        |t| t.id = TransactionId::from_bytes([0; 16]),
        |t| t.kind = TransactionKind::Deposit,
        |t| t.from_account = AccountId::from_bytes([0; 16]),
        |t| t.to_account = AccountId::from_bytes([0; 16]),
        |t| t.amount = Amount::new(1).unwrap(),
        |t| t.currency = Currency::parse("USD").unwrap(),
        |t| t.booked_at = Timestamp::from_micros(0),
        |t| t.value_date = Date::from_days(0),
        |t| t.memo = None,
        |t| t.salt = [0; 16],
    ];
    for (number, change) in facts.into_iter().enumerate() {
        let mut other = base.clone();
        change(&mut other);
        assert_ne!(digest(&other, &other.salt, &entries()), expected, "fact {number}");
    }
    let fields: Vec<fn(&mut Entry)> = vec![
        |e| e.id += 1,
        |e| e.account = AccountId::from_bytes([0; 16]),
        |e| e.sequence += 1,
        |e| e.amount += 1,
        |e| e.currency = Currency::parse("USD").unwrap(),
        |e| e.balance_after += 1,
        |e| e.booked_at = Timestamp::from_micros(0),
        |e| e.prev = Some(99),
        |e| e.jump = Some(99),
    ];
    for (number, change) in fields.into_iter().enumerate() {
        for line in 0..2 {
            let mut other = entries();
            change(&mut other[line]);
            assert_ne!(
                digest(&base, &base.salt, &other),
                expected,
                "field {number} of line {line}"
            );
        }
    }
    let [debit, credit] = entries();
    assert_ne!(digest(&base, &base.salt, &[credit, debit]), expected);
    assert_ne!(digest(&base, &base.salt, &[debit]), expected);
}

#[test]
fn the_banks_own_accounts_keep_their_ids() {
    let ids = [
        (SystemAccount::Cash, "EUR", "19c0bc4748308be3a85b370032be01e1"),
        (SystemAccount::Cash, "USD", "811fe35acbdf8398a61e69028add224a"),
        (SystemAccount::Clearing, "EUR", "951ae83c310e879386dd5dfd923f58f0"),
        (SystemAccount::Suspense, "EUR", "0aab38a37eda8db5a87946b4f3e5d13a"),
        (SystemAccount::Equity, "EUR", "c605508f41a48a4b8b751641a6f2c652"),
        (
            SystemAccount::FeeIncome,
            "EUR",
            "d09ef22d312783ef9411b16fa6a9bba2",
        ),
        (
            SystemAccount::InterestExpense,
            "EUR",
            "942ac86421ee8ce5946e7a83245a8f5e",
        ),
    ];
    for (system, code, id) in ids {
        let account = system.id(Currency::parse(code).unwrap());
        assert_eq!(hex(account.as_bytes()), id, "{} {code}", system.name());
    }
}

/// The reference tree of Certificate Transparency (RFC 6962, the same hashing as RFC 9162): eight leaves, eight roots.
#[test]
fn roots_follow_the_reference_tree() {
    let leaves: [&[u8]; 8] = [
        &[],
        &[0x00],
        &[0x10],
        &[0x20, 0x21],
        &[0x30, 0x31],
        &[0x40, 0x41, 0x42, 0x43],
        &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        &[
            0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f,
        ],
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut log = CompactRange::default();
    for (leaf, root) in leaves.into_iter().zip(roots) {
        log.append(leaf_hash(leaf), |_| ());
        assert_eq!(hex(&log.root()), root, "{} leaves", log.size());
    }
}
