//! One error for every use case: a kind that decides the status, a stable code for programs, a sentence for people, and
//! a source for the log only.

use std::{borrow::Cow, sync::Arc, time::Duration};

use strongroom_domain::ledger::Refusal;
use strongroom_store::StoreError;

/// When something that is busy or away is worth another try.
const SOON: Duration = Duration::from_secs(1);

/// What sort of refusal it is; the web has one table from kinds to status codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The input is wrong.
    Invalid,
    /// Nobody, or nobody any more, is logged in.
    Unauthenticated,
    /// A fresh factor is needed.
    StepUp,
    /// A puzzle has to be solved first.
    Puzzle,
    /// Logged in, and not allowed.
    Forbidden,
    /// Not there, or not yours.
    NotFound,
    /// The state is in the way.
    Conflict,
    /// The bank's rules decide against it.
    Rejected,
    /// Too often.
    Throttled,
    /// Not now; the same request may succeed later.
    Unavailable,
    /// Our fault.
    Internal,
}

/// A field that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// JSON pointer into the input.
    pub pointer: String,
    /// Stable name of what is wrong.
    pub code: &'static str,
    /// For people. Never the value.
    pub detail: String,
}

/// Why a use case was refused. One pointer, so that an `Ok` is not paid for with its size.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}: {}", .0.code, .0.detail)]
pub struct Error(Box<Refused>);

