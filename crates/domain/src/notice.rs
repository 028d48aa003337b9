//! What customers are told of, and by which ways.
//!
//! Money and limits are told of by a job that follows the log; what is about somebody's login is told in the commit
//! that it tells of. Nobody is told why a transfer waits, or what others did.

use crate::{
    action::Action,
    hold::{Hold, HoldState},
    money::Currency,
    transaction::TransactionKind,
};

/// What leaves an account is told of from so many whole units of its currency on.
pub const SENT_UNITS_MIN: i64 = 100;

macro_rules! events {
    ($($(#[$doc:meta])* $event:ident = $name:literal, $app:literal, $mail:literal;)*) => {
        /// What somebody is told of.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum NoticeEvent { $($(#[$doc])* $event,)* }

        impl NoticeEvent {
            /// All events.
            pub const ALL: &'static [Self] = &[$(Self::$event,)*];

            /// The stable name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$event => $name,)* }
            }

            /// Where nobody says anything else.
            pub const fn ways(self) -> Ways {
                match self { $(Self::$event => Ways { app: $app, mail: $mail },)* }
            }
        }
    };
}

events! {
    /// Money came from somebody else, or as cash.
    MoneyReceived = "money_received", true, false;
    /// Money went to somebody else, [`SENT_UNITS_MIN`] or more.
    MoneySent = "money_sent", true, true;
    /// A payment to another bank arrived.
    PaymentSettled = "payment_settled", true, false;
    /// A payment to another bank came back.
    PaymentReturned = "payment_returned", true, true;
    /// Money was reserved for somebody.
    HoldPlaced = "hold_placed", true, false;
    /// A transfer waits for a look.
    ReviewStarted = "review_started", true, true;
    /// A transfer that waited was booked.
    ReviewReleased = "review_released", true, true;
    /// A transfer that waited was refused: its money is free.
    ReviewRejected = "review_rejected", true, true;
    /// A transfer waited until its time was over: its money is free.
    ReviewExpired = "review_expired", true, true;
    /// What may be paid was set.
    LimitsChanged = "limits_changed", true, true;
    /// Something about the login.
    Security = "security", true, true;
}

/// By which ways somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ways {
    /// In the list of notices.
    pub app: bool,
    /// By mail.
    pub mail: bool,
}

impl NoticeEvent {
    /// Reads the stable name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|event| event.name() == name)
    }

    /// Whether it is told by every way whatever somebody wishes: a thief would wish otherwise.
    pub const fn is_fixed(self) -> bool {
        matches!(self, Self::LimitsChanged | Self::Security)
    }
}

/// One side of a movement: a customer's account, or one of the bank's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved<'a, U> {
    /// What was done.
    pub action: &'a str,
    /// Why money moved.
    pub kind: TransactionKind,
    /// Minor units.
    pub amount: i64,
    /// Of which currency.
    pub currency: Currency,
    /// Whose account was debited; `None` for the bank's own.
    pub from: Option<U>,
    /// Whose account was credited.
    pub to: Option<U>,
}

impl<U: Copy + PartialEq> Moved<'_, U> {
    /// Who is told of it, and as what.
    pub fn told(&self) -> Vec<(U, NoticeEvent)> {
        let between_own = self.from.is_some() && self.from == self.to;
        // Whoever took a payment back knows.
        if between_own || self.action == Action::PaymentCancel.name() {
            return Vec::new();
        }
        let returned = self.action == Action::RailSettle.name() && self.kind == TransactionKind::Refund;
        let credited = if returned {
            NoticeEvent::PaymentReturned
        } else {
            NoticeEvent::MoneyReceived
        };
        let released = self.action == Action::ReviewDecide.name();
        let scale = 10_i64.saturating_pow(u32::from(self.currency.exponent()));
        let large = self.amount >= SENT_UNITS_MIN.saturating_mul(scale);
        // What the bank takes back is told of whatever it is.
        let debited = match (released, large || self.kind == TransactionKind::Reversal) {
            (true, _) => Some(NoticeEvent::ReviewReleased),
            (false, true) => Some(NoticeEvent::MoneySent),
            (false, false) => None,
        };
        let from = self.from.zip(debited);
        let to = self.to.map(|to| (to, credited));
        from.into_iter().chain(to).collect()
    }
}

