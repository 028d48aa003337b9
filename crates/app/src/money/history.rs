//! What an account was and what happened on it.

use strongroom_domain::{
    action::Action,
    id::AccountId,
    money::Currency,
    time::Timestamp,
    transaction::{Transaction, TransactionKind},
};
use strongroom_store::ledger::{HistoryLine, HistoryStart};

use crate::{bank::Bank, cx::Cx, error::Error};

/// Most entries one page examines. A filtered page may hold fewer lines than asked for and still have a cursor.
pub const EXAMINED_MAX: u32 = 500;
/// Entries read at a time while looking for those that pass the filter.
const STRIDE: u32 = 100;

/// Which lines of a history are wanted. Everything absent lets everything through.
#[derive(Debug, Clone, Default)]
pub struct HistoryFilter {
    /// Booked at this moment or later.
    pub from: Option<Timestamp>,
    /// Booked before this moment.
    pub to: Option<Timestamp>,
    /// At least this much, minor units, in either direction.
    pub min_amount: Option<i64>,
    /// At most this much, minor units, in either direction.
    pub max_amount: Option<i64>,
    /// Only of this kind.
    pub kind: Option<TransactionKind>,
    /// The text contains this, whatever the case.
    pub text: Option<String>,
}

/// One line as the account's owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryItem {
    /// The how-manieth entry of the account.
    pub sequence: u64,
    /// Minor units, positive for money in.
    pub amount: i64,
    /// The balance after it.
    pub balance_after: i64,
    /// Its transaction.
    pub transaction: Transaction,
    /// Its text.
    pub description: Option<String>,
}

/// A page of history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryPage {
    /// The lines, newest first.
    pub items: Vec<HistoryItem>,
    /// Where the next page starts: the newest sequence it may hold. `None` at the end.
    pub next: Option<u64>,
}

/// A balance at a moment. Amounts are minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// Whose.
    pub account: AccountId,
    /// Its currency.
    pub currency: Currency,
    /// As of when.
    pub at: Timestamp,
    /// Settled entries.
    pub posted: i64,
    /// What is known about now only.
    pub now: Option<BalanceNow>,
}

/// What nobody can say about the past. Minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BalanceNow {
    /// Reserved by holds.
    pub held: i64,
    /// What may be spent.
    pub available: i64,
}

impl Bank {
    /// An account's balance now.
    ///
    /// # Errors
    /// `account_not_found`.
    pub async fn balance(&self, cx: &Cx, id: AccountId) -> Result<Balance, Error> {
        let account = self.readable_account(cx, id, Action::AccountRead).await?.account;
        Ok(Balance {
            account: id,
            currency: account.currency,
            at: cx.now(),
            posted: account.balance,
            now: Some(BalanceNow {
                held: account.held,
                available: account.spendable().unwrap_or(account.balance),
            }),
        })
    }

    /// An account's posted balance as it was at a moment; 0 before its first entry.
    ///
    /// # Errors
    /// `account_not_found`; `validation_failed` for a moment that is still to come.
    pub async fn balance_at(&self, cx: &Cx, id: AccountId, at: Timestamp) -> Result<Balance, Error> {
        if at > cx.now() {
            return Err(Error::field("?at", "in_the_future", "must not lie in the future"));
        }
        let account = self.readable_account(cx, id, Action::AccountRead).await?.account;
        Ok(Balance {
            account: id,
            currency: account.currency,
            at,
            posted: self.store.balance_at(&account, at).await?.unwrap_or(0),
            now: None,
        })
    }

    /// A page of an account's history, newest first. `before` is the cursor: the newest sequence that may be shown.
    ///
    /// # Errors
    /// `account_not_found`.
    pub async fn history(
        &self,
        cx: &Cx,
        id: AccountId,
        filter: &HistoryFilter,
        before: Option<u64>,
        limit: u32,
    ) -> Result<HistoryPage, Error> {
        let view = self.readable_account(cx, id, Action::AccountRead).await?;
        let mut start = match (before, filter.to) {
            (Some(sequence), _) => HistoryStart::Sequence(sequence),
            (None, Some(to)) => HistoryStart::At(Timestamp::from_micros(to.micros().saturating_sub(1))),
            (None, None) => HistoryStart::Newest,
        };
        let (mut items, mut examined) = (Vec::new(), 0);
        let stride = if filter.is_empty() {
            limit.saturating_add(1)
        } else {
            STRIDE
        };
        loop {
            let lines = self.store.history(&view.account, start, stride).await?;
            let last = lines.len() < usize::try_from(stride).unwrap_or(usize::MAX);
            for line in lines {
                if items.len() >= usize::try_from(limit).unwrap_or(usize::MAX) || examined >= EXAMINED_MAX {
                    return Ok(HistoryPage {
                        items,
                        next: Some(line.sequence),
                    });
                }
                examined += 1;
                if filter
                    .from
                    .is_some_and(|from| line.view.transaction.booked_at < from)
                {
                    return Ok(HistoryPage { items, next: None });
                }
                start = HistoryStart::Sequence(line.sequence.saturating_sub(1));
                let item = self.history_item(line).await?;
                if filter.lets_through(&item) {
                    items.push(item);
                }
            }
            if last {
                return Ok(HistoryPage { items, next: None });
            }
        }
    }

    async fn history_item(&self, line: HistoryLine) -> Result<HistoryItem, Error> {
        let details = self.transfer_details(line.view).await?;
        Ok(HistoryItem {
            sequence: line.sequence,
            amount: line.amount,
            balance_after: line.balance_after,
            transaction: details.transaction,
            description: details.description,
        })
    }
}

impl HistoryFilter {
    const fn is_empty(&self) -> bool {
        self.min_amount.is_none() && self.max_amount.is_none() && self.kind.is_none() && self.text.is_none()
    }

    fn lets_through(&self, item: &HistoryItem) -> bool {
        let size = item.amount.saturating_abs();
        let text_matches = self.text.as_ref().is_none_or(|wanted| {
            item.description
                .as_ref()
                .is_some_and(|text| text.to_lowercase().contains(&wanted.to_lowercase()))
        });
        self.min_amount.is_none_or(|min| size >= min)
            && self.max_amount.is_none_or(|max| size <= max)
            && self.kind.is_none_or(|kind| item.transaction.kind == kind)
            && self.to.is_none_or(|to| item.transaction.booked_at < to)
            && text_matches
    }
}
