//! What the database itself refuses, whoever asks: the store's code is not needed for any of this.

use strongroom_domain::id::AccountId;

use crate::harness::{Kind, TestStore, deposit, id, on_both_engines, run, transfer};

/// An id as each engine writes it.
fn literal(bank: &TestStore, bytes: &[u8; 16]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    match bank.place.kind() {
        Kind::Sqlite => format!("x'{hex}'"),
        Kind::Postgres => format!("'{hex}'::uuid"),
    }
}

fn bytes(bank: &TestStore, hex: &str) -> String {
    match bank.place.kind() {
        Kind::Sqlite => format!("x'{hex}'"),
        Kind::Postgres => format!("'\\x{hex}'::bytea"),
    }
}

/// A transaction's row over the entries `first..=last`.
fn transaction(bank: &TestStore, first: i64, last: i64, from: AccountId, to: AccountId) -> String {
    let (from, to) = (literal(bank, from.as_bytes()), literal(bank, to.as_bytes()));
    let (id, salt) = (
        literal(bank, id::<()>().as_bytes()),
        bytes(bank, &"07".repeat(16)),
    );
    format!(
        "INSERT INTO transactions (last_entry, id, first_entry, kind, from_account, to_account, amount, currency, booked_at, \
         value_date, memo, salt, record) \
         VALUES ({last}, {id}, {first}, 'transfer', {from}, {to}, 5, 'EUR', 1, 1, NULL, {salt}, 1)"
    )
}

/// Entries as (id, account, amount, currency), of the transaction that ends with `last`.
fn entries(bank: &TestStore, last: i64, lines: &[(i64, AccountId, i64, &str)]) -> String {
    let rows: Vec<_> = lines
        .iter()
        .map(|(id, account, amount, currency)| {
            let account = literal(bank, account.as_bytes());
            format!("({id}, {last}, {account}, 9, {amount}, '{currency}', 1, 1, NULL, NULL)")
        })
        .collect();
    format!(
        "INSERT INTO entries (id, transaction_entry, account_id, sequence, amount, currency, balance_after, booked_at, prev, jump) \
         VALUES {}",
        rows.join(", ")
    )
}

/// Both inserts, in the order or the statement that the engine's own writer uses.
fn whole(bank: &TestStore, transaction: &str, entries: &str) -> String {
    match bank.place.kind() {
        Kind::Sqlite => format!("{transaction}; {entries}"),
        Kind::Postgres => format!("WITH posted AS ({transaction}) {entries}"),
    }
}

async fn two(bank: &mut TestStore) -> (AccountId, AccountId) {
    let ids = bank.accounts(2, 100).await;
    (ids[0], ids[1])
}

async fn assert_refused(bank: &TestStore, sql: &str, why: &str) {
    let refused = bank.place.tamper(sql).await.expect_err(sql);
    assert!(
        refused.to_lowercase().contains(why),
        "{sql}\nrefused with: {refused}"
    );
}

