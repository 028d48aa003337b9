//! The accounts against what was rebuilt of them.

use std::collections::HashMap;

use strongroom_domain::{
    audit::replay::{PaymentSum, Problem, Replay},
    id::{AccountId, PaymentId},
};
use strongroom_store::audit::{LogSnapshot, Stored, StoredAccount};

use crate::{
    audit::verify::{PAGE_ACCOUNTS, PAGE_PAYMENTS, Run},
    error::Error,
};

impl Run<'_> {
    /// Compares all accounts, a page per snapshot. Each snapshot is caught up with first, so that an account is
    /// compared with exactly the entries that it was stored with.
    pub(super) async fn compare_accounts(&mut self, replay: &mut Replay) -> Result<(), Error> {
        let mut after = AccountId::from_bytes([0; 16]);
        loop {
            let snapshot = self.store.log_snapshot().await?;
            while self.log.page(&snapshot, replay, &mut self.findings).await? {}
            self.log
                .take_unsealed(&snapshot, replay, &mut self.findings)
                .await?;
            let accounts = snapshot.accounts_after(after, PAGE_ACCOUNTS).await?;
            let holds = match accounts.last() {
                Some(last) => snapshot.open_holds(after, last.id).await?,
                None => Vec::new(),
            };
            if let Some(last) = accounts.last() {
                self.compare_payments(&snapshot, replay, (after, last.id)).await?;
            }
            let full = accounts.len() >= usize::try_from(PAGE_ACCOUNTS).unwrap_or(usize::MAX);
            for stored in accounts {
                after = stored.id;
                self.compare(&stored, replay);
                let first = holds.partition_point(|hold| hold.account < stored.id);
                let end = holds.partition_point(|hold| hold.account <= stored.id);
                let of_it = holds.get(first..end).unwrap_or_default();
                replay.compare_holds(stored.id, of_it, &mut self.findings);
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// Compares the payments to the accounts of a page, some at a time.
    async fn compare_payments(
        &mut self,
        snapshot: &LogSnapshot,
        replay: &Replay,
        (after, last): (AccountId, AccountId),
    ) -> Result<(), Error> {
        let mut stored = HashMap::new();
        for account in snapshot.paid_accounts(after, last).await? {
            if !replay.looks_at(account) {
                continue;
            }
            let (mut sum, mut before) = (PaymentSum::default(), PaymentId::from_bytes([0; 16]));
            loop {
                let payments = snapshot.payments_to(account, before, PAGE_PAYMENTS).await?;
                payments.iter().for_each(|payment| sum.add(payment));
                match payments.last() {
                    Some(payment) => before = payment.id,
                    None => break,
                }
            }
            stored.insert(account, sum);
        }
        replay.compare_payments((after, last), &stored, &mut self.findings);
        Ok(())
    }

    pub(super) fn compare(&mut self, stored: &StoredAccount, replay: &mut Replay) {
        if !replay.looks_at(stored.id) {
            return;
        }
        match &stored.account {
            Stored::Is(account) => {
                if replay.compare(account, stored.number.as_deref(), &mut self.findings) {
                    self.accounts = self.accounts.saturating_add(1);
                }
            }
            Stored::Missing => self
                .findings
                .add("account_states", stored.id, Problem::AccountMissing),
            Stored::Unreadable => self
                .findings
                .add("account_states", stored.id, Problem::Unreadable),
        }
    }
}
