//! An audit record and its canonical bytes: version 1, big-endian, every variable part with its length.

mod paid;

use sha2::{Digest, Sha256};

pub use paid::Stated;

use crate::{
    account::Account,
    audit::{leaf, tree::Hash},
    hold::Hold,
    id::{AccountId, ApprovalId, RequestId, TransactionId, UserId},
    ledger::Reversal,
    payment::Payment,
    principal::Caller,
    time::Timestamp,
};

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Object {
    /// The bank as a whole.
    Bank,
    /// An account.
    Account(AccountId),
    /// A transaction.
    Transaction(TransactionId),
    /// A user.
    User(UserId),
    /// Anything else that has an id: a session, a grant, a key. The name says which.
    Other(&'static str, [u8; 16]),
}

impl Object {
    /// The stable name of the kind of object.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Bank => "bank",
            Self::Account(_) => "account",
            Self::Transaction(_) => "transaction",
            Self::User(_) => "user",
            Self::Other(kind, _) => kind,
        }
    }

    /// The 16 bytes of its id; zeros for the bank.
    pub const fn id_bytes(self) -> [u8; 16] {
        match self {
            Self::Bank => [0; 16],
            Self::Account(id) => *id.as_bytes(),
            Self::Transaction(id) => *id.as_bytes(),
            Self::User(id) => *id.as_bytes(),
            Self::Other(_, id) => id,
        }
    }
}

/// What changed, as canonical bytes: a first byte that says which form, then the form's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details(Vec<u8>);

impl Details {
    const NONE: u8 = 0;
    const TRANSACTION: u8 = 1;
    const ACCOUNT: u8 = 2;
    const JSON: u8 = 3;
    const OPENED: u8 = 4;
    const HOLD: u8 = 5;
    const CAPTURED: u8 = 6;
    const PAID: u8 = 7;
    const REVERSED: u8 = 8;
    const APPROVED: u8 = 9;
    const JUDGED: u8 = 10;
    const SENT: u8 = 11;
    const STATED: u8 = 12;
    const NOTED: u8 = 13;
    /// The forms that begin with the digest of a transaction and say more after it.
    const BOOKED: [u8; 6] = [
        Self::CAPTURED,
        Self::PAID,
        Self::REVERSED,
        Self::APPROVED,
        Self::SENT,
        Self::STATED,
    ];
    /// Bytes of an account's state: freezes, closed, whether there is a floor, the floor.
    const STATE_BYTES: usize = 11;

    /// Nothing beyond the action itself.
    pub fn none() -> Self {
        Self(vec![Self::NONE])
    }

    /// A booked transaction, by its digest (see [`crate::transaction::Transaction::digest`]).
    pub fn transaction(digest: &[u8; 32]) -> Self {
        let mut bytes = vec![Self::TRANSACTION];
        bytes.extend_from_slice(digest);
        Self(bytes)
    }

    /// A booked transaction, by its digest, and the approval that it was done by.
    pub fn approved(digest: &[u8; 32], approval: ApprovalId) -> Self {
        let mut bytes = vec![Self::APPROVED];
        bytes.extend_from_slice(digest);
        bytes.extend_from_slice(approval.as_bytes());
        Self(bytes)
    }

    /// An account's state after the change: freezes, closed, floor.
    pub fn account(freezes: u8, closed: bool, floor: Option<i64>) -> Self {
        let mut bytes = vec![
            Self::ACCOUNT,
            freezes,
            u8::from(closed),
            u8::from(floor.is_some()),
        ];
        bytes.extend_from_slice(&floor.unwrap_or(0).to_be_bytes());
        Self(bytes)
    }

    /// A new account: its state, as [`Self::account`] writes it, and what never changes afterwards ([`Opening`]).
    pub fn opened(account: &Account, number: &str) -> Self {
        let mut details = Self::account(account.freezes.bits(), account.closed, account.floor);
        let owner = account.owner.as_ref().map_or(&[0; 16], UserId::as_bytes);
        if let Some(form) = details.0.first_mut() {
            *form = Self::OPENED;
        }
        details.0.extend_from_slice(owner);
        details
            .0
            .extend_from_slice(&account.kind.ledger_code().to_be_bytes());
        details.0.extend_from_slice(&account.currency.code_bytes());
        details.0.extend_from_slice(&number_digest(account.id, number));
        details
    }

    /// A hold as it was left.
    pub fn hold(hold: &Hold) -> Self {
        let mut bytes = vec![Self::HOLD];
        bytes.extend_from_slice(&hold.bytes());
        Self(bytes)
    }

