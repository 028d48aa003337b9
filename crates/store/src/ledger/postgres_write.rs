//! A batch's changes as one array per column, in the order of `write.postgres.sql`.

use std::collections::BTreeSet;

use sea_orm::sqlx::{Postgres, postgres::PgArguments, query::Query};
use strongroom_domain::{
    account::Account,
    fraud::Features,
    iban::Iban,
    id::UserId,
    ledger::{Book, Changes},
    limits::LimitsOfAccounts,
    money::Currency,
    time::Timestamp,
};
use uuid::Uuid;

use crate::error::StoreError;

const fn uuid(bytes: &[u8; 16]) -> Uuid {
    Uuid::from_bytes(*bytes)
}

macro_rules! columns {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        struct $name<'a> { $($field: Vec<$type>,)* _life: std::marker::PhantomData<&'a ()> }

        impl<'a> $name<'a> {
            fn bind<'q>(self, query: PgQuery<'q>) -> PgQuery<'q> where 'a: 'q {
                query$(.bind(self.$field))*
            }
        }
    };
}

type PgQuery<'q> = Query<'q, Postgres, PgArguments>;

columns! { Accounts {
    id: Uuid, owner: Option<Uuid>, kind: &'static str, currency: &'static str, number: Option<&'a str>, opened_at: i64,
} }
columns! { Names { account: Uuid, sealed: &'a [u8], } }
columns! { States {
    account: Uuid, floor: Option<i64>, freezes: i64, closed: bool, balance: i64, held: i64, entries: i64,
    last_booked_at: i64, path: Vec<u8>, holds: i64, hold_due: Option<i64>,
} }
columns! { Transactions {
    last_entry: i64, id: Uuid, first_entry: i64, kind: &'static str, from_account: Uuid, to_account: Uuid, amount: i64,
    currency: &'static str, booked_at: i64, value_date: i64, memo: Option<&'a [u8]>, salt: &'a [u8], record: i64,
} }
columns! { Entries {
    id: i64, transaction: i64, account: Uuid, sequence: i64, amount: i64, currency: &'static str, balance_after: i64,
    booked_at: i64, prev: Option<i64>, jump: Option<i64>,
} }
columns! { Memos { transaction: Uuid, person: Uuid, sealed: &'a [u8], } }
columns! { Outcomes { tag: Uuid, fingerprint: &'a [u8], code: i16, resource: Option<Uuid>, at: i64, } }
columns! { Records {
    id: i64, at: i64, request: Uuid, principal_kind: i64, principal: Uuid, session: Uuid, origin: i64, action: &'a str,
    object_kind: &'a str, object: Uuid, outcome: &'a str, policy: i64, details: &'a [u8], mac_key: i64, mac: &'a [u8],
} }

columns! { Limits {
    owner: Uuid, currency: &'static str, state: Vec<u8>, features: Option<Vec<u8>>, accounts: Option<Vec<u8>>,
} }

columns! { Placed {
    id: Uuid, account: Uuid, to_account: Uuid, amount: i64, currency: &'static str, captured: i64, state: i64,
    placed_at: i64, expires_at: i64, closed_at: Option<i64>, review: bool,
} }
columns! { Left { id: Uuid, captured: i64, state: i64, closed_at: Option<i64>, } }
columns! { Captures { transaction: Uuid, hold: Uuid, captured: i64, state: i64, } }

/// The columns of what a batch does to holds.
#[derive(Debug, Default)]
pub(crate) struct HoldColumns<'a> {
    placed: Placed<'a>,
    left: Left<'a>,
    captures: Captures<'a>,
}

impl HoldColumns<'_> {
    pub(crate) fn of(changes: &Changes, book: &Book) -> Result<Self, StoreError> {
        let find = |id| {
            let found = book.holds.get(id);
            found.ok_or(StoreError::Corrupt("changed hold not in the book"))
        };
        let mut columns = Self::default();
        for id in &changes.placed {
            let (hold, placed) = (find(id)?, &mut columns.placed);
            placed.id.push(uuid(hold.id.as_bytes()));
            placed.account.push(uuid(hold.account.as_bytes()));
            placed.to_account.push(uuid(hold.to_account.as_bytes()));
            placed.amount.push(hold.amount.minor());
            placed.currency.push(hold.currency.code());
            placed.captured.push(hold.captured);
            placed.state.push(i64::from(hold.state.number()));
            placed.placed_at.push(hold.placed_at.micros());
            placed.expires_at.push(hold.expires_at.micros());
            placed.closed_at.push(hold.closed_at.map(Timestamp::micros));
            placed.review.push(hold.review);
        }
        for id in &changes.holds {
            let (hold, left) = (find(id)?, &mut columns.left);
            left.id.push(uuid(hold.id.as_bytes()));
            left.captured.push(hold.captured);
            left.state.push(i64::from(hold.state.number()));
            left.closed_at.push(hold.closed_at.map(Timestamp::micros));
        }
        for capture in &changes.captures {
            let captures = &mut columns.captures;
            captures.transaction.push(uuid(capture.transaction.as_bytes()));
            captures.hold.push(uuid(capture.hold.as_bytes()));
            captures.captured.push(capture.captured);
            captures.state.push(i64::from(capture.state.number()));
        }
        Ok(columns)
    }

    pub(crate) fn bind<'q>(self, query: PgQuery<'q>) -> PgQuery<'q>
    where
        Self: 'q,
    {
        self.captures.bind(self.left.bind(self.placed.bind(query)))
    }
}

/// All columns of a batch.
#[derive(Debug, Default)]
pub(crate) struct Columns<'a> {
    accounts: Accounts<'a>,
    names: Names<'a>,
    new_states: States<'a>,
    states: States<'a>,
    transactions: Transactions<'a>,
    entries: Entries<'a>,
    memos: Memos<'a>,
    outcomes: Outcomes<'a>,
    records: Records<'a>,
    customers: Limits<'a>,
    limits: Limits<'a>,
}

impl<'a> Columns<'a> {
    pub(crate) fn of(changes: &'a Changes, book: &Book) -> Result<Self, StoreError> {
        let mut columns = Self::default();
        columns.accounts(changes, book)?;
        columns.postings(changes);
        columns.log(changes);
        columns.customers.fill(&changes.customers, book)?;
        columns.limits.fill(&changes.limits, book)?;
        Ok(columns)
    }

    /// Binds every column in the order of the statement.
    pub(crate) fn bind<'q>(self, query: PgQuery<'q>, generation: i64) -> PgQuery<'q>
    where
        'a: 'q,
    {
        let query = self
            .states
            .bind(self.new_states.bind(self.names.bind(self.accounts.bind(query))));
        let query = self.memos.bind(self.entries.bind(self.transactions.bind(query)));
        let query = self.records.bind(self.outcomes.bind(query.bind(generation)));
        self.limits.bind(self.customers.bind(query))
    }

    fn accounts(&mut self, changes: &'a Changes, book: &Book) -> Result<(), StoreError> {
        let account_of = |id| {
            book.accounts
                .get(id)
                .ok_or(StoreError::Corrupt("changed account not in the book"))
        };
        let mut opened = std::collections::HashSet::new();
        // Nobody can lock what is not there yet: two batches that open the same account, or use the same key, meet in
        // the unique index. In one order for all they wait for each other at most in one direction.
        let mut ordered: Vec<_> = changes.opened.iter().collect();
        ordered.sort_unstable_by_key(|new| new.id);
        for new in ordered {
            let account = account_of(&new.id)?;
            opened.insert(new.id);
            let columns = &mut self.accounts;
            columns.id.push(uuid(new.id.as_bytes()));
            columns
                .owner
                .push(account.owner.map(|owner| uuid(owner.as_bytes())));
            columns.kind.push(account.kind.name());
            columns.currency.push(account.currency.code());
            columns.number.push(new.number.as_ref().map(Iban::as_str));
            columns.opened_at.push(new.at.micros());
            if let Some(sealed) = &new.sealed_name {
                self.names.account.push(uuid(new.id.as_bytes()));
                self.names.sealed.push(sealed);
            }
        }
        for id in &changes.touched {
            let states = if opened.contains(id) {
                &mut self.new_states
            } else {
                &mut self.states
            };
            states.push(account_of(id)?);
        }
        Ok(())
    }

    fn postings(&mut self, changes: &'a Changes) {
        for transaction in &changes.transactions {
            let columns = &mut self.transactions;
            columns.last_entry.push(transaction.last_entry);
            columns.id.push(uuid(transaction.id.as_bytes()));
            columns.first_entry.push(transaction.first_entry);
            columns.kind.push(transaction.kind.name());
            columns
                .from_account
                .push(uuid(transaction.from_account.as_bytes()));
            columns.to_account.push(uuid(transaction.to_account.as_bytes()));
            columns.amount.push(transaction.amount.minor());
            columns.currency.push(transaction.currency.code());
            columns.booked_at.push(transaction.booked_at.micros());
            columns.value_date.push(i64::from(transaction.value_date.days()));
            columns
                .memo
                .push(transaction.memo.as_ref().map(<[u8; 32]>::as_slice));
            columns.salt.push(&transaction.salt);
            columns.record.push(transaction.record);
        }
        for entry in &changes.entries {
            let columns = &mut self.entries;
            columns.id.push(entry.id);
            columns.transaction.push(entry.transaction);
            columns.account.push(uuid(entry.account.as_bytes()));
            columns
                .sequence
                .push(i64::try_from(entry.sequence).unwrap_or(i64::MAX));
            columns.amount.push(entry.amount);
            columns.currency.push(entry.currency.code());
            columns.balance_after.push(entry.balance_after);
            columns.booked_at.push(entry.booked_at.micros());
            columns.prev.push(entry.prev);
            columns.jump.push(entry.jump);
        }
        for memo in &changes.memos {
            self.memos.transaction.push(uuid(memo.transaction.as_bytes()));
            self.memos.person.push(uuid(memo.person.as_bytes()));
            self.memos.sealed.push(&memo.sealed);
        }
    }

    fn log(&mut self, changes: &'a Changes) {
        let mut ordered: Vec<_> = changes.outcomes.iter().collect();
        ordered.sort_unstable_by_key(|outcome| outcome.tag);
        for outcome in ordered {
            let columns = &mut self.outcomes;
            columns.tag.push(uuid(&outcome.tag));
            columns.fingerprint.push(outcome.fingerprint.as_bytes());
            columns.code.push(outcome.code);
            columns.resource.push(outcome.resource.as_ref().map(uuid));
            columns.at.push(outcome.at.micros());
        }
        for record in &changes.records {
            let columns = &mut self.records;
            columns.id.push(record.id);
            columns.at.push(record.at);
            columns.request.push(uuid(&record.request));
            columns.principal_kind.push(i64::from(record.principal_kind));
            columns.principal.push(uuid(&record.principal_id));
            columns.session.push(uuid(&record.session));
            columns.origin.push(i64::from(record.origin));
            columns.action.push(&record.action);
            columns.object_kind.push(&record.object_kind);
            columns.object.push(uuid(&record.object_id));
            columns.outcome.push(&record.outcome);
            columns.policy.push(i64::from(record.policy));
            columns.details.push(record.details.as_bytes());
            columns.mac_key.push(record.mac_key);
            columns.mac.push(&record.mac);
        }
    }
}

impl Limits<'_> {
    fn fill(&mut self, keys: &BTreeSet<(UserId, Currency)>, book: &Book) -> Result<(), StoreError> {
        for key in keys {
            let limits = book
                .limits
                .get(key)
                .ok_or(StoreError::Corrupt("changed limits not in the book"))?;
            self.owner.push(uuid(key.0.as_bytes()));
            self.currency.push(key.1.code());
            self.state.push(limits.to_bytes());
            self.features
                .push(book.fraud.rows.get(key).map(Features::to_bytes));
            self.accounts
                .push(book.account_limits.get(key).map(LimitsOfAccounts::to_bytes));
        }
        Ok(())
    }
}

impl States<'_> {
    fn push(&mut self, account: &Account) {
        self.account.push(uuid(account.id.as_bytes()));
        self.floor.push(account.floor);
        self.freezes.push(i64::from(account.freezes.bits()));
        self.closed.push(account.closed);
        self.balance.push(account.balance);
        self.held.push(account.held);
        self.entries
            .push(i64::try_from(account.entries).unwrap_or(i64::MAX));
        self.last_booked_at.push(account.last_booked_at.micros());
        self.path.push(account.path.to_bytes());
        self.holds.push(i64::from(account.holds));
        self.hold_due.push(account.hold_due.map(Timestamp::micros));
    }
}
