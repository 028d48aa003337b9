//! Payments to beneficiaries as the books are asked for them, and what a batch knows and changes of them.

use std::collections::{BTreeSet, HashMap};

use crate::{
    beneficiary::Beneficiary,
    id::{AccountId, BeneficiaryId, PaymentId, TransactionId, UserId},
    ledger::command::{Command, Posting, Verb},
    outgoing::{Outgoing, OutgoingState},
    time::Timestamp,
};

/// A payment to a beneficiary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSending {
    /// The movement: its id is the payment's. To an account of this bank a transfer, else a payment to the clearing
    /// account.
    pub posting: Posting,
    /// Who is paid.
    pub beneficiary: BeneficiaryId,
    /// Whose account is debited.
    pub payer: UserId,
    /// The earlier payment that looks like this one and that the caller knows of.
    pub confirmed: Option<PaymentId>,
}

/// A payment to take back before it leaves. Its accounts never change: they are locked before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancel {
    /// Id of the transaction that gives the money back, drawn when the request arrived.
    pub id: TransactionId,
    /// Which payment.
    pub payment: PaymentId,
    /// The account that was debited.
    pub account: AccountId,
    /// The clearing account.
    pub clearing: AccountId,
    /// 128 random bits for the digest of the entries.
    pub salt: [u8; 16],
}

/// What the commands of a batch need of all this.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SendingNeed {
    /// Who is paid.
    pub beneficiaries: BTreeSet<BeneficiaryId>,
    /// Payments that are taken back, settled or came back.
    pub outgoing: BTreeSet<PaymentId>,
}

impl SendingNeed {
    /// Takes in what one command needs.
    pub fn add(&mut self, command: &Command) {
        match &command.verb {
            Verb::Send(new) => {
                self.beneficiaries.insert(new.beneficiary);
            }
            Verb::Cancel(asked) => {
                self.outgoing.insert(asked.payment);
            }
            Verb::Settle(entry) => {
                self.outgoing.extend(entry.payment.map(|(payment, _)| payment));
            }
            _ => {}
        }
    }
}

/// What the decisions of a batch may look at.
#[derive(Debug, Clone, Default)]
pub struct SendingBook {
    /// The beneficiaries that the commands pay, where they exist.
    pub beneficiaries: HashMap<BeneficiaryId, Beneficiary>,
    /// The payments that the commands name, where they exist.
    pub outgoing: HashMap<PaymentId, Outgoing>,
}

/// What a batch writes.
#[derive(Debug, Clone, Default)]
pub struct SendingChanges {
    /// Beneficiaries who were paid; the state is in [`SendingBook::beneficiaries`].
    pub beneficiaries: BTreeSet<BeneficiaryId>,
    /// New payments; the state is in [`SendingBook::outgoing`].
    pub sent: BTreeSet<PaymentId>,
    /// Payments that were there and changed.
    pub changed: BTreeSet<PaymentId>,
}

impl SendingChanges {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.beneficiaries.is_empty() && self.sent.is_empty() && self.changed.is_empty()
    }
}

impl Outgoing {
    /// A payment that was just booked.
    pub(super) fn new(new: &NewSending, to: Option<AccountId>, at: Timestamp) -> Self {
        // Within the bank it is there as soon as it is booked.
        let (state, closed_at) = match to {
            Some(_) => (OutgoingState::Settled, Some(at)),
            None => (OutgoingState::Pending, None),
        };
        Self {
            id: new.posting.id.cast(),
            beneficiary: new.beneficiary,
            payer: new.payer,
            account: new.posting.from,
            to_account: to,
            amount: new.posting.amount,
            currency: new.posting.currency,
            state,
            debited: false,
            file: None,
            paid_at: at,
            closed_at,
        }
    }
}
