//! A transaction slipped in, and one taken out, by somebody who owns the database and has stolen the keys: entries,
//! balances, pointers, digests, codes, leaves and nodes are computed anew, and inside everything fits.

use strongroom_domain::{
    account::SkipPath,
    audit::{Details, SignedRecord},
    id::AccountId,
    transaction::Entry,
};
use strongroom_store::Store;

use crate::{
    bank::stopped_bank,
    forged::{records_of, write_log},
    on_both_engines,
    owner::Owner,
    place::{Kind, Place},
};

/// All entries in their order, and which of them belong to the newest transaction.
async fn entries_of(place: &Place) -> (Vec<Entry>, Vec<Entry>) {
    let store = Store::open_to_verify(&place.settings()).await.unwrap();
    let leaves = store
        .log_snapshot()
        .await
        .unwrap()
        .leaves(0, 2_000)
        .await
        .unwrap();
    let mut all: Vec<Entry> = leaves
        .iter()
        .flat_map(|leaf| leaf.entries.iter().cloned().map(Result::unwrap))
        .collect();
    all.sort_unstable_by_key(|entry| entry.id);
    let newest = all.last().unwrap().transaction;
    let last = all.iter().filter(|entry| entry.transaction == newest);
    let last = last.copied().collect();
    (all, last)
}

/// Writes into an account's state what follows from its entries.
async fn put_state(owner: &mut Owner, all: &[Entry], account: AccountId) {
    let mut path = SkipPath::default();
    let own: Vec<&Entry> = all.iter().filter(|entry| entry.account == account).collect();
    for entry in &own {
        path.push(entry.id);
    }
    let last = own.last().unwrap();
    let sql = format!(
        "UPDATE account_states SET balance = {}, entries = {}, last_booked_at = {}, path = {} WHERE account_id = {}",
        last.balance_after,
        own.len(),
        last.booked_at.micros(),
        owner.bytes(&path.to_bytes()),
        owner.id(account.as_bytes()),
    );
    assert_eq!(owner.run(&sql).await, 1);
}

async fn judged(place: &Place, origin: &Place, code: &str) {
    let inside = place.verify_alone().await;
    assert!(inside.is_clean(), "{:?}", inside.findings);
    let outside = place.verify_against(&origin.latest()).await;
    let codes: Vec<_> = outside
        .findings
        .iter()
        .map(|finding| finding.problem.code())
        .collect();
    assert_eq!(codes, [code]);
}

async fn a_transaction_taken_out_with_everything_that_it_left_is_caught_outside(kind: Kind) {
    let origin = Place::new(kind).await;
    stopped_bank(&origin).await;
    let place = origin.copy().await;
    let (mut all, gone) = entries_of(&place).await;
    let mut records = records_of(&place).await;
    let last = gone[0].transaction;
    let mut owner = place.owner().await;
    let record = owner
        .number(&format!(
            "SELECT record FROM transactions WHERE last_entry = {last}"
        ))
        .await;
    for sql in [
        format!("DELETE FROM transactions WHERE last_entry = {last}"),
        format!("DELETE FROM entries WHERE transaction_entry = {last}"),
    ] {
        assert!(owner.run(&sql).await > 0, "{sql}");
    }
    all.retain(|entry| entry.transaction != last);
    for entry in &gone {
        put_state(&mut owner, &all, entry.account).await;
    }
    records.retain(|known| known.id != record);
    write_log(&place, &mut owner, &mut records).await;
    owner.close().await;
    judged(&place, &origin, "checkpoint_short").await;
}

async fn a_transaction_slipped_in_with_everything_that_it_leaves_is_caught_outside(kind: Kind) {
    let origin = Place::new(kind).await;
    stopped_bank(&origin).await;
    let place = origin.copy().await;
    let (mut all, newest) = entries_of(&place).await;
    let mut records = records_of(&place).await;
    let mut owner = place.owner().await;
    let last = newest[0].transaction;
    let record = owner
        .number(&format!(
            "SELECT record FROM transactions WHERE last_entry = {last}"
        ))
        .await;
    // The same payment again, behind everything that there is.
    let (further, id) = (1_000, owner.id(&[9; 16]));
    let mut added = Vec::new();
    for entry in &newest {
        let mut path = SkipPath::default();
        for known in all.iter().filter(|known| known.account == entry.account) {
            path.push(known.id);
        }
        let links = path.push(entry.id + further);
        added.push(Entry {
            id: entry.id + further,
            transaction: last + further,
            sequence: entry.sequence + 1,
            balance_after: entry.balance_after + entry.amount,
            prev: links.prev,
            jump: links.jump,
            ..*entry
        });
    }
    let (new_record, link) = (record + 900_000, |id: Option<i64>| {
        id.map_or_else(|| "NULL".to_owned(), |id| id.to_string())
    });
    for entry in &added {
        let sql = format!(
            "INSERT INTO entries (id, transaction_entry, account_id, sequence, amount, currency, balance_after, booked_at, prev, jump) \
             VALUES ({}, {}, {}, {}, {}, '{}', {}, {}, {}, {})",
            entry.id,
            entry.transaction,
            owner.id(entry.account.as_bytes()),
            entry.sequence,
            entry.amount,
            entry.currency.code(),
            entry.balance_after,
            entry.booked_at.micros(),
            link(entry.prev),
            link(entry.jump),
        );
        assert_eq!(owner.run(&sql).await, 1);
    }
    let sql = format!(
        "INSERT INTO transactions (last_entry, id, first_entry, kind, from_account, to_account, amount, currency, booked_at, \
         value_date, memo, salt, record) SELECT last_entry + {further}, {id}, first_entry + {further}, kind, from_account, \
         to_account, amount, currency, booked_at, value_date, memo, salt, {new_record} FROM transactions WHERE last_entry = {last}"
    );
    assert_eq!(owner.run(&sql).await, 1);
    all.extend(added.iter().copied());
    for entry in &added {
        put_state(&mut owner, &all, entry.account).await;
    }
    let twin: &SignedRecord = records.iter().find(|known| known.id == record).unwrap();
    let mut forged = twin.clone();
    forged.id = new_record;
    forged.object_id = [9; 16];
    forged.details = Details::transaction(&[0; 32]);
    // Behind everything it would be one that came later, and no checkpoint covers that yet.
    records.insert(records.len() - 20, forged);
    // Once so that it is there, and once with the digest of what is there.
    write_log(&place, &mut owner, &mut records).await;
    let mut records = records_of(&place).await;
    write_log(&place, &mut owner, &mut records).await;
    owner.close().await;
    judged(&place, &origin, "checkpoint_beside").await;
}

on_both_engines!(
    a_transaction_taken_out_with_everything_that_it_left_is_caught_outside,
    a_transaction_slipped_in_with_everything_that_it_leaves_is_caught_outside,
);
