//! Reading statements of the bank's own bank.
//!
//! An entry counts once, whatever file it comes in and however many nodes read it: the books know it by its digest, and
//! look under the lock of the clearing account. A file is read whole or not at all, and filed away after its last entry
//! is booked; who is killed in between reads it again.

use futures::future::join_all;
use serde::{Deserialize, Serialize};
use strongroom_crypto::{Place, random};
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    card,
    id::{AccountId, Id, PaymentId, TransactionId},
    ledger::{Answer, Command, Done, Refusal, SealedMemo, StatementEntry, Verb},
    rail::{Direction, EntryTag, file_digest, tag_of},
    text::{MEMO_CHARS_MAX, check_line},
};
use strongroom_store::{Scope, ledger::ReadStatement};

use super::{
    Arrival, RailSettings,
    camt::{self, Entry, Statement, StatementError},
};
use crate::{
    audit::record::Entry as RecordEntry,
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
    money::{accounts::refused, idempotency::Fields, transfers::Payee},
};

/// Entries that are on their way to the books at once.
const ENTRIES_AT_ONCE: usize = 100;
/// Of what the sender says, the characters that are kept with what nobody can place.
const KEPT_CHARS_MAX: usize = 300;
/// An entry has no fields of a client's.
const ENTRY_FIELDS: Fields = Fields(&[""]);

/// What a statement says of an entry, as it is sealed for whoever has to place it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) reference: String,
    pub(super) end_to_end: Option<String>,
    pub(super) account: Option<String>,
    pub(super) name: Option<String>,
    pub(super) remittance: Option<String>,
}

pub(super) const fn place(item: &TransactionId) -> Place<'_> {
    Place {
        table: "suspense_items",
        column: "sealed",
        row: item.as_bytes(),
    }
}

fn cut(text: Option<&String>) -> Option<String> {
    text.map(|text| text.chars().take(KEPT_CHARS_MAX).collect())
}

/// What the account's owner is told: who sends, and what for.
fn memo_of(entry: &Entry) -> Option<String> {
    let parts: Vec<&str> = [entry.name.as_deref(), entry.remittance.as_deref()]
        .into_iter()
        .flatten()
        .collect();
    let text: String = parts.join(": ").chars().take(MEMO_CHARS_MAX).collect();
    // Nobody here typed it, so nobody can be asked to leave it out.
    let text = card::masked(&text).into_owned();
    check_line(&text, MEMO_CHARS_MAX, true).is_ok().then_some(text)
}

