//! One row at a time, as the owner of the database with triggers and constraints out of the way.

use crate::{
    bank::{stopped_bank, stopped_bank_with_rows},
    on_both_engines,
    owner::Owner,
    place::{Kind, Place},
};

/// What somebody does to the database, and the finding that must name it: its code and the row, where the row is a
/// number that is known beforehand.
pub(crate) struct Case {
    does: &'static str,
    sql: &'static str,
    code: &'static str,
    table: &'static str,
}

pub(crate) const fn case(
    does: &'static str,
    sql: &'static str,
    table: &'static str,
    code: &'static str,
) -> Case {
    Case {
        does,
        sql,
        code,
        table,
    }
}

/// `{e}` is an entry in the middle of the journal, `{t}` the last entry of its transaction, `{r}` a record, `{l}` a
/// leaf.
const CASES: &[Case] = &[
    case(
        "edit an amount",
        "UPDATE entries SET amount = amount - 1 WHERE id = {e}",
        "transactions",
        "unbalanced",
    ),
    case(
        "take a refund back",
        "UPDATE payments SET refunded = 0 WHERE amount = 500",
        "payments",
        "payment_changed",
    ),
    case(
        "let two payments swap what was given back of them",
        "UPDATE payments SET refunded = CASE amount WHEN 500 THEN 201 ELSE 199 END",
        "payments",
        "payment_changed",
    ),
    case(
        "delete all payments",
        "DELETE FROM payments",
        "payments",
        "payment_changed",
    ),
    case(
        "edit an amount",
        "UPDATE entries SET amount = amount - 1 WHERE id = {e}",
        "transactions",
        "transaction_changed",
    ),
    case(
        "edit a balance after",
        "UPDATE entries SET balance_after = balance_after + 1 WHERE id = {e}",
        "entries",
        "balance_wrong",
    ),
    case(
        "edit the currency",
        "UPDATE entries SET currency = 'USD' WHERE id = {e}",
        "entries",
        "entry_changed",
    ),
    case(
        "write nonsense",
        "UPDATE entries SET currency = 'no!' WHERE id = {e}",
        "entries",
        "unreadable",
    ),
    case(
        "delete an entry",
        "DELETE FROM entries WHERE id = {e}",
        "entries",
        "entry_missing",
    ),
    case(
        "delete the newest entry",
        "DELETE FROM entries WHERE id = (SELECT max(id) FROM entries)",
        "entries",
        "entry_missing",
    ),
    case(
        "insert an entry",
        "INSERT INTO entries SELECT id + 900000, transaction_entry + 900000, account_id, sequence, amount, currency, balance_after, \
         booked_at, prev, jump FROM entries WHERE id = {e}",
        "entries",
        "entry_stray",
    ),
    case(
        "reorder two entries",
        "UPDATE entries SET sequence = CASE WHEN id = {e} THEN sequence + 1 ELSE sequence - 1 END WHERE id IN ({e}, {e} + 2)",
        "transactions",
        "transaction_changed",
    ),
    case(
        "redirect a pointer",
        "UPDATE entries SET jump = 1 WHERE id = {e}",
        "entries",
        "links_wrong",
    ),
    case(
        "edit a transaction",
        "UPDATE transactions SET amount = amount + 1 WHERE last_entry = {t}",
        "transactions",
        "transaction_changed",
    ),
    case(
        "move a value date",
        "UPDATE transactions SET value_date = value_date - 1 WHERE last_entry = {t}",
        "transactions",
        "transaction_changed",
    ),
    case(
        "edit a salt",
        "UPDATE transactions SET salt = {zeros} WHERE last_entry = {t}",
        "transactions",
        "transaction_changed",
    ),
    case(
        "delete a transaction",
        "DELETE FROM transactions WHERE last_entry = {t}",
        "transactions",
        "transaction_missing",
    ),
    case(
        "delete a transaction",
        "DELETE FROM transactions WHERE last_entry = {t}",
        "entries",
        "entry_stray",
    ),
    case(
        "insert a transaction",
        "INSERT INTO transactions SELECT last_entry + 900000, {newid}, first_entry + 900000, kind, from_account, to_account, amount, currency, \
         booked_at, value_date, memo, salt, record FROM transactions WHERE last_entry = {t}",
        "transactions",
        "transaction_unrecorded",
    ),
    case(
        "edit a balance",
        "UPDATE account_states SET balance = balance + 1 WHERE account_id = {account}",
        "account_states",
        "state_balance",
    ),
    case(
        "edit the number of entries",
        "UPDATE account_states SET entries = entries - 1 WHERE account_id = {account}",
        "account_states",
        "unreadable",
    ),
    case(
        "edit the time",
        "UPDATE account_states SET last_booked_at = 1 WHERE account_id = {account}",
        "account_states",
        "state_time",
    ),
    case(
        "lift a freeze",
        "UPDATE account_states SET freezes = 0 WHERE account_id = {account}",
        "account_states",
        "state_freezes",
    ),
    case(
        "grant an overdraft",
        "UPDATE account_states SET floor = -100 WHERE account_id = {account}",
        "account_states",
        "state_floor",
    ),
    case(
        "close an account",
        "UPDATE account_states SET closed = {true} WHERE account_id = {account}",
        "account_states",
        "state_closed",
    ),
    case(
        "delete an account's state",
        "DELETE FROM account_states WHERE account_id = {account}",
        "account_states",
        "account_missing",
    ),
    case(
        "delete an account",
        "DELETE FROM accounts WHERE id = {account}",
        "accounts",
        "account_missing",
    ),
    case(
        "give an account away",
        "UPDATE accounts SET owner = (SELECT owner FROM accounts WHERE owner IS NOT NULL AND id <> {account}) WHERE id = {account}",
        "accounts",
        "account_changed",
    ),
    case(
        "give an account another number",
        "UPDATE accounts SET number = 'DE02100100100006820101' WHERE id = {account}",
        "accounts",
        "account_changed",
    ),
    case(
        "reserve money",
        "UPDATE account_states SET held = 1 WHERE account_id = {account}",
        "account_states",
        "state_held",
    ),
    case(
        "edit a record",
        "UPDATE audit_records SET outcome = 'done' WHERE id = {r}",
        "audit_records",
        "mac_wrong",
    ),
    case(
        "edit a record",
        "UPDATE audit_records SET outcome = 'done' WHERE id = {r}",
        "audit_records",
        "record_changed",
    ),
    case(
        "claim another key",
        "UPDATE audit_records SET mac_key = 77 WHERE id = {r}",
        "audit_records",
        "mac_key_unknown",
    ),
    case(
        "delete a record",
        "DELETE FROM audit_records WHERE id = {r}",
        "audit_records",
        "record_missing",
    ),
    case(
        "delete the record of a booking",
        "DELETE FROM audit_records WHERE id = {r}",
        "transactions",
        "transaction_unrecorded",
    ),
    case(
        "edit a leaf",
        "UPDATE audit_leaves SET hash = {hash} WHERE leaf = {l}",
        "audit_records",
        "record_changed",
    ),
    case(
        "delete a leaf",
        "DELETE FROM audit_leaves WHERE leaf = {l}",
        "audit_leaves",
        "leaf_missing",
    ),
    case(
        "delete a leaf",
        "DELETE FROM audit_leaves WHERE leaf = {l}",
        "audit_records",
        "record_unsealed",
    ),
    case(
        "cut the log's tail",
        "DELETE FROM audit_leaves WHERE leaf = (SELECT max(leaf) FROM audit_leaves)",
        "checkpoint",
        "checkpoint_short",
    ),
    case(
        "reorder two leaves",
        "UPDATE audit_leaves SET hash = (SELECT o.hash FROM audit_leaves o WHERE o.leaf = CASE audit_leaves.leaf WHEN {l} THEN {l} + 1 ELSE {l} END) \
         WHERE leaf IN ({l}, {l} + 1)",
        "audit_records",
        "record_changed",
    ),
    case(
        "edit an inner node",
        "UPDATE audit_nodes SET hash = {hash} WHERE level = 1 AND position = 0",
        "audit_nodes",
        "node_wrong",
    ),
    case(
        "delete an inner node",
        "DELETE FROM audit_nodes WHERE level = 1 AND position = 0",
        "audit_nodes",
        "node_missing",
    ),
    case(
        "insert an inner node",
        "INSERT INTO audit_nodes (level, position, hash) VALUES (1, 50, {hash})",
        "audit_nodes",
        "node_stray",
    ),
];

