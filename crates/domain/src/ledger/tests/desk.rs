//! A bank on a desk: a book in memory, commands by short names, and a clock that stands still until told.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{AtomicU64, Ordering},
};

use sha2::{Digest, Sha256};

use super::laws;
use crate::{
    account::{Account, CustomerKind, FreezeScope, Side, SystemAccount},
    action::Action,
    audit::CompactRange,
    hold::Take,
    iban::Iban,
    id::{AccountId, HoldId, RequestId, TransactionId, UserId},
    ledger::{
        AccountChange, Answer, Authority, Book, Capture, Changes, Command, Done, Fingerprint, HoldRef,
        Idempotency, NewAccount, NewAllowance, NewHold, NewLimits, Owned, Posting, Refusal, Signer, Verb,
        decide,
    },
    limits::Caps,
    money::{Amount, Currency},
    principal::{Caller, Origin, Principal},
    time::{Date, Timestamp},
    transaction::{Transaction, TransactionKind},
};

pub(super) const EUR: Currency = Currency::EUR;
pub(super) const ALICE: UserId = UserId::from_bytes([0xa1; 16]);
pub(super) const BOB: UserId = UserId::from_bytes([0xb0; 16]);
pub(super) const TELLER: UserId = UserId::from_bytes([0x7e; 16]);
/// An id that no account has.
pub(super) const NOWHERE: AccountId = AccountId::from_bytes([0xee; 16]);
pub(super) const EPOCH: i64 = 5;
pub(super) const KEY_ID: i64 = 9;

pub(super) fn usd() -> Currency {
    Currency::parse("USD").unwrap()
}

/// A signer whose signature anybody can check again.
pub(super) struct Seal;

impl Signer for Seal {
    fn sign(&self, canonical: &[u8]) -> (i64, [u8; 32]) {
        let mac = Sha256::new().chain_update(b"seal").chain_update(canonical);
        (KEY_ID, mac.finalize().into())
    }
}

/// 16 bytes that no other call gave.
pub(super) fn draw() -> [u8; 16] {
    static DRAWN: AtomicU64 = AtomicU64::new(1);
    u128::from(DRAWN.fetch_add(1, Ordering::Relaxed)).to_be_bytes()
}

pub(super) fn number(part: u64) -> Iban {
    Iban::compose("DE", "10010010", &format!("{part:010}")).unwrap()
}

fn drawn_number() -> Iban {
    number(u64::try_from(u128::from_be_bytes(draw())).unwrap())
}

pub(super) fn amount(minor: i64) -> Amount {
    Amount::new(minor).unwrap()
}

pub(super) fn till(currency: Currency) -> AccountId {
    SystemAccount::Cash.id(currency)
}

pub(super) fn command(by: UserId, scope: Owned, action: Action, verb: Verb) -> Command {
    Command::plain(
        Authority {
            caller: Caller {
                principal: Principal::User(by),
                session: None,
                origin: Origin::Api,
            },
            action,
            scope,
            policy: 1,
            epoch: EPOCH,
            network: None,
        },
        RequestId::from_bytes(draw()),
        verb,
    )
}

/// The scope that this person's permits have: tellers act for anyone.
pub(super) fn scope_of(by: UserId) -> Owned {
    if by == TELLER {
        Owned::ByAnyone
    } else {
        Owned::By(by)
    }
}

pub(super) fn post(
    by: UserId,
    kind: TransactionKind,
    from: AccountId,
    to: impl Into<Option<AccountId>>,
    minor: i64,
    currency: Currency,
) -> Command {
    let action = match kind {
        TransactionKind::Transfer => Action::TransferCreate,
        TransactionKind::Deposit => Action::DepositCreate,
        TransactionKind::Withdrawal => Action::WithdrawalCreate,
        TransactionKind::Capture => Action::HoldCapture,
        TransactionKind::Payment => Action::PaymentCreate,
        TransactionKind::Refund => Action::PaymentRefund,
        TransactionKind::Reversal => Action::TransferReverse,
    };
    let posting = Posting {
        id: TransactionId::from_bytes(draw()),
        kind,
        from,
        to: to.into(),
        amount: amount(minor),
        currency,
        value_date: None,
        memo: None,
        salt: draw(),
    };
    command(by, scope_of(by), action, Verb::Post(posting))
}

