//! Commands as the application makes them, with made-up ids.

use std::sync::atomic::{AtomicU64, Ordering};

use strongroom_domain::{
    account::{CustomerKind, Side},
    action::Action,
    audit::leaf_hash,
    hold::Take,
    iban::Iban,
    id::{AccountId, Id, TransactionId, UserId},
    ledger::{
        AccountChange, Authority, Capture, Command, Fingerprint, HoldRef, Idempotency, IdempotencyTag,
        NewAccount, NewHold, Owned, Posting, SealedMemo, Verb,
    },
    money::Amount,
    principal::{Caller, Origin, Principal},
    time::Timestamp,
    transaction::TransactionKind,
};

use super::{EUR, till};

static NEXT: AtomicU64 = AtomicU64::new(1);

fn next() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// An id larger than all before it, as time-ordered ids are.
pub(crate) fn id<K>() -> Id<K> {
    let n = next();
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    bytes[8..].copy_from_slice(&leaf_hash(&n.to_be_bytes())[..8]);
    Id::from_bytes(bytes)
}

/// 128 bits without an order.
pub(crate) fn tag() -> IdempotencyTag {
    leaf_hash(&next().to_le_bytes())[..16].try_into().unwrap()
}

pub(crate) fn iban() -> Iban {
    Iban::compose("DE", "10010010", &format!("{:010}", next())).unwrap()
}

/// A command that can still be changed.
pub(crate) struct Asked {
    pub(crate) command: Command,
}

impl Asked {
    /// Under this idempotency key, for a request of these bytes.
    pub(crate) fn keyed(mut self, tag: IdempotencyTag, request: u8) -> Self {
        self.command.idempotency = Some(Idempotency {
            tag,
            fingerprint: Fingerprint::from_bytes(vec![request; Fingerprint::FIELD_BYTES]),
        });
        self
    }

    /// Under a key of its own.
    pub(crate) fn with_key(self) -> Self {
        self.keyed(tag(), 1)
    }

    /// With a text of this many sealed bytes.
    pub(crate) fn with_memo(mut self, person: UserId, bytes: usize) -> Self {
        if let Verb::Post(posting) = &mut self.command.verb {
            posting.memo = Some(SealedMemo {
                commitment: [7; 32],
                person,
                sealed: vec![9; bytes],
            });
        }
        self
    }

    pub(crate) fn dry(mut self) -> Self {
        self.command.dry_run = true;
        self
    }

    pub(crate) fn at_epoch(mut self, epoch: i64) -> Self {
        self.command.authority.epoch = epoch;
        self
    }
}

fn asked(action: Action, verb: Verb) -> Asked {
    Asked {
        command: Command::plain(
            Authority {
                caller: Caller {
                    principal: Principal::User(id()),
                    session: Some(id()),
                    origin: Origin::Api,
                },
                action,
                scope: Owned::ByAnyone,
                policy: 1,
                epoch: 1,
                network: None,
            },
            id(),
            verb,
        ),
    }
}

fn posting(kind: TransactionKind, from: AccountId, to: Option<AccountId>, minor: i64) -> Verb {
    let transaction: TransactionId = id();
    Verb::Post(Posting {
        id: transaction,
        kind,
        from,
        to,
        amount: Amount::new(minor).unwrap(),
        currency: EUR,
        value_date: None,
        memo: None,
        salt: tag(),
    })
}

pub(crate) fn deposit(to: AccountId, minor: i64) -> Asked {
    asked(
        Action::DepositCreate,
        posting(TransactionKind::Deposit, till(), Some(to), minor),
    )
}

pub(crate) fn withdraw(from: AccountId, minor: i64) -> Asked {
    asked(
        Action::WithdrawalCreate,
        posting(TransactionKind::Withdrawal, from, Some(till()), minor),
    )
}

pub(crate) fn transfer(from: AccountId, to: AccountId, minor: i64) -> Asked {
    asked(
        Action::TransferCreate,
        posting(TransactionKind::Transfer, from, Some(to), minor),
    )
}

pub(crate) fn open_account(owner: UserId) -> Asked {
    asked(
        Action::AccountOpen,
        Verb::Open(NewAccount {
            id: id(),
            owner,
            kind: CustomerKind::Checking,
            currency: EUR,
            overdraft: 0,
            number: iban(),
            held_to_floor: None,
            sealed_name: vec![4; 30],
        }),
    )
}

pub(crate) fn change(account: AccountId, side: Side, change: AccountChange) -> Asked {
    asked(
        Action::AccountFreeze,
        Verb::Change {
            account,
            side,
            change,
        },
    )
}

/// A hold until this moment.
pub(crate) fn hold(account: AccountId, to: AccountId, minor: i64, expires_at: Timestamp) -> (Asked, HoldRef) {
    let reference = HoldRef {
        id: id(),
        account,
        to,
    };
    let new = NewHold {
        id: reference.id,
        account,
        to: Some(to),
        amount: Amount::new(minor).unwrap(),
        currency: EUR,
        expires_at,
    };
    (asked(Action::HoldPlace, Verb::Hold(new)), reference)
}

/// So much out of a hold, or all of it.
pub(crate) fn capture(hold: HoldRef, minor: Option<i64>, last: bool) -> Asked {
    asked(
        Action::HoldCapture,
        Verb::Capture(Capture {
            id: id(),
            hold,
            take: Take {
                amount: minor.map(|minor| Amount::new(minor).unwrap()),
                last,
            },
            currency: None,
            salt: tag(),
        }),
    )
}

pub(crate) fn void(hold: HoldRef) -> Asked {
    asked(Action::HoldVoid, Verb::Void(hold))
}