/// What becomes of a transfer that waits for a look, as its record tells: it began to, or it was refused. A record
/// without the state of what is reserved, as the first of two releases leaves one, is nobody's news; whoever took a
/// transfer back knows.
pub fn of_review(action: &str, hold: Option<&Hold>) -> Option<NoticeEvent> {
    match hold?.state {
        HoldState::Open => Some(NoticeEvent::ReviewStarted),
        HoldState::Voided if action == Action::ReviewDecide.name() => Some(NoticeEvent::ReviewRejected),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::Id, money::Amount, time::Timestamp};

    fn told(
        action: Action,
        kind: TransactionKind,
        amount: i64,
        sides: (Option<u8>, Option<u8>),
    ) -> Vec<(u8, NoticeEvent)> {
        let moved = Moved {
            action: action.name(),
            kind,
            amount,
            currency: Currency::EUR,
            from: sides.0,
            to: sides.1,
        };
        moved.told()
    }

    #[test]
    fn both_sides_are_told_and_small_sums_only_to_whom_they_came() {
        use NoticeEvent::{MoneyReceived, MoneySent, PaymentReturned, ReviewReleased};
        let (alice, bob) = (Some(1), Some(2));
        let transfer = TransactionKind::Transfer;
        let cases = [
            (
                Action::TransferCreate,
                transfer,
                10_000,
                (alice, bob),
                vec![(1, MoneySent), (2, MoneyReceived)],
            ),
            (
                Action::TransferCreate,
                transfer,
                9_999,
                (alice, bob),
                vec![(2, MoneyReceived)],
            ),
            (Action::TransferCreate, transfer, 10_000, (alice, alice), vec![]),
            (
                Action::ReviewDecide,
                transfer,
                1,
                (alice, bob),
                vec![(1, ReviewReleased), (2, MoneyReceived)],
            ),
            (
                Action::DepositCreate,
                TransactionKind::Deposit,
                1,
                (None, bob),
                vec![(2, MoneyReceived)],
            ),
            (
                Action::WithdrawalCreate,
                TransactionKind::Withdrawal,
                10_000,
                (alice, None),
                vec![(1, MoneySent)],
            ),
            (
                Action::RailSettle,
                TransactionKind::Refund,
                1,
                (None, alice),
                vec![(1, PaymentReturned)],
            ),
            (
                Action::PaymentCancel,
                TransactionKind::Refund,
                1,
                (None, alice),
                vec![],
            ),
            (
                Action::TransferReverse,
                TransactionKind::Reversal,
                1,
                (bob, alice),
                vec![(2, MoneySent), (1, MoneyReceived)],
            ),
        ];
        for (action, kind, amount, sides, expected) in cases {
            assert_eq!(told(action, kind, amount, sides), expected, "{action:?} {amount}");
        }
    }

    #[test]
    fn the_first_of_two_releases_is_nobodys_news() {
        let hold = |state| Hold {
            id: Id::from_bytes([1; 16]),
            account: Id::from_bytes([2; 16]),
            to_account: Id::from_bytes([3; 16]),
            amount: Amount::new(1).unwrap(),
            currency: Currency::EUR,
            captured: 0,
            state,
            placed_at: Timestamp::from_micros(1),
            expires_at: Timestamp::from_micros(2),
            closed_at: None,
            review: true,
        };
        let told = |action: Action, hold: Option<Hold>| of_review(action.name(), hold.as_ref());
        let (open, voided) = (hold(HoldState::Open), hold(HoldState::Voided));
        let cases = [
            (
                Action::TransferCreate,
                Some(open),
                Some(NoticeEvent::ReviewStarted),
            ),
            (Action::ReviewDecide, None, None),
            (
                Action::ReviewDecide,
                Some(voided.clone()),
                Some(NoticeEvent::ReviewRejected),
            ),
            (Action::TransferCancel, Some(voided), None),
            (Action::HoldExpire, Some(hold(HoldState::Expired)), None),
        ];
        for (action, hold, expected) in cases {
            assert_eq!(told(action, hold), expected, "{action:?}");
        }
    }

    #[test]
    fn what_is_about_ones_own_login_and_limits_cannot_be_turned_off() {
        for event in NoticeEvent::ALL.iter().copied() {
            assert_eq!(NoticeEvent::parse(event.name()), Some(event));
            let Ways { app, mail } = event.ways();
            assert!(!event.is_fixed() || (app && mail), "{event:?}");
            assert!(app, "{event:?}");
        }
        assert!(NoticeEvent::Security.is_fixed() && NoticeEvent::LimitsChanged.is_fixed());
    }
}
