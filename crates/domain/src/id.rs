//! Identifiers: UUIDv7 (RFC 9562) inside, TypeID text outside (`acct_01j…`).
//!
//! An id names a thing and is never a secret: knowing one grants nothing. The type parameter keeps
//! an account's id from being passed where a user's is meant. Text form: TypeID specification 0.3,
//! a prefix, an underscore and 26 characters of Crockford's base 32.

use std::{cmp::Ordering, fmt, hash, marker::PhantomData, str::FromStr};

/// Length of the text after the prefix, in characters.
const SUFFIX_CHARS: usize = 26;
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// What an [`Id`] names; gives the prefix of its text form.
pub trait Kind {
    /// TypeID prefix, lower-case ASCII letters.
    const PREFIX: &'static str;
}

/// A 128-bit identifier of one kind of thing.
pub struct Id<K> {
    bytes: [u8; 16],
    kind: PhantomData<fn() -> K>,
}

/// The text is not an identifier of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {prefix} identifier")]
pub struct IdError {
    /// The prefix that was expected.
    pub prefix: &'static str,
}

impl<K> Id<K> {
    /// Takes the 16 bytes of a UUID as they are.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self {
            bytes,
            kind: PhantomData,
        }
    }

    /// The 16 bytes of the UUID.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.bytes
    }

    /// The same bytes under another name, where one thing is known by two (a transfer and its transaction).
    pub const fn cast<L>(self) -> Id<L> {
        Id::from_bytes(self.bytes)
    }
}

impl<K: Kind> Id<K> {
    const ERROR: IdError = IdError { prefix: K::PREFIX };

    /// Reads the text form of exactly this kind.
    ///
    /// # Errors
    /// [`IdError`] for another prefix, another length, upper case, or a character outside the alphabet.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let suffix = text
            .strip_prefix(K::PREFIX)
            .and_then(|rest| rest.strip_prefix('_'))
            .ok_or(Self::ERROR)?;
        decode(suffix).map(Self::from_bytes).ok_or(Self::ERROR)
    }
}

fn decode(suffix: &str) -> Option<[u8; 16]> {
    if suffix.len() != SUFFIX_CHARS {
        return None;
    }
    let mut value: u128 = 0;
    for (position, byte) in suffix.bytes().enumerate() {
        let digit = ALPHABET.iter().position(|known| *known == byte)?;
        // 26 characters carry 130 bits: the first may only hold the upper three of 128.
        if position == 0 && digit > 7 {
            return None;
        }
        value = value.checked_shl(5)? | u128::try_from(digit).ok()?;
    }
    Some(value.to_be_bytes())
}

fn encode(bytes: &[u8; 16], out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let value = u128::from_be_bytes(*bytes);
    let mut text = [0_u8; SUFFIX_CHARS];
    for (shift, slot) in (0..=125_u32).rev().step_by(5).zip(text.iter_mut()) {
        let digit = usize::try_from((value >> shift) & 31).unwrap_or_default();
        *slot = *ALPHABET.get(digit).unwrap_or(&b'0');
    }
    out.write_str(std::str::from_utf8(&text).unwrap_or_default())
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(K::PREFIX)?;
        out.write_str("_")?;
        encode(&self.bytes, out)
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl<K: Kind> FromStr for Id<K> {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes.cmp(&other.bytes)
    }
}
impl<K> hash::Hash for Id<K> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident, $alias:ident, $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub enum $kind {}
        impl Kind for $kind { const PREFIX: &'static str = $prefix; }
        #[doc = concat!("Identifier with the prefix `", $prefix, "_`.")]
        pub type $alias = Id<$kind>;
    )*};
}

