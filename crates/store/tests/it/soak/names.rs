//! The things of the model by their ids, and commands about them as the application makes them.

use strongroom_domain::{
    account::{FreezeScope, Side, SystemAccount},
    action::Action,
    id::{
        AccountId, ApprovalId, BeneficiaryId, MerchantId, PaymentId, SuspenseItemId, TransactionId, UserId,
    },
    ledger::{
        AccountChange, Cancel, Command, DecideReview, HoldRef, NewLimits, NewPayment, NewReversal,
        NewSending, Owned, PaymentRef, Posting, Refund, Resolve, ReviewVerb, StatementEntry, Verb,
    },
    limits::Caps,
    money::Amount,
    principal::Principal,
    rail::{Direction, tag_of},
    transaction::TransactionKind,
};

use super::{
    ACCOUNTS, DIGEST, FAR,
    model::{Look, Model, SUSPECT, Step},
};
use crate::harness::{EUR, capture, change, deposit, hold, id, tag, till, transfer, void, withdraw};

/// The things of the model by their ids.
pub(super) struct Names {
    pub(super) owners: [UserId; 2],
    pub(super) accounts: Vec<AccountId>,
    pub(super) merchants: Vec<MerchantId>,
    pub(super) lists: Vec<BeneficiaryId>,
    pub(super) holds: Vec<HoldRef>,
    pub(super) payments: Vec<PaymentId>,
    pub(super) away: Vec<PaymentId>,
    pub(super) transfers: Vec<TransactionId>,
    pub(super) waiting: Vec<TransactionId>,
    pub(super) lies: Vec<SuspenseItemId>,
    pub(super) approvals: Vec<ApprovalId>,
    /// Drawn so far: no two payments of one payer look alike.
    pub(super) drawn: i64,
}

