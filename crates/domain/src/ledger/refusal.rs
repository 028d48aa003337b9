//! Why the books refuse a command.

macro_rules! refusals {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $code:literal;)*) => {
        /// A refusal: stable number in the idempotency table, stable code in the API and the log.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
        pub enum Refusal { $($(#[$doc])* #[error($code)] $variant,)* }

        impl Refusal {
            /// All refusals.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The number that is stored; never reused, never 0 (which stands for success).
            pub const fn number(self) -> i16 {
                match self { $(Self::$variant => $number,)* }
            }

            /// The stable code.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }
        }
    };
}

refusals! {
    /// The money is not there.
    InsufficientFunds = 1, "insufficient_funds";
    /// The caller's own account is frozen.
    AccountFrozen = 2, "account_frozen";
    /// The caller's own account is closed.
    AccountClosed = 3, "account_closed";
    /// Both sides are the same account.
    SameAccount = 4, "same_account";
    /// The amount is in another currency than the account.
    CurrencyMismatch = 5, "currency_mismatch";
    /// The other side cannot take the money; why is the other side's affair.
    PayeeUnavailable = 6, "payee_unavailable";
    /// The account cannot hold that much.
    BalanceOverflow = 7, "balance_overflow";
    /// Only an account at zero, with nothing held, can be closed.
    AccountNotEmpty = 8, "account_not_empty";
    /// There is no such account for this caller.
    AccountNotFound = 9, "account_not_found";
    /// The freeze was set by the other side, or there is none.
    NotFrozenByYou = 10, "not_frozen_by_you";
    /// The drawn account number is taken: draw again.
    NumberTaken = 11, "number_taken";
    /// There is no such hold for this caller.
    HoldNotFound = 12, "hold_not_found";
    /// The hold was captured or voided, or its time is over.
    HoldNotOpen = 13, "hold_not_open";
    /// The hold does not reserve that much.
    ExceedsHold = 14, "exceeds_hold";
    /// The account has as many open holds as it may have.
    TooManyHolds = 15, "too_many_holds";
    /// There is no such beneficiary on the caller's list.
    BeneficiaryNotFound = 16, "beneficiary_not_found";
    /// Nothing is paid to a beneficiary who is that new.
    BeneficiaryTooNew = 17, "beneficiary_too_new";
    /// More than is paid to a beneficiary who is new.
    OverBeneficiaryLimit = 18, "limit_exceeded";
    /// The payment has left the bank, or is over.
    PaymentLeft = 19, "payment_left";
    /// Another item of the same batch was refused, and all were to be done or none.
    BatchRefused = 30, "batch_refused";
    /// More than the key may move.
    LimitExceeded = 31, "limit_exceeded";
    /// The key may not pay this account.
    PayeeNotAllowed = 32, "payee_not_allowed";
    /// More than one movement of this customer's may move.
    OverTransferLimit = 45, "limit_exceeded";
    /// More than this customer has left for today.
    OverDailyLimit = 46, "limit_exceeded";
    /// More than this customer has left for this month.
    OverMonthlyLimit = 47, "limit_exceeded";
    /// A limit is raised by whoever shows a fresh factor.
    RaiseNotApproved = 48, "step_up_required";
    /// What is unusual about it has to be approved with a fresh factor.
    ConfirmationNeeded = 49, "step_up_required";
    /// It looks like fraud; why is the bank's affair.
    Declined = 50, "transfer_declined";
    /// There is no such transfer under review for this caller.
    ReviewNotFound = 51, "review_not_found";
    /// The review is decided, or its time is over.
    ReviewClosed = 52, "review_closed";
    /// Whoever sent it, or looked at it first, does not release it.
    ReviewNotYours = 53, "maker_is_checker";
    /// The entry of a statement was read before.
    EntryKnown = 56, "entry_known";
    /// There is nothing of this id in suspense.
    SuspenseNotFound = 57, "suspense_item_not_found";
    /// It was taken from suspense before.
    SuspenseClosed = 58, "suspense_item_closed";
    /// More than all customers together have left for today.
    OverBankLimit = 59, "bank_limit_exceeded";
    /// As many accounts have limits of their own as may.
    TooManyLimits = 60, "too_many_limits";
    /// The same payer paid the same payee as much a moment ago, and nobody said that it is meant.
    DuplicateSuspected = 33, "duplicate_suspected";
    /// There is no such payment for this caller.
    PaymentNotFound = 34, "payment_not_found";
    /// Nothing of the payment is left to give back.
    PaymentClosed = 35, "payment_closed";
    /// Less is left of the payment.
    ExceedsPayment = 36, "exceeds_payment";
    /// It was reversed before.
    AlreadyReversed = 37, "already_reversed";
    /// This sort of movement is not reversed, or what was asked for is not what is there.
    NotReversible = 38, "not_reversible";
    /// The request for it is decided, or its time is over.
    ApprovalClosed = 39, "approval_closed";
    /// What the request is about is not what it was when it was asked for.
    ApprovalStale = 40, "approval_stale";
    /// So much cash takes two people.
    SecondPersonNeeded = 41, "second_person_needed";
}

impl Refusal {
    /// Reads the stored number.
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|refusal| refusal.number() == number)
    }

    /// Whether the refusal is kept under its idempotency key and repeated to every retry: the decisions about money.
    pub const fn is_frozen(self) -> bool {
        !matches!(
            self,
            Self::AccountNotFound
                | Self::NotFrozenByYou
                | Self::AccountNotEmpty
                | Self::NumberTaken
                | Self::HoldNotFound
                | Self::HoldNotOpen
                | Self::RaiseNotApproved
                | Self::ConfirmationNeeded
                | Self::ReviewNotFound
                | Self::ReviewClosed
                | Self::ReviewNotYours
                | Self::DuplicateSuspected
                | Self::PaymentNotFound
                | Self::PaymentClosed
                | Self::AlreadyReversed
                | Self::NotReversible
                | Self::ApprovalClosed
                | Self::ApprovalStale
                | Self::SecondPersonNeeded
                | Self::BeneficiaryNotFound
                | Self::PaymentLeft
                | Self::EntryKnown
                | Self::SuspenseNotFound
                | Self::SuspenseClosed
                | Self::TooManyLimits
        )
    }
}