kinds! {
    /// A human's login identity.
    UserKind, UserId, "user";
    /// A ledger account.
    AccountKind, AccountId, "acct";
    /// A journal record: entries that sum to zero.
    TransactionKind, TransactionId, "txn";
    /// A transfer, as the customer asked for it; a posted one shares the bytes of its transaction.
    TransferKind, TransferId, "tfr";
    /// A deposit over the counter.
    DepositKind, DepositId, "dep";
    /// A withdrawal over the counter.
    WithdrawalKind, WithdrawalId, "wdr";
    /// Somebody on a customer's list of payees.
    BeneficiaryKind, BeneficiaryId, "bnf";
    /// A file of a payment rail.
    RailFileKind, RailFileId, "rfile";
    /// Money that nobody could place; it has the bytes of its transaction.
    SuspenseItemKind, SuspenseItemId, "susp";
    /// Money reserved for a payee.
    HoldKind, HoldId, "hold";
    /// Somebody who is paid by customers.
    MerchantKind, MerchantId, "mrch";
    /// A payment to a merchant; it has the bytes of its transaction.
    PaymentKind, PaymentId, "pay";
    /// Something given back of a payment; it has the bytes of its transaction.
    RefundKind, RefundId, "rfnd";
    /// Server-side login state.
    SessionKind, SessionId, "sess";
    /// One request, as named in logs and answers.
    RequestKind, RequestId, "req";
    /// An attempt to register that waits for its e-mail to be confirmed.
    RegistrationKind, RegistrationId, "reg";
    /// An integration's key.
    ApiKeyKind, ApiKeyId, "key";
    /// A request that somebody else must approve.
    ApprovalKind, ApprovalId, "appr";
    /// A role given to a principal.
    GrantKind, GrantId, "grant";
    /// A decision about a request.
    DecisionKind, DecisionId, "dec";
    /// A policy of the bank's own.
    PolicyKind, PolicyId, "pol";
    /// A fresh proof of a factor that approves one request.
    StepUpKind, StepUpId, "stup";
    /// A passkey.
    PasskeyKind, PasskeyId, "pkey";
    /// A device that a person is known by.
    DeviceKind, DeviceId, "dev";
    /// A login by an issuer elsewhere.
    ExternalLoginKind, ExternalLoginId, "xlog";
    /// Failures of nobody in particular, counted together.
    SecurityEventKind, SecurityEventId, "sev";
    /// Something that people of the bank did against an incident.
    IncidentActionKind, IncidentActionId, "incact";
    /// Something that people of the bank are told of.
    AlertKind, AlertId, "alrt";
    /// What a person is told of within the bank.
    NoticeKind, NoticeId, "ntc";
    /// A message to a person.
    MailKind, MailId, "mail";
}

#[cfg(test)]
mod tests {
    use super::*;

    // Vectors of the TypeID specification 0.3 (valid.json, invalid.json), under a prefix of ours.
    #[test]
    fn text_form_follows_the_typeid_vectors() {
        for (suffix, hex) in [
            ("00000000000000000000000000", 0_u128),
            ("00000000000000000000000001", 1),
            ("0000000000000000000000000a", 10),
            ("0000000000000000000000000g", 16),
            ("00000000000000000000000010", 32),
            ("7zzzzzzzzzzzzzzzzzzzzzzzzz", u128::MAX),
            (
                "01h455vb4pex5vsknk084sn02q",
                0x0189_0a5d_ac96_774b_bcce_b302_099a_8057,
            ),
        ] {
            let id = UserId::from_bytes(hex.to_be_bytes());
            assert_eq!(id.to_string(), format!("user_{suffix}"));
            assert_eq!(UserId::parse(&format!("user_{suffix}")), Ok(id));
        }
    }

    #[test]
    fn text_of_another_kind_or_shape_is_refused() {
        let good = "acct_01h455vb4pex5vsknk084sn02q";
        assert!(AccountId::parse(good).is_ok());
        for bad in [
            "user_01h455vb4pex5vsknk084sn02q",
            "acct01h455vb4pex5vsknk084sn02q",
            "acct_01H455VB4PEX5VSKNK084SN02Q",
            "acct_01h455vb4pex5vsknk084sn02",
            "acct_01h455vb4pex5vsknk084sn02qq",
            "acct_81h455vb4pex5vsknk084sn02q",
            "acct_01h455vb4pex5vsknk084sn02l",
            "acct_01h455vb4pex5vsknk084sn0é",
            "_01h455vb4pex5vsknk084sn02q",
            "",
        ] {
            assert!(AccountId::parse(bad).is_err(), "{bad}");
        }
    }
}
