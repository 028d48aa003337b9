//! Ledger accounts: what the books know of them, and the chart of the bank's own.

mod path;

pub use path::SkipPath;

use sha2::{Digest, Sha256};

use crate::{
    id::{AccountId, UserId},
    money::Currency,
    time::Timestamp,
};

/// What a customer's account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CustomerKind {
    /// Daily money.
    Checking,
    /// Money put aside.
    Savings,
}

/// The bank's own accounts, one of each per currency. The number is the chart's ledger code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SystemAccount {
    /// Asset: cash in the tills.
    Cash,
    /// Asset: what other banks owe us, moved by the rails.
    Clearing,
    /// Liability: money whose owner is not known yet.
    Suspense,
    /// Equity: the owners' funds.
    Equity,
    /// Income: fees.
    FeeIncome,
    /// Expense: interest paid to customers.
    InterestExpense,
}

/// The five classes of double-entry bookkeeping; assets and expenses grow on the debit side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// What the bank has.
    Asset,
    /// What the bank owes.
    Liability,
    /// What belongs to the owners.
    Equity,
    /// What the bank earned.
    Income,
    /// What the bank spent.
    Expense,
}

impl Class {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Asset => "asset",
            Self::Liability => "liability",
            Self::Equity => "equity",
            Self::Income => "income",
            Self::Expense => "expense",
        }
    }

    /// Whether the class grows on the debit side.
    pub const fn is_debit_normal(self) -> bool {
        matches!(self, Self::Asset | Self::Expense)
    }
}

/// What an account is: a customer's or the bank's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccountKind {
    /// A customer's: a liability of the bank.
    Customer(CustomerKind),
    /// The bank's own.
    System(SystemAccount),
}

impl AccountKind {
    /// Every kind there is.
    pub const ALL: [Self; 8] = [
        Self::Customer(CustomerKind::Checking),
        Self::Customer(CustomerKind::Savings),
        Self::System(SystemAccount::Cash),
        Self::System(SystemAccount::Clearing),
        Self::System(SystemAccount::Suspense),
        Self::System(SystemAccount::Equity),
        Self::System(SystemAccount::FeeIncome),
        Self::System(SystemAccount::InterestExpense),
    ];

    /// The stable name in the database and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Customer(CustomerKind::Checking) => "checking",
            Self::Customer(CustomerKind::Savings) => "savings",
            Self::System(system) => system.name(),
        }
    }

    /// Reads the stable name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its class in the chart.
    pub const fn class(self) -> Class {
        match self {
            Self::Customer(_) | Self::System(SystemAccount::Suspense) => Class::Liability,
            Self::System(SystemAccount::Cash | SystemAccount::Clearing) => Class::Asset,
            Self::System(SystemAccount::Equity) => Class::Equity,
            Self::System(SystemAccount::FeeIncome) => Class::Income,
            Self::System(SystemAccount::InterestExpense) => Class::Expense,
        }
    }

    /// Its code in the chart of accounts.
    pub const fn ledger_code(self) -> u16 {
        match self {
            Self::System(SystemAccount::Cash) => 1000,
            Self::System(SystemAccount::Clearing) => 1100,
            Self::Customer(CustomerKind::Checking) => 2000,
            Self::Customer(CustomerKind::Savings) => 2100,
            Self::System(SystemAccount::Suspense) => 2900,
            Self::System(SystemAccount::Equity) => 3000,
            Self::System(SystemAccount::FeeIncome) => 4000,
            Self::System(SystemAccount::InterestExpense) => 5000,
        }
    }
}

impl SystemAccount {
    /// All of the chart.
    pub const ALL: [Self; 6] = [
        Self::Cash,
        Self::Clearing,
        Self::Suspense,
        Self::Equity,
        Self::FeeIncome,
        Self::InterestExpense,
    ];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cash => "cash",
            Self::Clearing => "clearing",
            Self::Suspense => "suspense",
            Self::Equity => "equity",
            Self::FeeIncome => "fee_income",
            Self::InterestExpense => "interest_expense",
        }
    }

    /// The id of this account in a currency: derived from both names (a UUIDv8, RFC 9562 5.8), so that every
    /// node names the same account without asking.
    pub fn id(self, currency: Currency) -> AccountId {
        let digest = Sha256::new()
            .chain_update(b"strongroom/system-account/v1/")
            .chain_update(self.name())
            .chain_update(b"/")
            .chain_update(currency.code())
            .finalize();
        let mut bytes = [0_u8; 16];
        for (slot, byte) in bytes.iter_mut().zip(digest) {
            *slot = byte;
        }
        bytes[6] = (bytes[6] & 0x0f) | 0x80;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        AccountId::from_bytes(bytes)
    }
}

/// Which side of the counter set a freeze. Only the same side can lift it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The account's owner.
    Owner,
    /// An operator of the bank.
    Bank,
}

/// What a freeze stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FreezeScope {
    /// Money going out; deposits still arrive.
    Debits,
    /// Money in both directions.
    All,
}

