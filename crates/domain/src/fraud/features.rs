//! The one row of fixed size that rules know of a customer in a currency.

use super::{
    recent::Recent,
    sketch::{Hours, Sketch},
    window::{Span, Window, chunk},
};
use crate::{
    money::{Amount, Currency},
    time::Timestamp,
    transaction::TransactionKind,
};

/// What may be reported when it is exceeded, in whole units of a currency; what stays a little below is counted.
const REPORTED_UNITS: i64 = 10_000;
/// From which share of it on, percent.
const NEAR_PERCENT: i64 = 80;
/// What is so small that it only tries, in whole units of a currency.
const SMALL_UNITS: i64 = 2;
/// Payees that are remembered.
const PAYEES: usize = 24;
/// Payers and networks that are remembered.
const PAYERS: usize = 8;
const NETWORKS: usize = 4;

/// A movement that was decided, from one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// When it is booked.
    pub at: Timestamp,
    /// Hour of the day in the bank's time zone, 0 to 23.
    pub hour: u8,
    /// Why.
    pub kind: TransactionKind,
    /// How much.
    pub amount: Amount,
    /// Of which currency.
    pub currency: Currency,
    /// The other side ([`super::tag_of`]).
    pub other: u32,
    /// Where the request came from, where that is known ([`super::tag_of`]).
    pub network: Option<u32>,
}

/// What is known of a customer in a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features {
    /// When the first movement was seen.
    pub(super) since: Timestamp,
    pub(super) last_out: Timestamp,
    pub(super) amounts: Sketch,
    pub(super) hours: Hours,
    pub(super) out: [Window; Span::ALL.len()],
    pub(super) into: [Window; Span::ALL.len()],
    pub(super) new_payees: Window,
    pub(super) new_payers: Window,
    pub(super) near: Window,
    pub(super) small: Window,
    pub(super) paid: Window,
    pub(super) refunds: Window,
    pub(super) payees: Recent<PAYEES>,
    pub(super) payers: Recent<PAYERS>,
    pub(super) networks: Recent<NETWORKS>,
    /// The network of the newest movement out, and since when another one was used last.
    pub(super) network: u32,
    pub(super) network_at: Timestamp,
}

impl Features {
    /// Bytes of the stored form: all zeros behind the first byte is a customer of whom nothing was seen.
    pub const BYTES: usize = 1
        + 3 * 8
        + Sketch::BYTES
        + Hours::BYTES
        + (2 * Span::ALL.len() + 6) * Window::BYTES
        + (PAYEES + PAYERS + NETWORKS + 1) * 4;
    const FORM: u8 = 1;

    /// Money went out.
    pub fn paid_out(&mut self, flow: &Flow) {
        let (at, amount) = (flow.at, flow.amount.minor());
        self.seen(at);
        self.last_out = self.last_out.max(at);
        self.amounts.add(amount);
        self.hours.add(flow.hour);
        for (window, span) in self.out.iter_mut().zip(Span::ALL) {
            window.add(span, at, amount);
        }
        if self.payees.meet(flow.other) {
            self.new_payees.add(Span::Day, at, amount);
        }
        if is_near(amount, flow.currency) {
            self.near.add(Span::Day, at, amount);
        }
        if is_small(amount, flow.currency) {
            self.small.add(Span::Hour, at, amount);
        }
        if flow.kind == TransactionKind::Payment {
            self.paid.add(Span::Week, at, amount);
        }
        if let Some(network) = flow.network {
            self.networks.meet(network);
            (self.network, self.network_at) = (network, at);
        }
    }

    /// Money came in.
    pub fn took_in(&mut self, flow: &Flow) {
        let (at, amount) = (flow.at, flow.amount.minor());
        self.seen(at);
        match flow.kind {
            TransactionKind::Refund => return self.refunds.add(Span::Week, at, amount),
            // Cash that one brings to the counter oneself comes from nobody.
            TransactionKind::Deposit => return,
            _ => {}
        }
        for (window, span) in self.into.iter_mut().zip(Span::ALL) {
            window.add(span, at, amount);
        }
        if self.payers.meet(flow.other) {
            self.new_payers.add(Span::Day, at, amount);
        }
    }

    fn seen(&mut self, at: Timestamp) {
        if self.since == Timestamp::default() {
            self.since = at;
        }
    }

    /// The stored form: fixed size, big endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::BYTES);
        bytes.push(Self::FORM);
        for moment in [self.since, self.last_out, self.network_at] {
            bytes.extend_from_slice(&moment.micros().to_be_bytes());
        }
        self.amounts.put(&mut bytes);
        self.hours.put(&mut bytes);
        let few = [
            self.new_payees,
            self.new_payers,
            self.near,
            self.small,
            self.paid,
            self.refunds,
        ];
        for window in self.out.iter().chain(&self.into).chain(&few) {
            window.put(&mut bytes);
        }
        self.payees.put(&mut bytes);
        self.payers.put(&mut bytes);
        self.networks.put(&mut bytes);
        bytes.extend_from_slice(&self.network.to_be_bytes());
        bytes
    }

    /// Reads the stored form; `None` when it is none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (form, mut rest) = bytes.split_first()?;
        if *form != Self::FORM || bytes.len() != Self::BYTES {
            return None;
        }
        let rest = &mut rest;
        let moment = |rest: &mut &[u8]| Some(Timestamp::from_micros(i64::from_be_bytes(chunk(rest)?)));
        let (since, last_out, network_at) = (moment(rest)?, moment(rest)?, moment(rest)?);
        let (amounts, hours) = (Sketch::take(rest)?, Hours::take(rest)?);
        let windows = |rest: &mut &[u8]| {
            let mut windows = [Window::default(); Span::ALL.len()];
            for window in &mut windows {
                *window = Window::take(rest)?;
            }
            Some(windows)
        };
        let (out, into) = (windows(rest)?, windows(rest)?);
        Some(Self {
            since,
            last_out,
            amounts,
            hours,
            out,
            into,
            new_payees: Window::take(rest)?,
            new_payers: Window::take(rest)?,
            near: Window::take(rest)?,
            small: Window::take(rest)?,
            paid: Window::take(rest)?,
            refunds: Window::take(rest)?,
            payees: Recent::take(rest)?,
            payers: Recent::take(rest)?,
            networks: Recent::take(rest)?,
            network: u32::from_be_bytes(chunk(rest)?),
            network_at,
        })
    }
}

/// Minor units of so many whole units.
fn units(currency: Currency, units: i64) -> i64 {
    10_i64
        .saturating_pow(u32::from(currency.exponent()))
        .saturating_mul(units)
}

/// A little below what is reported.
pub(super) fn is_near(amount: i64, currency: Currency) -> bool {
    let reported = units(currency, REPORTED_UNITS);
    let from = reported
        .saturating_mul(NEAR_PERCENT)
        .checked_div(100)
        .unwrap_or(0);
    (from..reported).contains(&amount)
}

/// So little that it only tries.
pub(super) fn is_small(amount: i64, currency: Currency) -> bool {
    amount <= units(currency, SMALL_UNITS)
}