impl Names {
    /// A command as the application makes it, with ids drawn for what it makes. The names of what is done are kept.
    pub(super) fn command(&mut self, step: Step, model: &Model) -> Command {
        match step {
            Step::Deposit(at, amount) => deposit(self.accounts[at], amount).command,
            Step::Withdraw(at, amount) => withdraw(self.accounts[at], amount).command,
            Step::Transfer(from, to, amount) => {
                let asked = transfer(self.accounts[from], self.accounts[to], amount);
                asked.with_key().command
            }
            Step::Freeze(at, all) => {
                let scope = if all {
                    FreezeScope::All
                } else {
                    FreezeScope::Debits
                };
                self.change(at, AccountChange::Freeze(scope))
            }
            Step::Unfreeze(at) => self.change(at, AccountChange::Unfreeze),
            Step::Close(at) => self.change(at, AccountChange::Close),
            Step::Limit(at) => {
                let new = NewLimits {
                    account: self.accounts[at],
                    caps: Caps::NONE,
                    may_raise: true,
                    of_account: false,
                };
                self.asked(Action::LimitsChange, Verb::Limit(new))
            }
            Step::Hold(from, to, amount) => {
                let (asked, reference) = hold(self.accounts[from], self.accounts[to], amount, FAR);
                self.holds.push(reference);
                asked.command
            }
            Step::Capture(at, amount, last) => capture(self.hold(at), amount, last).command,
            Step::Void(at) => void(self.hold(at)).command,
            Step::Pay(from, to, amount) => {
                let new = NewPayment {
                    posting: self.posting(TransactionKind::Payment, from, self.accounts[to], amount),
                    merchant: self.merchants[to],
                    payer: self.owner(from),
                    confirmed: None,
                };
                self.asked(Action::PaymentCreate, Verb::Pay(new))
            }
            Step::Refund(at, amount) => {
                let asked = Refund {
                    id: id(),
                    payment: self.payment(at, model),
                    amount: amount.map(|minor| Amount::new(minor).unwrap()),
                    memo: None,
                    salt: tag(),
                };
                self.asked(Action::PaymentRefund, Verb::Refund(asked))
            }
            Step::ReversePayment(at) => {
                let meant = self.payment(at, model);
                let amount = model.payments.get(at).map_or(1, |paid| paid.amount);
                let (of, kind) = (meant.id.cast(), TransactionKind::Payment);
                self.reversal(of, kind, meant.to, meant.account, amount)
            }
            Step::ReverseTransfer(at) => {
                let moved = model.transfers.get(at);
                let side = |at: usize| self.accounts[at];
                let (from, to, amount) = moved.map_or((till(), till(), 1), |moved| {
                    (side(moved.from), side(moved.to), moved.amount)
                });
                let of = self.transfers.get(at).copied().unwrap_or_else(id);
                self.reversal(of, TransactionKind::Transfer, to, from, amount)
            }
            Step::Send(from, amount) => {
                let clearing = SystemAccount::Clearing.id(EUR);
                let new = NewSending {
                    posting: self.posting(TransactionKind::Payment, from, clearing, amount),
                    beneficiary: self.lists[from],
                    payer: self.owner(from),
                    confirmed: None,
                };
                self.asked(Action::PaymentCreate, Verb::Send(new))
            }
            Step::Cancel(at) => {
                let from = model.away.get(at).map_or(0, |away| away.from);
                let asked = Cancel {
                    id: id(),
                    payment: self.away.get(at).copied().unwrap_or_else(id),
                    account: self.accounts[from],
                    clearing: SystemAccount::Clearing.id(EUR),
                    salt: tag(),
                };
                self.asked(Action::PaymentCancel, Verb::Cancel(asked))
            }
            Step::Went(at, amount, entry) => {
                let named = self.named(at, model);
                self.says(entry, -amount, false, named, None)
            }
            Step::CameBack(at, amount, entry) => {
                let named = self.named(at, model);
                self.says(entry, amount, true, named, None)
            }
            Step::Credit(at, amount, entry) => {
                let account = self.accounts[at];
                self.says(entry, amount, false, None, Some(account))
            }
            Step::Debit(amount, entry) => self.says(entry, -amount, false, None, None),
            Step::Suspect(from, to) => {
                let asked = transfer(self.accounts[from], self.accounts[to], SUSPECT);
                let mut command = asked.with_key().command;
                // What customers do themselves is measured.
                command.authority.scope = Owned::By(self.owner(from));
                command
            }
            Step::Look(at, look) => self.look(at, look, model),
            Step::Resolve(at, account) => {
                let asked = Resolve {
                    id: id(),
                    item: self.lies.get(at).copied().unwrap_or_else(id),
                    account: account.map_or(SystemAccount::Equity.id(EUR), |at| self.accounts[at]),
                    currency: EUR,
                    approval: self.approvals.pop().unwrap(),
                    digest: DIGEST,
                    sealed_reason: None,
                    maker: None,
                    checker: id(),
                    salt: tag(),
                };
                self.asked(Action::SuspenseResolve, Verb::Resolve(asked))
            }
        }
    }

    /// A decision about what waits; who sent it cancels, somebody of the bank releases or rejects.
    fn look(&self, at: usize, look: Look, model: &Model) -> Command {
        let (from, to) = model.waiting.get(at).map_or((0, 6), |one| (one.from, one.to));
        let (verb, by, action) = match look {
            Look::Release => (ReviewVerb::Release, id(), Action::ReviewDecide),
            Look::Reject => (ReviewVerb::Reject, id(), Action::ReviewDecide),
            Look::Cancel => (ReviewVerb::Cancel, self.owner(from), Action::TransferCancel),
        };
        let asked = DecideReview {
            id: self.waiting.get(at).copied().unwrap_or_else(id),
            account: self.accounts[from],
            to: self.accounts[to],
            verb,
            by,
            first: None,
            memo: None,
            value_date: None,
            salt: tag(),
            sealed_reason: Some(vec![7; 40]),
        };
        let mut command = self.asked(action, Verb::Review(asked));
        command.authority.caller.principal = Principal::User(by);
        command
    }

    fn asked(&self, action: Action, verb: Verb) -> Command {
        let mut command = deposit(self.accounts[0], 1).command;
        command.authority.action = action;
        command.verb = verb;
        command
    }