/// What a refusal says.
#[derive(Debug, Clone)]
pub struct Refused {
    /// What sort.
    pub kind: Kind,
    /// The stable code.
    pub code: &'static str,
    /// For people.
    pub detail: Cow<'static, str>,
    /// Refused fields.
    pub fields: Vec<FieldError>,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// The earlier resource, where one is in the way.
    pub resource: Option<Box<str>>,
    /// What a fresh factor has to approve.
    pub challenge: Option<Box<str>>,
    /// What says that a suspected duplicate is meant.
    pub confirmation: Option<Box<str>>,
    /// For the log only.
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl std::ops::Deref for Error {
    type Target = Refused;
    fn deref(&self) -> &Refused {
        &self.0
    }
}

impl std::ops::DerefMut for Error {
    fn deref_mut(&mut self) -> &mut Refused {
        &mut self.0
    }
}

impl Error {
    /// An error of a kind.
    pub fn new(kind: Kind, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Refused {
            kind,
            code,
            detail: detail.into(),
            fields: Vec::new(),
            retry_after: None,
            resource: None,
            challenge: None,
            confirmation: None,
            source: None,
        }))
    }

    /// What it says, to be taken apart.
    pub fn into_refused(self) -> Refused {
        *self.0
    }

    /// The same, and when to come back.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The same, with its cause for the log.
    fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Refused fields, all at once.
    pub fn invalid(fields: Vec<FieldError>) -> Self {
        let mut error = Self::new(Kind::Invalid, "validation_failed", "Some fields are not valid.");
        error.fields = fields;
        error
    }

    /// One refused field.
    pub fn field(pointer: &str, code: &'static str, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError {
            pointer: pointer.to_owned(),
            code,
            detail: detail.into(),
        }])
    }

    /// Nobody is logged in.
    pub fn unauthenticated() -> Self {
        Self::new(
            Kind::Unauthenticated,
            "unauthenticated",
            "Authentication is required.",
        )
    }

    /// Allowed to nobody like the caller.
    pub fn forbidden() -> Self {
        Self::new(Kind::Forbidden, "forbidden", "You are not allowed to do this.")
    }

    /// A fresh factor is needed: for the request that the challenge stands for, or for settings where there is none.
    pub fn step_up_required(challenge: Option<String>) -> Self {
        let mut error = Self::new(
            Kind::StepUp,
            "step_up_required",
            "Authentication by a fresh factor is needed for this.",
        );
        error.challenge = challenge.map(String::into_boxed_str);
        error
    }

    /// No such account, or not the caller's.
    pub fn account_not_found() -> Self {
        Self::new(Kind::NotFound, "account_not_found", "There is no such account.")
    }

    /// No such thing, or not the caller's.
    pub fn not_found() -> Self {
        Self::new(Kind::NotFound, "not_found", "There is nothing here.")
    }

    /// The queue is full.
    pub fn overloaded() -> Self {
        let detail = "The bank is busy. Try again with the same idempotency key.";
        Self::new(Kind::Unavailable, "overloaded", detail).retry_after(SOON)
    }

    /// The database does not answer; nothing was changed.
    pub fn unavailable(source: StoreError) -> Self {
        let detail = "The service is not available. Try again with the same idempotency key.";
        Self::new(Kind::Unavailable, "unavailable", detail)
            .retry_after(SOON)
            .caused_by(source)
    }

    /// A commit whose outcome cannot be told.
    pub fn commit_unknown() -> Self {
        let detail =
            "It is not known whether this was done. Repeat it with the same idempotency key to find out.";
        Self::new(Kind::Unavailable, "commit_unknown", detail).retry_after(SOON)
    }

    /// Our fault, with its cause for the log.
    pub fn internal(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::new(Kind::Internal, "internal", "Something went wrong on our side.").caused_by(source)
    }

    /// Whether a refusal is the same whatever was asked about: nobody learns from it whether there is such a thing.
    pub(crate) fn says_nothing_of_the_object(&self) -> bool {
        matches!(self.kind, Kind::Unauthenticated | Kind::Unavailable)
    }

    /// Our fault, where a value that must be there is not.
    pub fn broken(what: &'static str) -> Self {
        Self::internal(StoreError::Corrupt(what))
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Retry => Self::unavailable(error),
            StoreError::CommitUnknown => Self::commit_unknown(),
            StoreError::Constraint(_) | StoreError::Corrupt(_) | StoreError::Setup(_) => {
                Self::internal(error)
            }
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let (kind, detail) = match refusal {
            Refusal::InsufficientFunds => (Kind::Rejected, "The available balance is not enough."),
            Refusal::AccountFrozen => (Kind::Rejected, "The account is frozen."),
            Refusal::AccountClosed => (Kind::Rejected, "The account is closed."),
            Refusal::SameAccount => (Kind::Rejected, "Both sides are the same account."),
            Refusal::CurrencyMismatch => (
                Kind::Rejected,
                "The amount is in another currency than the account.",
            ),
            Refusal::PayeeUnavailable => (Kind::Rejected, "The payee cannot be paid."),
            Refusal::BalanceOverflow => (Kind::Rejected, "The account cannot hold that much."),
            Refusal::AccountNotEmpty => (Kind::Conflict, "Only an account at zero can be closed."),
            Refusal::AccountNotFound => (Kind::NotFound, "There is no such account."),
            Refusal::NotFrozenByYou => (Kind::Conflict, "There is no freeze that you could lift."),
            Refusal::LimitExceeded => (Kind::Rejected, "This is more than may be moved."),
            Refusal::OverTransferLimit => (Kind::Rejected, "This is more than the limit of one movement."),
            Refusal::OverDailyLimit => (Kind::Rejected, "This is more than is left of today's limit."),
            Refusal::OverMonthlyLimit => (Kind::Rejected, "This is more than is left of this month's limit."),
            Refusal::OverBankLimit => (Kind::Rejected, "The bank moves no more of this currency today."),
            Refusal::TooManyLimits => (
                Kind::Conflict,
                "As many of your accounts have limits of their own as may.",
            ),
            Refusal::Declined => (Kind::Rejected, "The bank does not do this."),
            Refusal::ReviewNotFound => (Kind::NotFound, "Nothing waits for a look under this id."),
            Refusal::ReviewClosed => (Kind::Conflict, "It is decided, or its time is over."),
            Refusal::ReviewNotYours => (
                Kind::Forbidden,
                "Neither side of a transfer decides about it, nor one person twice.",
            ),
            Refusal::ConfirmationNeeded | Refusal::RaiseNotApproved => return Self::step_up_required(None),
            Refusal::PayeeNotAllowed => (Kind::Rejected, "The key may not be used to pay this account."),
            Refusal::NumberTaken => (Kind::Internal, "No account number could be drawn."),
            Refusal::HoldNotFound => (Kind::NotFound, "There is no such hold."),
            Refusal::HoldNotOpen => (
                Kind::Conflict,
                "The hold was captured or voided, or its time is over.",
            ),
            Refusal::ExceedsHold => (Kind::Rejected, "The hold does not reserve that much."),
            Refusal::BatchRefused => (
                Kind::Rejected,
                "Another item of the batch was refused, and all were to be done or none.",
            ),
            Refusal::DuplicateSuspected => (
                Kind::Conflict,
                "This looks like a payment of a moment ago. Say so if it is meant.",
            ),
            Refusal::PaymentNotFound => (Kind::NotFound, "There is no such payment."),
            Refusal::PaymentClosed => (
                Kind::Conflict,
                "The payment was given back in whole, or reversed.",
            ),
            Refusal::ExceedsPayment => (Kind::Rejected, "Less is left of the payment."),
            Refusal::AlreadyReversed => (Kind::Conflict, "It was reversed before."),
            Refusal::NotReversible => (Kind::Rejected, "This is not reversed."),
            Refusal::ApprovalClosed => (Kind::Conflict, "The request is decided, or its time is over."),
            Refusal::ApprovalStale => (
                Kind::Conflict,
                "What the request is about changed meanwhile: let it be asked for anew.",
            ),
            Refusal::SecondPersonNeeded => (Kind::Conflict, "It takes a second person: ask again."),
            Refusal::BeneficiaryNotFound => (Kind::NotFound, "There is no such beneficiary."),
            Refusal::BeneficiaryTooNew => (
                Kind::Rejected,
                "The beneficiary is too new to be paid. Read it to see when it can be.",
            ),
            Refusal::OverBeneficiaryLimit => (
                Kind::Rejected,
                "This is more than is paid to a beneficiary who is new.",
            ),
            Refusal::PaymentLeft => (Kind::Conflict, "The payment has left the bank, or is over."),
            Refusal::EntryKnown => (Kind::Conflict, "The entry was read before."),
            Refusal::SuspenseNotFound => (Kind::NotFound, "Nothing lies in suspense under this id."),
            Refusal::SuspenseClosed => (Kind::Conflict, "It was taken from suspense before."),
            Refusal::TooManyHolds => (Kind::Rejected, "The account has as many holds as it may have."),
        };
        Self::new(kind, refusal.code(), detail)
    }
}