/// A hold for an hour, in euros.
pub(super) fn hold(account: AccountId, to: impl Into<Option<AccountId>>, minor: i64) -> NewHold {
    NewHold {
        id: HoldId::from_bytes(draw()),
        account,
        to: to.into(),
        amount: amount(minor),
        currency: EUR,
        expires_at: Timestamp::parse("2026-11-20T10:00:00Z").unwrap(),
    }
}

pub(super) fn place(by: UserId, new: NewHold) -> Command {
    command(by, scope_of(by), Action::HoldPlace, Verb::Hold(new))
}

pub(super) fn capture(by: UserId, hold: HoldRef, minor: Option<i64>, last: bool) -> Command {
    let verb = Verb::Capture(Capture {
        id: TransactionId::from_bytes(draw()),
        hold,
        take: Take {
            amount: minor.map(amount),
            last,
        },
        currency: None,
        salt: draw(),
    });
    command(by, scope_of(by), Action::HoldCapture, verb)
}

/// A customer's own limits in the currency of an account.
pub(super) fn limit(by: UserId, account: AccountId, caps: Caps, may_raise: bool) -> Command {
    let verb = Verb::Limit(NewLimits {
        account,
        caps,
        may_raise,
        of_account: false,
    });
    command(by, scope_of(by), Action::LimitsChange, verb)
}

/// What an owner allows one account.
pub(super) fn limit_account(by: UserId, account: AccountId, caps: Caps, may_raise: bool) -> Command {
    let mut command = limit(by, account, caps, may_raise);
    if let Verb::Limit(new) = &mut command.verb {
        new.of_account = true;
    }
    command
}

/// What a customer is allowed, in the currency of an account.
pub(super) fn allow(by: UserId, account: AccountId, caps: Caps) -> Command {
    let verb = Verb::Allow(NewAllowance {
        account,
        caps,
        before: Caps::NONE,
        consent: None,
    });
    command(by, scope_of(by), Action::LimitsSet, verb)
}

pub(super) fn void(by: UserId, hold: HoldRef) -> Command {
    command(by, scope_of(by), Action::HoldVoid, Verb::Void(hold))
}

/// A transfer in euros.
pub(super) fn transfer(by: UserId, from: AccountId, to: impl Into<Option<AccountId>>, minor: i64) -> Command {
    post(by, TransactionKind::Transfer, from, to, minor, EUR)
}

/// Cash in, in euros, by the teller.
pub(super) fn deposit(to: impl Into<Option<AccountId>>, minor: i64) -> Command {
    post(TELLER, TransactionKind::Deposit, till(EUR), to, minor, EUR)
}

/// Cash out, in euros, by the teller.
pub(super) fn withdrawal(from: AccountId, minor: i64) -> Command {
    post(TELLER, TransactionKind::Withdrawal, from, till(EUR), minor, EUR)
}

pub(super) fn open(by: UserId, new: NewAccount) -> Command {
    command(by, scope_of(by), Action::AccountOpen, Verb::Open(new))
}

pub(super) fn new_account(owner: UserId, currency: Currency, overdraft: i64) -> NewAccount {
    NewAccount {
        id: AccountId::from_bytes(draw()),
        owner,
        kind: CustomerKind::Checking,
        currency,
        overdraft,
        number: drawn_number(),
        held_to_floor: None,
        sealed_name: vec![1, 2, 3],
    }
}

/// A change of state: on the owner's behalf, or, by the teller, on the bank's.
pub(super) fn change(by: UserId, account: AccountId, change: AccountChange) -> Command {
    let side = if by == TELLER { Side::Bank } else { Side::Owner };
    let action = match change {
        AccountChange::Freeze(_) => Action::AccountFreeze,
        AccountChange::Unfreeze => Action::AccountUnfreeze,
        AccountChange::Close => Action::AccountClose,
    };
    let verb = Verb::Change {
        account,
        side,
        change,
    };
    command(by, scope_of(by), action, verb)
}

pub(super) fn freeze(by: UserId, account: AccountId, scope: FreezeScope) -> Command {
    change(by, account, AccountChange::Freeze(scope))
}

pub(super) fn unfreeze(by: UserId, account: AccountId) -> Command {
    change(by, account, AccountChange::Unfreeze)
}

pub(super) fn close(by: UserId, account: AccountId) -> Command {
    change(by, account, AccountChange::Close)
}

/// The same under an idempotency key, with one digest per field.
pub(super) fn keyed(mut command: Command, key: u8, fields: &[u8]) -> Command {
    let digests = fields.iter().flat_map(|field| [*field; Fingerprint::FIELD_BYTES]);
    command.idempotency = Some(Idempotency {
        tag: [key; 16],
        fingerprint: Fingerprint::from_bytes(digests.collect()),
    });
    command
}