/// The row that a finding must name, where one row was changed.
fn row(case: &Case) -> &'static str {
    match case.table {
        "entries" if case.sql.contains("WHERE id = {e}") && case.code != "entry_stray" => "{e}",
        "transactions" if case.code.starts_with('u') || case.code == "transaction_changed" => "{t}",
        "audit_records" if case.sql.contains("{r}") => "{r}",
        "audit_leaves" => "{l}",
        "audit_nodes" => "1/",
        "accounts" | "account_states" => "acct_",
        "grants" | "users" | "customer_limits" => "user_",
        "passwords" | "totp_factors" | "passkeys" | "recovery_codes" | "external_logins" => "user_",
        "holds" => "hold_",
        "merchants" => "mrch_",
        "outgoing_payments" => "pay_",
        "api_keys" => "key_",
        _ => "",
    }
}

async fn fill(owner: &mut Owner, sql: &str) -> String {
    let entry = owner
        .number("SELECT id FROM entries ORDER BY id LIMIT 1 OFFSET 200")
        .await;
    let last = owner
        .number(&format!(
            "SELECT transaction_entry FROM entries WHERE id = {entry}"
        ))
        .await;
    let record = owner
        .number(&format!(
            "SELECT record FROM transactions WHERE last_entry = {last}"
        ))
        .await;
    let leaf = owner
        .number(&format!(
            "SELECT leaf FROM audit_leaves WHERE record_id = {record}"
        ))
        .await;
    // Bob's account: the one that is frozen.
    let account = "(SELECT account_id FROM account_states WHERE freezes <> 0)";
    let truth = match owner {
        Owner::Sqlite(_) => "1",
        Owner::Postgres(_) => "true",
    };
    sql.replace("{e}", &entry.to_string())
        .replace("{t}", &last.to_string())
        .replace("{r}", &record.to_string())
        .replace("{l}", &leaf.to_string())
        .replace("{account}", account)
        .replace("{true}", truth)
        .replace("{zero}", &owner.id(&[0; 16]))
        .replace("{zeros}", &owner.bytes(&[0; 16]))
        .replace("{hash}", &owner.bytes(&[7; 32]))
        .replace("{newid}", &owner.id(&[9; 16]))
}