impl Bank {
    /// Reads what has arrived, and says how many files were filed away.
    ///
    /// # Errors
    /// When the database does not answer, or the books refuse an entry: the file stays and is read again.
    pub async fn read_statements(&self) -> Result<usize, Error> {
        let Some(settings) = self.rail.get() else {
            return Ok(0);
        };
        // Without the money verbs there is no booking either: the statements wait.
        if self.store.is_read_only().await? {
            return Ok(0);
        }
        let rail = settings.rail.clone();
        let arrivals = tokio::task::spawn_blocking(move || rail.arrivals())
            .await
            .map_err(Error::internal)?
            .map_err(Error::internal)?;
        let (mut filed, mut failed): (usize, Option<Error>) = (0, None);
        for arrival in arrivals {
            let read = match self.read_arrival(settings, &arrival).await {
                Ok(Ok(())) => true,
                // What is not whole may become so.
                Ok(Err(StatementError::Malformed)) if !arrival.settled => continue,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "a file in the inbox of the rail is no statement of ours");
                    metrics::counter!("strongroom_rail_files_refused_total").increment(1);
                    false
                }
                // The next file is not held up by this one.
                Err(error) => {
                    failed = Some(error);
                    continue;
                }
            };
            let (rail, stamp) = (settings.rail.clone(), self.clock.now().micros());
            tokio::task::spawn_blocking(move || rail.file_away(&arrival.name, stamp, read))
                .await
                .map_err(Error::internal)?
                .map_err(Error::internal)?;
            filed = filed.saturating_add(1);
        }
        failed.map_or(Ok(filed), Err)
    }

    async fn read_arrival(
        &self,
        settings: &RailSettings,
        arrival: &Arrival,
    ) -> Result<Result<(), StatementError>, Error> {
        let statements = match camt::read(&arrival.bytes) {
            Ok(statements) => statements,
            Err(error) => return Ok(Err(error)),
        };
        let ours = |statement: &Statement| {
            statement.account == settings.account.as_str() && statement.currency == settings.currency
        };
        if !statements.iter().all(ours) {
            return Ok(Err(StatementError::NotOurs));
        }
        for (number, statement) in statements.iter().enumerate() {
            let digest = file_digest(&arrival.bytes, number);
            self.book_statement(statement, digest).await?;
        }
        Ok(Ok(()))
    }

    async fn book_statement(&self, statement: &Statement, digest: [u8; 32]) -> Result<(), Error> {
        for chunk in statement.entries.chunks(ENTRIES_AT_ONCE) {
            let tagged: Vec<(EntryTag, &Entry)> =
                chunk.iter().map(|entry| (tag(statement, entry), entry)).collect();
            let tags: Vec<EntryTag> = tagged.iter().map(|(tag, _)| *tag).collect();
            let known = self.store.rail_entries_read(&tags).await?;
            let new = tagged.into_iter().filter(|(tag, _)| !known.contains(tag));
            let booked = join_all(new.map(|(tag, entry)| self.book_entry(statement, tag, entry))).await;
            booked.into_iter().collect::<Result<(), Error>>()?;
        }
        self.note_statement(statement, digest).await
    }

    async fn book_entry(&self, statement: &Statement, tag: EntryTag, entry: &Entry) -> Result<(), Error> {
        let cx = self.cx_job().await?;
        let new = self.entry_of(&cx, statement, tag, entry).await?;
        let answer = self
            .submit(&cx, |cx| {
                let permit = authorize(cx, Action::RailSettle, Resource::Bank)?;
                Ok(Command::plain(
                    permit.authority(),
                    cx.request,
                    Verb::Settle(new.clone()),
                ))
            })
            .await?;
        match answer {
            Answer::Done(done) => match *done {
                Done::Posted(_) | Done::Sent(_) => Ok(()),
                _ => Err(Error::broken("another answer than asked for")),
            },
            // Another node was first, or the statement says it twice.
            Answer::Refused(Refusal::EntryKnown) => Ok(()),
            other => Err(refused(other, &ENTRY_FIELDS)),
        }
    }

    /// What the entry names of ours. The books look again, under their locks.
    async fn entry_of(
        &self,
        cx: &Cx,
        statement: &Statement,
        tag: EntryTag,
        entry: &Entry,
    ) -> Result<StatementEntry, Error> {
        let named = entry
            .end_to_end
            .as_deref()
            .and_then(|text| PaymentId::parse(text).ok());
        let payment = match named {
            Some(id) => self.store.outgoing(id).await?,
            None => None,
        };
        let credited = entry
            .creditor
            .as_ref()
            .filter(|_| entry.direction == Direction::Credit && !entry.back);
        let account = match credited {
            Some(number) => self.payee(&Payee::Number(number.clone())).await?,
            None => None,
        };
        let id: TransactionId = cx.new_id();
        let told = Told {
            reference: entry.reference.clone(),
            end_to_end: cut(entry.end_to_end.as_ref()),
            account: entry.creditor.as_ref().map(|number| number.as_str().to_owned()),
            name: cut(entry.name.as_ref()),
            remittance: cut(entry.remittance.as_ref()),
        };
        let told = serde_json::to_vec(&told).map_err(Error::internal)?;
        Ok(StatementEntry {
            id,
            tag,
            direction: entry.direction,
            back: entry.back,
            amount: entry.amount,
            currency: statement.currency,
            payment: payment.map(|payment| (payment.id, payment.account)),
            account,
            value_date: entry.value_date,
            memo: self.memo_for(account, id, entry).await?,
            sealed: self.ring().seal(place(&id), &told),
            salt: random::bytes(),
        })
    }

    /// Sealed under the owner's key; who was erased has none.
    async fn memo_for(
        &self,
        account: Option<AccountId>,
        id: TransactionId,
        entry: &Entry,
    ) -> Result<Option<SealedMemo>, Error> {
        let (Some(account), Some(text)) = (account, memo_of(entry)) else {
            return Ok(None);
        };
        match self.owner_of(account).await? {
            Some(owner) if self.people.key(owner).await?.is_some() => {
                Ok(Some(self.people.seal_memo(owner, id, &text).await?))
            }
            _ => Ok(None),
        }
    }

    /// After its last entry: the statement was read.
    async fn note_statement(&self, statement: &Statement, digest: [u8; 32]) -> Result<(), Error> {
        let cx = self.cx_job().await?;
        let permit = authorize(&cx, Action::RailSettle, Resource::Bank)?;
        let moved = statement.entries.iter().try_fold(0_i64, |sum, entry| {
            let minor = entry.amount.minor();
            match entry.direction {
                Direction::Credit => sum.checked_add(minor),
                Direction::Debit => sum.checked_sub(minor),
            }
        });
        let id: Id<()> = cx.new_id();
        let read = ReadStatement {
            id: *id.as_bytes(),
            digest,
            message: statement.message.clone(),
            currency: statement.currency,
            opening: statement.opening,
            closing: statement.closing,
            day: statement.day,
            entries: u64::try_from(statement.entries.len()).unwrap_or(u64::MAX),
            moved: moved.ok_or_else(|| Error::broken("entries that do not add up to a number"))?,
            read_at: cx.now(),
        };
        let mut tx = self.store.write(Scope::System).await?;
        if !tx.insert_rail_statement(&read).await? {
            return Ok(());
        }
        let entry = RecordEntry {
            object: Object::Other("rail_statement", read.id),
            outcome: "ok",
            details: Details::json(&format!(r#"{{"entries":{}}}"#, read.entries)),
        };
        self.recorder.append(&mut tx, &cx, &permit, entry).await?;
        tx.commit().await?;
        Ok(())
    }
}

fn tag(statement: &Statement, entry: &Entry) -> EntryTag {
    tag_of(
        &statement.account,
        &entry.reference,
        entry.direction,
        entry.amount,
        statement.currency,
    )
}