pub(super) fn dry(mut command: Command) -> Command {
    command.dry_run = true;
    command
}

/// The same with a permit from before the last revocation.
pub(super) fn stale(mut command: Command) -> Command {
    command.authority.epoch = EPOCH - 1;
    command
}

pub(super) fn refused(refusal: Refusal) -> Answer {
    Answer::Refused(refusal)
}

pub(super) fn posted(answer: &Answer) -> &Transaction {
    match answer {
        Answer::Done(done) => match &**done {
            Done::Posted(transaction) => transaction,
            other => panic!("not posted but {other:?}"),
        },
        other => panic!("not posted but {other:?}"),
    }
}

pub(super) fn is_done(answer: &Answer) -> bool {
    matches!(answer, Answer::Done(_))
}

/// The whole bank.
pub(super) struct Desk {
    pub(super) book: Book,
}

impl Desk {
    /// A bank without accounts on its first day, with a log that the batches append to.
    pub(super) fn new() -> Self {
        let booked_at = Timestamp::parse("2026-11-20T09:00:00Z").unwrap();
        Self {
            book: Book {
                accounts: HashMap::new(),
                outcomes: HashMap::new(),
                taken_numbers: HashSet::new(),
                step_ups: HashMap::new(),
                holds: HashMap::new(),
                budgets: HashMap::new(),
                nonces: HashMap::new(),
                limits: HashMap::new(),
                account_limits: HashMap::new(),
                bank_left: HashMap::new(),
                rules: Default::default(),
                fraud: crate::ledger::FraudBook::default(),
                payments: crate::ledger::PaymentBook::default(),
                sending: crate::ledger::SendingBook::default(),
                rail: crate::ledger::RailBook::default(),
                epoch: EPOCH,
                booked_at,
                today: Date::parse("2026-11-20").unwrap(),
                next_entry: 1,
                next_record: 1,
                log: Some(CompactRange::default()),
            },
        }
    }

    /// Decides a batch and holds it against the laws.
    pub(super) fn decide(&mut self, commands: &[Command]) -> (Changes, Vec<Answer>) {
        let before = self.book.clone();
        let (changes, answers) = decide(&mut self.book, commands, &Seal);
        laws::hold(&before, &self.book, commands, &changes, &answers);
        (changes, answers)
    }

    /// Decides one command.
    pub(super) fn one(&mut self, command: &Command) -> Answer {
        let (_, answers) = self.decide(std::slice::from_ref(command));
        answers.into_iter().next().unwrap()
    }

    /// Decides one command, which must succeed.
    pub(super) fn must(&mut self, command: &Command) {
        let answer = self.one(command);
        assert!(is_done(&answer), "{answer:?}");
    }

    /// A hold for an hour that is placed.
    pub(super) fn hold(&mut self, by: UserId, account: AccountId, to: AccountId, minor: i64) -> HoldRef {
        let new = hold(account, to, minor);
        let id = new.id;
        self.must(&place(by, new));
        HoldRef { id, account, to }
    }

    /// The clock goes on: what comes next is booked then.
    pub(super) fn at(&mut self, moment: &str) {
        self.book.booked_at = Timestamp::parse(moment).unwrap();
    }

    /// An account with an agreed overdraft.
    pub(super) fn with_overdraft(&mut self, owner: UserId, currency: Currency, overdraft: i64) -> AccountId {
        let new = new_account(owner, currency, overdraft);
        let id = new.id;
        self.must(&open(owner, new));
        id
    }

    /// An account with so much in it, brought as cash.
    pub(super) fn account_in(&mut self, owner: UserId, currency: Currency, minor: i64) -> AccountId {
        let id = self.with_overdraft(owner, currency, 0);
        if minor > 0 {
            let from = till(currency);
            self.must(&post(TELLER, TransactionKind::Deposit, from, id, minor, currency));
        }
        id
    }

    /// An account in euros.
    pub(super) fn account(&mut self, owner: UserId, minor: i64) -> AccountId {
        self.account_in(owner, EUR, minor)
    }

    pub(super) fn get(&self, id: AccountId) -> &Account {
        &self.book.accounts[&id]
    }

    pub(super) fn edit(&mut self, id: AccountId) -> &mut Account {
        self.book.accounts.get_mut(&id).unwrap()
    }

    pub(super) fn balance(&self, id: AccountId) -> i64 {
        self.get(id).balance
    }
}