async fn every_change_by_the_owner_is_found_in_its_row(kind: Kind) {
    each_is_found(kind, CASES).await;
}

/// Tables of which one change leads to findings in others.
const BOUND_TOGETHER: &[&str] = &[
    "accounts",
    "account_states",
    "audit_leaves",
    "audit_nodes",
    "audit_records",
    "entries",
    "transactions",
];

impl Case {
    /// The table that is changed.
    fn changes(&self) -> &'static str {
        let words = self.sql.split_whitespace();
        let mut words = words.skip_while(|word| !matches!(*word, "UPDATE" | "INTO" | "FROM"));
        words.nth(1).unwrap().trim_end_matches(';')
    }

    /// Whether findings of one change could be taken for those of the other.
    fn is_near(&self, other: &Self) -> bool {
        let tables = [other.table, other.changes()];
        [self.table, self.changes()]
            .iter()
            .any(|table| tables.contains(table) || BOUND_TOGETHER.contains(table))
    }
}

/// The changes, each with all that it leads to, such of them together as can be told apart by their tables.
fn apart(all: &[Case]) -> Vec<Vec<&[Case]>> {
    let mut groups: Vec<Vec<&[Case]>> = Vec::new();
    // What one change leads to in several places was changed once.
    for cases in all.chunk_by(|one, next| one.sql == next.sql) {
        let is_near = |known: &&[Case]| {
            known
                .iter()
                .any(|one| cases.iter().any(|case| case.is_near(one) || one.is_near(case)))
        };
        match groups.iter_mut().find(|group| !group.iter().any(is_near)) {
            Some(group) => group.push(cases),
            None => groups.push(vec![cases]),
        }
    }
    groups
}

/// Makes the changes on copies of a bank, and looks for what must be found of each.
pub(crate) async fn each_is_found(kind: Kind, all: &[Case]) {
    let origin = Place::new(kind).await;
    stopped_bank_with_rows(&origin).await;
    let checkpoint = origin.latest();
    let before = origin.copy().await.verify_against(&checkpoint).await;
    assert!(before.is_clean(), "untouched: {:?}", before.findings);
    assert_eq!(before.checkpoints, 1);
    assert!(before.size > 256 && before.records == before.size && before.entries > 500);
    for group in apart(all) {
        let place = origin.copy().await;
        let mut owner = place.owner().await;
        let mut wanted = Vec::new();
        for cases in group {
            for case in cases {
                wanted.push((case, fill(&mut owner, row(case)).await));
            }
            let sql = fill(&mut owner, cases[0].sql).await;
            assert!(owner.run(&sql).await > 0, "{}: {sql}", cases[0].does);
        }
        owner.close().await;

        let after = place.verify_against(&checkpoint).await;
        for (case, row) in &wanted {
            let found = after.findings.iter().any(|finding| {
                (finding.table, finding.problem.code()) == (case.table, case.code)
                    && finding.row.starts_with(row)
            });
            assert!(
                found,
                "{}: no {} {row} in {:?}",
                case.does, case.code, after.findings
            );
        }
    }
}

/// On PostgreSQL a record can be slipped in behind the sealer, who will never come back to it.
async fn a_record_that_is_slipped_in_is_found(kind: Kind) {
    let place = Place::new(kind).await;
    stopped_bank(&place).await;
    assert!(place.verify_alone().await.is_clean());
    let mut owner = place.owner().await;
    let columns = "at, request, principal_kind, principal_id, session, origin, action, object_kind, object_id, outcome, policy, \
                   details, mac_key, mac";
    let slip = match kind {
        Kind::Sqlite => format!(
            "INSERT INTO audit_records (id, {columns}) SELECT id + 900000, {columns} FROM audit_records WHERE id = 2"
        ),
        Kind::Postgres => format!(
            "INSERT INTO audit_records (id, xid, {columns}) SELECT id + 900000, xid, {columns} FROM audit_records ORDER BY id LIMIT 1"
        ),
    };
    assert_eq!(owner.run(&slip).await, 1);
    owner.close().await;
    let report = place.verify_alone().await;
    let found: Vec<_> = report
        .findings
        .iter()
        .map(|finding| (finding.table, finding.problem.code()))
        .collect();
    assert!(found.contains(&("audit_records", "record_unsealed")), "{found:?}");
}

on_both_engines!(
    every_change_by_the_owner_is_found_in_its_row,
    a_record_that_is_slipped_in_is_found,
);