    /// A booked transaction, by its digest, and the hold that it was paid out of as it was left.
    pub fn captured(digest: &[u8; 32], hold: &Hold) -> Self {
        let mut bytes = vec![Self::CAPTURED];
        bytes.extend_from_slice(digest);
        bytes.extend_from_slice(&hold.bytes());
        Self(bytes)
    }

    /// A booked transaction, by its digest, how much it moved, and the payment as it was left.
    pub fn paid(digest: &[u8; 32], moved: i64, payment: &Payment) -> Self {
        let mut bytes = vec![Self::PAID];
        bytes.extend_from_slice(digest);
        bytes.extend_from_slice(&moved.to_be_bytes());
        bytes.extend_from_slice(&payment.bytes());
        Self(bytes)
    }

    /// A booked contra transaction, by its digest, the transaction that it takes back, the approval that it was done
    /// by, how much it moved, and the payment as it was left, where it was one.
    pub fn reversed(digest: &[u8; 32], reversal: &Reversal, moved: i64, payment: Option<&Payment>) -> Self {
        let mut bytes = vec![Self::REVERSED];
        bytes.extend_from_slice(digest);
        bytes.extend_from_slice(reversal.of.as_bytes());
        bytes.extend_from_slice(reversal.approval.as_bytes());
        bytes.extend_from_slice(&moved.to_be_bytes());
        bytes.extend_from_slice(&payment.map(Payment::bytes).unwrap_or_default());
        Self(bytes)
    }

    /// The payment as it was left and how much was moved, where the record is about one.
    pub fn payment_state(&self) -> Option<(Payment, i64)> {
        let rest = match self.split_first() {
            Some((&Self::PAID, rest)) => rest.split_at_checked(32)?.1,
            Some((&Self::REVERSED, rest)) => rest.split_at_checked(64)?.1,
            _ => return None,
        };
        let (moved, payment) = rest.split_first_chunk::<8>()?;
        Some((Payment::from_bytes(payment)?, i64::from_be_bytes(*moved)))
    }

    /// What was taken back and by which approval, where the record is about that.
    pub fn reversal(&self) -> Option<(TransactionId, ApprovalId)> {
        let (&Self::REVERSED, rest) = self.split_first()? else {
            return None;
        };
        let (_, rest) = rest.split_at_checked(32)?;
        let (of, rest) = rest.split_first_chunk::<16>()?;
        let (approval, _) = rest.split_first_chunk::<16>()?;
        Some((TransactionId::from_bytes(*of), ApprovalId::from_bytes(*approval)))
    }

    /// The approval that a movement was done by, where the record is about that.
    pub fn approval(&self) -> Option<ApprovalId> {
        if let Some((_, approval)) = self.reversal() {
            return Some(approval);
        }
        let (&Self::APPROVED, rest) = self.split_first()? else {
            return None;
        };
        let (_, approval) = rest.split_at_checked(32)?;
        Some(ApprovalId::from_bytes(*approval.first_chunk()?))
    }

    /// The hold as it was left, where the record is about one.
    pub fn hold_state(&self) -> Option<Hold> {
        match self.split_first() {
            Some((&Self::HOLD, hold)) => Hold::from_bytes(hold),
            Some((&Self::CAPTURED, both)) => Hold::from_bytes(both.split_at_checked(32)?.1),
            _ => None,
        }
    }

    /// These, of a movement that was held against the rules about fraud of a revision. The program's own, 0, are not
    /// named.
    #[must_use]
    pub fn judged_by(self, revision: u32) -> Self {
        if revision == 0 {
            return self;
        }
        let mut bytes = vec![Self::JUDGED];
        bytes.extend_from_slice(&revision.to_be_bytes());
        bytes.extend_from_slice(&self.0);
        Self(bytes)
    }

    /// Revision of the rules about fraud that the movement was held against, where the record names one.
    pub fn fraud_rules(&self) -> Option<u32> {
        let (&Self::JUDGED, rest) = self.0.split_first()? else {
            return None;
        };
        rest.first_chunk().map(|revision| u32::from_be_bytes(*revision))
    }

    /// The form and what follows it, by whatever rules it was judged.
    fn split_first(&self) -> Option<(&u8, &[u8])> {
        let whole = match self.0.split_first() {
            Some((&Self::JUDGED, rest)) => rest.split_at_checked(4)?.1,
            _ => self.0.as_slice(),
        };
        whole.split_first()
    }