/// The freezes on an account: at most one by each side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Freezes(u8);

impl Freezes {
    /// No freeze.
    pub const NONE: Self = Self(0);
    const BITS: u8 = 0b1111;

    /// From the stored number (bit 0 owner debits, 1 owner all, 2 bank debits, 3 bank all).
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits & !Self::BITS == 0 {
            Some(Self(bits))
        } else {
            None
        }
    }

    /// The stored number.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether any side stops money going out.
    pub const fn stops_debits(self) -> bool {
        self.0 != 0
    }

    /// Whether any side stops money coming in.
    pub const fn stops_credits(self) -> bool {
        self.0 & 0b1010 != 0
    }

    /// What a side has frozen.
    pub const fn by(self, side: Side) -> Option<FreezeScope> {
        match (side, self.0 & 0b0011, self.0 & 0b1100) {
            (Side::Owner, 0b0001, _) | (Side::Bank, _, 0b0100) => Some(FreezeScope::Debits),
            (Side::Owner, 0, _) | (Side::Bank, _, 0) => None,
            _ => Some(FreezeScope::All),
        }
    }

    /// With this side's freeze replaced.
    #[must_use]
    pub const fn with(self, side: Side, scope: Option<FreezeScope>) -> Self {
        let bits = match scope {
            None => 0,
            Some(FreezeScope::Debits) => 1,
            Some(FreezeScope::All) => 2,
        };
        match side {
            Side::Owner => Self((self.0 & 0b1100) | bits),
            Side::Bank => Self((self.0 & 0b0011) | (bits << 2)),
        }
    }
}

/// An account as the books hold it while a batch decides.
///
/// `balance`, `held` and `floor` are minor units, positive on the credit side: what the bank owes. A till with
/// 100.00 in it therefore stands at −10000, as an asset's debit balance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Whose it is; `None` for the bank's own.
    pub owner: Option<UserId>,
    /// What it is.
    pub kind: AccountKind,
    /// Its only currency.
    pub currency: Currency,
    /// The lowest `balance − held` may fall: 0, or minus the agreed overdraft; `None` without a bound (the bank's own).
    pub floor: Option<i64>,
    /// Who stopped what.
    pub freezes: Freezes,
    /// Closed for good.
    pub closed: bool,
    /// Sum of all entries.
    pub balance: i64,
    /// Reserved by open holds, those whose time is over included until a batch has released them.
    pub held: i64,
    /// Number of open holds.
    pub holds: u32,
    /// No open hold expires before this; `None` where there is none. May lie before the first one's end.
    pub hold_due: Option<Timestamp>,
    /// Number of entries so far; the newest one's sequence number.
    pub entries: u64,
    /// When the newest entry was booked.
    pub last_booked_at: Timestamp,
    /// Where the newest entry is, and how to walk back from it in O(log n) steps.
    pub path: SkipPath,
}

impl Account {
    /// What may be spent now: balance − held − floor; `None` where there is no bound.
    pub fn spendable(&self) -> Option<i64> {
        self.floor
            .map(|floor| self.balance.saturating_sub(self.held).saturating_sub(floor))
    }

    /// The state that people see; a freeze by either side shows as frozen.
    pub const fn state(&self) -> &'static str {
        if self.closed {
            "closed"
        } else if self.freezes.stops_debits() {
            "frozen"
        } else {
            "active"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freeze_belongs_to_the_side_that_set_it() {
        let by_bank = Freezes::NONE.with(Side::Bank, Some(FreezeScope::All));
        let both = by_bank.with(Side::Owner, Some(FreezeScope::Debits));
        assert_eq!(both.by(Side::Owner), Some(FreezeScope::Debits));
        assert_eq!(both.by(Side::Bank), Some(FreezeScope::All));
        assert_eq!(both.with(Side::Owner, None), by_bank);
        let debits = Freezes::NONE.with(Side::Owner, Some(FreezeScope::Debits));
        assert!(debits.stops_debits() && !debits.stops_credits());
        assert!(by_bank.stops_debits() && by_bank.stops_credits());
        assert_eq!(Freezes::from_bits(16), None);
    }

    #[test]
    fn kinds_keep_their_names_and_codes_apart() {
        let mut codes: Vec<_> = AccountKind::ALL.iter().map(|kind| kind.ledger_code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), AccountKind::ALL.len());
        for kind in AccountKind::ALL {
            assert_eq!(AccountKind::parse(kind.name()), Some(kind));
        }
    }

    #[test]
    fn system_accounts_have_ids_that_never_change() {
        assert_eq!(
            SystemAccount::Cash.id(Currency::EUR).to_string(),
            SystemAccount::Cash
                .id(Currency::parse("EUR").unwrap())
                .to_string()
        );
        assert_ne!(
            SystemAccount::Cash.id(Currency::EUR),
            SystemAccount::Suspense.id(Currency::EUR)
        );
        assert_ne!(
            SystemAccount::Cash.id(Currency::EUR),
            SystemAccount::Cash.id(Currency::parse("USD").unwrap())
        );
    }
}
