//! One transaction against its audit record: what needs no memory of others.

use crate::{
    audit::{
        record::SignedRecord,
        replay::{Findings, Problem},
    },
    money::Currency,
    transaction::{Entry, Transaction, entries_digest},
};

/// Checks a transaction, its entries in ascending order, and the record that binds both.
pub fn check_transaction(
    record: &SignedRecord,
    transaction: &Transaction,
    entries: &[Entry],
    findings: &mut Findings,
) {
    let row = transaction.last_entry;
    let about_it = record.object_kind == "transaction"
        && record.object_id == *transaction.id.as_bytes()
        && record.outcome == "ok"
        && record.id == transaction.record
        && record.at == transaction.booked_at.micros();
    let digest = transaction.digest(&entries_digest(&transaction.salt, entries));
    if !about_it || record.details.transaction_digest() != Some(digest) {
        findings.add("transactions", row, Problem::TransactionChanged);
    }
    check_range(transaction, entries, findings);
    check_sums(transaction, entries, findings);
}

/// Every id of the range is there once, and every line agrees with its transaction.
fn check_range(transaction: &Transaction, entries: &[Entry], findings: &mut Findings) {
    let mut expected = transaction.first_entry;
    for entry in entries {
        while expected < entry.id && expected <= transaction.last_entry {
            findings.add("entries", expected, Problem::EntryMissing);
            expected = expected.saturating_add(1);
        }
        let agrees = entry.id == expected
            && entry.transaction == transaction.last_entry
            && entry.currency == transaction.currency
            && entry.booked_at == transaction.booked_at;
        if !agrees {
            findings.add("entries", entry.id, Problem::EntryChanged);
        }
        expected = entry.id.saturating_add(1);
    }
    while expected <= transaction.last_entry {
        findings.add("entries", expected, Problem::EntryMissing);
        expected = expected.saturating_add(1);
    }
}

/// Sums are zero per currency, and the two named accounts moved by the amount.
fn check_sums(transaction: &Transaction, entries: &[Entry], findings: &mut Findings) {
    let mut sums: Vec<(Currency, i128)> = Vec::with_capacity(1);
    let (mut debited, mut credited) = (0_i128, 0_i128);
    for entry in entries {
        let amount = i128::from(entry.amount);
        match sums.iter_mut().find(|(currency, _)| *currency == entry.currency) {
            Some((_, sum)) => *sum = sum.saturating_add(amount),
            None => sums.push((entry.currency, amount)),
        }
        if entry.account == transaction.from_account {
            debited = debited.saturating_sub(amount);
        }
        if entry.account == transaction.to_account {
            credited = credited.saturating_add(amount);
        }
    }
    let amount = i128::from(transaction.amount.minor());
    if sums.iter().any(|(_, sum)| *sum != 0) || debited != amount || credited != amount {
        findings.add("transactions", transaction.last_entry, Problem::Unbalanced);
    }
}