    /// Canonical JSON (keys sorted, no spaces). Ids and commitments only, never personal data.
    pub fn json(text: &str) -> Self {
        let mut bytes = vec![Self::JSON];
        bytes.extend_from_slice(text.as_bytes());
        Self(bytes)
    }

    /// The digest of the transaction, where the record is about one.
    pub fn transaction_digest(&self) -> Option<[u8; 32]> {
        match self.split_first() {
            Some((&Self::TRANSACTION, digest)) => digest.try_into().ok(),
            Some((&form, both)) if Self::BOOKED.contains(&form) => both.first_chunk().copied(),
            _ => None,
        }
    }

    /// The account state, where the record carries one: freezes, closed, floor.
    pub fn account_state(&self) -> Option<(u8, bool, Option<i64>)> {
        let state = match self.split_first() {
            Some((&Self::ACCOUNT, state)) => state,
            Some((&Self::OPENED, both)) => both.split_at_checked(Self::STATE_BYTES)?.0,
            _ => return None,
        };
        match state {
            [freezes, closed, has_floor, floor @ ..] => {
                let floor = i64::from_be_bytes(floor.try_into().ok()?);
                Some((*freezes, *closed == 1, (*has_floor == 1).then_some(floor)))
            }
            _ => None,
        }
    }

    /// What the record of an opening binds for good.
    pub fn opened_as(&self) -> Option<Opening> {
        let (&Self::OPENED, both) = self.split_first()? else {
            return None;
        };
        let (_, fixed) = both.split_at_checked(Self::STATE_BYTES)?;
        let (owner, rest) = fixed.split_first_chunk()?;
        let (code, rest) = rest.split_first_chunk()?;
        let (currency, number) = rest.split_first_chunk()?;
        Some(Opening {
            owner: *owner,
            ledger_code: u16::from_be_bytes(*code),
            currency: *currency,
            number: number.try_into().ok()?,
        })
    }

    /// The JSON text, where the record carries one.
    pub fn json_text(&self) -> Option<&str> {
        match self.split_first() {
            Some((&Self::JSON, text)) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }

    /// The stored bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes stored bytes back.
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// What the record of an opening binds for good: an account that is given to somebody else in the database, or to
/// another number, is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// The owner's id.
    pub owner: [u8; 16],
    /// [`crate::account::AccountKind::ledger_code`].
    pub ledger_code: u16,
    /// The currency's code.
    pub currency: [u8; 3],
    /// [`number_digest`] of the account's number.
    pub number: [u8; 32],
}

/// Digest of an account's number, as the record of the opening binds it. It hides nothing that the account's row does
/// not show beside it, and keeps the number itself out of the log.
pub fn number_digest(account: AccountId, number: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"strongroom/number/v1")
        .chain_update(account.as_bytes())
        .chain_update(number)
        .finalize()
        .into()
}

/// Digest of a list of values as a record binds it: whether each is there, its length, and its bytes, so that no two
/// lists have one digest. `what` keeps lists of different kinds apart.
pub fn facts_digest(what: &str, facts: &[Option<String>]) -> [u8; 32] {
    let mut digest = Sha256::new()
        .chain_update(b"strongroom/facts/v1")
        .chain_update(what)
        .chain_update([0]);
    for fact in facts {
        let length = fact
            .as_ref()
            .map_or(u64::MAX, |text| u64::try_from(text.len()).unwrap_or(u64::MAX));
        digest.update(length.to_be_bytes());
        digest.update(fact.as_deref().unwrap_or_default());
    }
    digest.finalize().into()
}

/// One audit record, before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Ascending id, unique in the log's database.
    pub id: i64,
    /// When it happened.
    pub at: Timestamp,
    /// The request that caused it.
    pub request: RequestId,
    /// Who acted, from where.
    pub caller: Caller,
    /// What was done or refused, as the authorization names it (`transfer.create`).
    pub action: &'static str,
    /// To what.
    pub object: Object,
    /// `ok`, or the stable code of the refusal.
    pub outcome: &'static str,
    /// Version of the policy that allowed or refused.
    pub policy: i32,
    /// What changed.
    pub details: Details,
}

/// First byte of the canonical bytes.
pub(super) const VERSION: u8 = 1;