on_both_engines! {
    async fn entries_that_do_not_balance_are_refused(bank: TestStore) {
        let (a, b) = two(&mut bank).await;
        let head = transaction(&bank, 90_001, 90_002, a, b);
        let sql = whole(&bank, &head, &entries(&bank, 90_002, &[(90_001, a, -5, "EUR"), (90_002, b, 6, "EUR")]));
        assert_refused(&bank, &sql, "debits and credits differ").await;
        // Nor in sum over two currencies.
        let sql = whole(&bank, &head, &entries(&bank, 90_002, &[(90_001, a, -5, "EUR"), (90_002, b, 5, "USD")]));
        assert_refused(&bank, &sql, if bank.place.kind() == Kind::Sqlite { "own currency" } else { "differ" }).await;
    }

    async fn a_transaction_of_more_than_two_entries_is_summed_like_any(bank: TestStore) {
        let ids = bank.accounts(3, 100).await;
        let head = transaction(&bank, 90_001, 90_003, ids[0], ids[1]);
        let of = |last| entries(&bank, 90_003, &[(90_001, ids[0], -5, "EUR"), (90_002, ids[1], 2, "EUR"), (90_003, ids[2], last, "EUR")]);
        assert_refused(&bank, &whole(&bank, &head, &of(2)), "debits and credits differ").await;
        // The last two cancel out, and the three do not.
        assert_refused(&bank, &whole(&bank, &head, &of(-2)), "debits and credits differ").await;
        // Other tests read the same books on PostgreSQL.
        if bank.place.kind() == Kind::Sqlite {
            bank.place.tamper(&whole(&bank, &head, &of(3))).await.unwrap();
        }
    }

    async fn a_transaction_of_a_kind_that_there_is_not_is_refused(bank: TestStore) {
        let (a, b) = two(&mut bank).await;
        let head = transaction(&bank, 90_001, 90_002, a, b).replace("'transfer'", "'gift'");
        let sql = whole(&bank, &head, &entries(&bank, 90_002, &[(90_001, a, -5, "EUR"), (90_002, b, 5, "EUR")]));
        assert_refused(&bank, &sql, "check constraint").await;
    }

    async fn an_entry_in_a_currency_that_is_not_its_accounts_is_refused(bank: TestStore) {
        let (a, b) = two(&mut bank).await;
        let sql = whole(&bank, &transaction(&bank, 90_001, 90_002, a, b),
            &entries(&bank, 90_002, &[(90_001, a, -5, "USD"), (90_002, b, 5, "USD")]));
        assert_refused(&bank, &sql, if bank.place.kind() == Kind::Sqlite { "own currency" } else { "without their account" }).await;
    }

    async fn entries_without_their_transaction_are_refused(bank: TestStore) {
        let (a, b) = two(&mut bank).await;
        let sql = entries(&bank, 90_002, &[(90_001, a, -5, "EUR"), (90_002, b, 5, "EUR")]);
        assert_refused(&bank, &sql, if bank.place.kind() == Kind::Sqlite { "within its transaction" } else { "without their transaction" }).await;
    }

    async fn a_transaction_without_entries_is_refused(bank: TestStore) {
        let (a, b) = two(&mut bank).await;
        let sql = transaction(&bank, 90_001, 90_002, a, b);
        assert_refused(&bank, &sql, if bank.place.kind() == Kind::Sqlite { "foreign key" } else { "without entries" }).await;
    }

    async fn a_transaction_with_some_of_its_entries_is_refused(bank: TestStore) {
        let (a, b) = two(&mut bank).await;
        let head = transaction(&bank, 90_001, 90_003, a, b);
        let sql = whole(&bank, &head, &entries(&bank, 90_003, &[(90_001, a, -5, "EUR"), (90_003, b, 5, "EUR")]));
        let why = if bank.place.kind() == Kind::Sqlite { "debits and credits differ" } else { "without their transaction" };
        assert_refused(&bank, &sql, why).await;
    }

    async fn an_entry_of_an_account_that_is_not_there_is_refused(bank: TestStore) {
        let (a, _) = two(&mut bank).await;
        let nobody = id();
        let sql = whole(&bank, &transaction(&bank, 90_001, 90_002, a, nobody),
            &entries(&bank, 90_002, &[(90_001, a, -5, "EUR"), (90_002, nobody, 5, "EUR")]));
        assert_refused(&bank, &sql, if bank.place.kind() == Kind::Sqlite { "own currency" } else { "without their account" }).await;
    }

    async fn what_is_booked_or_logged_is_neither_changed_nor_deleted(bank: TestStore) {
        let (a, b) = two(&mut bank).await;
        bank.run_one(transfer(a, b, 1).with_key().command).await;
        for (table, column) in [
            ("entries", "amount"), ("transactions", "amount"), ("accounts", "opened_at"), ("audit_records", "at"),
            ("idempotency_outcomes", "code"),
        ] {
            for sql in [format!("UPDATE {table} SET {column} = {column}"), format!("DELETE FROM {table}")] {
                bank.place.tamper(&sql).await.expect_err(&sql);
            }
        }
        bank.place.tamper("DELETE FROM account_states").await.expect_err("states are kept");
        if bank.place.kind() == Kind::Sqlite {
            for sql in ["UPDATE audit_leaves SET leaf = leaf", "DELETE FROM audit_leaves"] {
                assert_refused(&bank, sql, "append-only").await;
            }
        } else {
            for table in ["entries", "transactions", "accounts", "account_states", "audit_records", "idempotency_outcomes", "idempotency_outcomes_1"] {
                let sql = format!("TRUNCATE {table} CASCADE");
                assert_refused(&bank, &sql, "append-only").await;
            }
            assert_refused(&bank, "DELETE FROM idempotency_outcomes_1", "append-only").await;
        }
    }

    async fn a_row_that_is_there_cannot_be_replaced(bank: TestStore) {
        let (a, b) = two(&mut bank).await;
        bank.run_one(transfer(a, b, 1).command).await;
        let last = bank.changes.transactions[0].last_entry;
        let row = entries(&bank, last, &[(last, a, 1, "EUR")]);
        let sql = match bank.place.kind() {
            Kind::Sqlite => row.replacen("INSERT", "INSERT OR REPLACE", 1),
            Kind::Postgres => format!("{row} ON CONFLICT (id) DO UPDATE SET amount = 1"),
        };
        assert_refused(&bank, &sql, "append-only").await;
    }

    async fn a_closed_account_is_empty(bank: TestStore) {
        let (a, _) = two(&mut bank).await;
        let who = literal(&bank, a.as_bytes());
        let yes = if bank.place.kind() == Kind::Sqlite { "1" } else { "true" };
        assert_refused(&bank, &format!("UPDATE account_states SET closed = {yes} WHERE account_id = {who}"), "check constraint").await;
    }

    async fn a_transaction_of_nothing_or_with_itself_is_refused(bank: TestStore) {
        let (a, b) = two(&mut bank).await;
        for (head, lines) in [
            (transaction(&bank, 90_001, 90_002, a, a), [(90_001, a, -5, "EUR"), (90_002, a, 5, "EUR")]),
            (transaction(&bank, 90_001, 90_002, a, b), [(90_001, a, 0, "EUR"), (90_002, b, 0, "EUR")]),
        ] {
            assert_refused(&bank, &whole(&bank, &head, &entries(&bank, 90_002, &lines)), "check constraint").await;
        }
    }
}