    fn change(&self, at: usize, to: AccountChange) -> Command {
        change(self.accounts[at], Side::Bank, to).command
    }

    pub(super) fn owner(&self, at: usize) -> UserId {
        self.owners[at * 2 / ACCOUNTS]
    }

    fn hold(&self, at: usize) -> HoldRef {
        self.holds.get(at).copied().unwrap_or_else(|| HoldRef {
            id: id(),
            account: self.accounts[0],
            to: self.accounts[1],
        })
    }

    fn payment(&self, at: usize, model: &Model) -> PaymentRef {
        let (from, to) = model.payments.get(at).map_or((0, 1), |paid| (paid.from, paid.to));
        PaymentRef {
            id: self.payments.get(at).copied().unwrap_or_else(id),
            account: self.accounts[from],
            to: self.accounts[to],
        }
    }

    fn named(&self, at: usize, model: &Model) -> Option<(PaymentId, AccountId)> {
        let payment = self.away.get(at)?;
        Some((*payment, self.accounts[model.away.get(at)?.from]))
    }

    fn posting(&self, kind: TransactionKind, from: usize, to: AccountId, minor: i64) -> Posting {
        let Verb::Post(posting) = transfer(self.accounts[from], to, minor).command.verb else {
            unreachable!()
        };
        Posting { kind, ..posting }
    }

    fn reversal(
        &mut self,
        of: TransactionId,
        kind: TransactionKind,
        from: AccountId,
        to: AccountId,
        minor: i64,
    ) -> Command {
        let new = NewReversal {
            id: id(),
            of,
            kind,
            from,
            to,
            amount: Amount::new(minor).unwrap(),
            currency: EUR,
            approval: self.approvals.pop().unwrap(),
            digest: DIGEST,
            sealed_reason: None,
            checker: id(),
            salt: tag(),
        };
        self.asked(Action::TransferReverse, Verb::Reverse(new))
    }

    /// An entry of a statement: what came is positive.
    fn says(
        &self,
        entry: u32,
        signed: i64,
        back: bool,
        payment: Option<(PaymentId, AccountId)>,
        account: Option<AccountId>,
    ) -> Command {
        let direction = if signed > 0 {
            Direction::Credit
        } else {
            Direction::Debit
        };
        let amount = Amount::new(signed.abs()).unwrap();
        let said = StatementEntry {
            id: id(),
            tag: tag_of("DE1", &entry.to_string(), direction, amount, EUR),
            direction,
            back,
            amount,
            currency: EUR,
            payment,
            account,
            value_date: None,
            memo: None,
            sealed: vec![1; 20],
            salt: tag(),
        };
        self.asked(Action::RailSettle, Verb::Settle(said))
    }

    /// Keeps the names of what a step made.
    pub(super) fn keep(&mut self, command: &Command, before: Sizes, model: &Model) {
        match &command.verb {
            Verb::Hold(_) => self.holds.truncate(model.holds.len()),
            Verb::Post(posting) if model.transfers.len() > before.1 => self.transfers.push(posting.id),
            Verb::Post(posting) if model.waiting.len() > before.5 => self.waiting.push(posting.id),
            Verb::Review(asked) if model.transfers.len() > before.1 => self.transfers.push(asked.id),
            Verb::Pay(new) if model.payments.len() > before.2 => self.payments.push(new.posting.id.cast()),
            Verb::Send(new) if model.away.len() > before.3 => self.away.push(new.posting.id.cast()),
            Verb::Settle(entry) if model.lies.len() > before.4 => self.lies.push(entry.id.cast()),
            _ => {}
        }
    }
}

/// How many there are of each thing.
pub(super) type Sizes = (usize, usize, usize, usize, usize, usize);

pub(super) const fn sizes(model: &Model) -> Sizes {
    (
        model.holds.len(),
        model.transfers.len(),
        model.payments.len(),
        model.away.len(),
        model.lies.len(),
        model.waiting.len(),
    )
}