impl Record {
    /// The canonical bytes that are signed and hashed.
    pub fn canonical(&self) -> Vec<u8> {
        canonical(&Canonical {
            id: self.id,
            at: self.at.micros(),
            request: self.request.as_bytes(),
            principal_kind: self.caller.principal.tag(),
            principal_id: &self.caller.principal.id_bytes(),
            session: self.caller.session.as_ref().map_or(&[0; 16], |id| id.as_bytes()),
            origin: self.caller.origin.tag(),
            action: self.action,
            object_kind: self.object.kind(),
            object_id: &self.object.id_bytes(),
            outcome: self.outcome,
            policy: self.policy,
            details: self.details.as_bytes(),
        })
    }
}

/// A record as it stands in the log: what its row says, with the HMAC of the node that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRecord {
    /// Ascending id.
    pub id: i64,
    /// Microseconds since the epoch.
    pub at: i64,
    /// The request's id.
    pub request: [u8; 16],
    /// [`crate::principal::Principal::tag`].
    pub principal_kind: u8,
    /// Who.
    pub principal_id: [u8; 16],
    /// The session, zeros where there was none.
    pub session: [u8; 16],
    /// [`crate::principal::Origin::tag`].
    pub origin: u8,
    /// What was done or refused.
    pub action: String,
    /// Kind of object.
    pub object_kind: String,
    /// The object's id.
    pub object_id: [u8; 16],
    /// `ok` or the code of the refusal.
    pub outcome: String,
    /// Version of the policy.
    pub policy: i32,
    /// What changed.
    pub details: Details,
    /// Key id of the HMAC.
    pub mac_key: i64,
    /// HMAC-SHA256 over the canonical bytes.
    pub mac: [u8; 32],
}

impl SignedRecord {
    /// Joins a record with its HMAC.
    pub fn new(record: Record, mac_key: i64, mac: [u8; 32]) -> Self {
        Self {
            id: record.id,
            at: record.at.micros(),
            request: *record.request.as_bytes(),
            principal_kind: record.caller.principal.tag(),
            principal_id: record.caller.principal.id_bytes(),
            session: record.caller.session.map_or([0; 16], |id| *id.as_bytes()),
            origin: record.caller.origin.tag(),
            action: record.action.to_owned(),
            object_kind: record.object.kind().to_owned(),
            object_id: record.object.id_bytes(),
            outcome: record.outcome.to_owned(),
            policy: record.policy,
            details: record.details,
            mac_key,
            mac,
        }
    }

    /// The canonical bytes, from what the row says.
    pub fn canonical(&self) -> Vec<u8> {
        canonical(&Canonical {
            id: self.id,
            at: self.at,
            request: &self.request,
            principal_kind: self.principal_kind,
            principal_id: &self.principal_id,
            session: &self.session,
            origin: self.origin,
            action: &self.action,
            object_kind: &self.object_kind,
            object_id: &self.object_id,
            outcome: &self.outcome,
            policy: self.policy,
            details: self.details.as_bytes(),
        })
    }

    /// The leaf of the tree; see [`leaf`](mod@crate::audit::leaf) for what it covers.
    pub fn leaf(&self) -> Hash {
        self.leaf_of(self.canonical())
    }

    /// As [`Self::leaf`], where the canonical bytes are at hand.
    pub fn leaf_of(&self, canonical: Vec<u8>) -> Hash {
        leaf::of_record(canonical, self.mac_key, &self.mac)
    }
}

struct Canonical<'a> {
    id: i64,
    at: i64,
    request: &'a [u8; 16],
    principal_kind: u8,
    principal_id: &'a [u8; 16],
    session: &'a [u8; 16],
    origin: u8,
    action: &'a str,
    object_kind: &'a str,
    object_id: &'a [u8; 16],
    outcome: &'a str,
    policy: i32,
    details: &'a [u8],
}

fn canonical(record: &Canonical<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.push(VERSION);
    out.extend_from_slice(&record.id.to_be_bytes());
    out.extend_from_slice(&record.at.to_be_bytes());
    out.extend_from_slice(record.request);
    out.push(record.principal_kind);
    out.extend_from_slice(record.principal_id);
    out.extend_from_slice(record.session);
    out.push(record.origin);
    part(&mut out, record.action.as_bytes());
    part(&mut out, record.object_kind.as_bytes());
    out.extend_from_slice(record.object_id);
    part(&mut out, record.outcome.as_bytes());
    out.extend_from_slice(&record.policy.to_be_bytes());
    part(&mut out, record.details);
    out
}

/// A part of variable length: four bytes of length, then the bytes, so that no two records have equal bytes.
fn part(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests;