on_both_engines! { alone
    async fn a_balanced_transaction_by_hand_is_taken_so_that_the_refusals_below_mean_something(bank: TestStore) {
        let (a, b) = two(&mut bank).await;
        let sql = whole(&bank, &transaction(&bank, 90_001, 90_002, a, b),
            &entries(&bank, 90_002, &[(90_001, a, -5, "EUR"), (90_002, b, 5, "EUR")]));
        bank.place.tamper(&sql).await.unwrap();
    }

    async fn an_entry_cannot_be_added_to_a_transaction_that_is_booked(bank: TestStore) {
        let (a, b) = two(&mut bank).await;
        let sql = whole(&bank, &transaction(&bank, 90_001, 90_003, a, b),
            &entries(&bank, 90_003, &[(90_001, a, -5, "EUR"), (90_002, b, 2, "EUR"), (90_003, b, 3, "EUR")]));
        bank.place.tamper(&sql).await.unwrap();
        for late in [entries(&bank, 90_003, &[(80_000, a, 5, "EUR")]), entries(&bank, 90_003, &[(80_001, a, -5, "EUR"), (80_002, b, 5, "EUR")])] {
            bank.place.tamper(&late).await.expect_err(&late);
        }
    }

    async fn an_account_cannot_stand_below_its_floor(bank: TestStore) {
        let (a, _) = two(&mut bank).await;
        let who = literal(&bank, a.as_bytes());
        for set in ["balance = -1", "held = 101", "floor = 101", "held = -1"] {
            assert_refused(&bank, &format!("UPDATE account_states SET {set} WHERE account_id = {who}"), "check constraint").await;
        }
        bank.place.tamper(&format!("UPDATE account_states SET balance = 0 WHERE account_id = {who}")).await.unwrap();
    }
}

#[test]
fn the_database_and_its_companions_are_readable_by_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    run(Kind::Sqlite, async |mut bank: TestStore| {
        let ids = bank.accounts(1, 0).await;
        bank.run_one(deposit(ids[0], 1).command).await;
        let path = bank.place.path();
        let mut seen = 0;
        for file in std::fs::read_dir(path.parent().unwrap()).unwrap() {
            let file = file.unwrap();
            assert_eq!(
                file.metadata().unwrap().permissions().mode() & 0o777,
                0o600,
                "{:?}",
                file.path()
            );
            seen += 1;
        }
        assert_eq!(seen, 3, "the database, its log and the log's index");
    });
}
