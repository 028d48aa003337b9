//! What the records of the books say of the rows beside transactions: holds, what was paid out of them and given back,
//! payments to beneficiaries, what the bank's own bank said, limits of single accounts.

use serde_json::Value;
use strongroom_domain::{
    action::Action,
    audit::{SignedRecord, Stated},
    hold::{Hold, HoldState},
    id::{AccountId, ApprovalId, PaymentId, UserId},
    limits::LimitsOfAccounts,
    outgoing::Outgoing,
    payment::Payment,
    rail::EntryOutcome,
    text::{from_hex, hex},
    time::Timestamp,
};
use strongroom_store::audit::{Standing, StandingRow};

use super::{caps_of, caps_text, raise_text, timed_caps};
use crate::audit::verify::standing::{Key, Said};

/// Caps that limit nothing.
pub(super) const NO_CAPS: &str = "- - -";

fn flag(is: bool) -> &'static str {
    if is { "1" } else { "0" }
}

/// Lets a record of the books say what rows it leaves.
pub(super) fn tell(record: &SignedRecord, said: &mut Said<'_>) {
    let details = &record.details;
    if let Some(hold) = details.hold_state() {
        // What was looked at first is booked as the transfer that it is.
        if details.transaction_digest().is_some() && !hold.review {
            let state = hold.state.number().to_string();
            said.is_there(
                Key::of(Standing::HoldCaptures, record.object_id),
                &[
                    ("hold", Some(&hex(hold.id.as_bytes()))),
                    ("captured", Some(&hold.captured.to_string())),
                    ("state", Some(&state)),
                ],
            );
        }
        if hold.state != HoldState::Open {
            ended(&hold, said);
        }
    }
    if let Some((of, approval)) = details.reversal() {
        said.is_there(
            Key::of(Standing::Reversals, *of.as_bytes()),
            &[
                ("reversal", Some(&hex(&record.object_id))),
                ("approval", Some(&hex(approval.as_bytes()))),
            ],
        );
    } else if let Some((payment, moved)) = details.payment_state()
        && record.object_id != *payment.id.as_bytes()
    {
        refunded(record, &payment, moved, said);
    }
    if let Some(payment) = details.outgoing_state() {
        sent(&payment, said);
    }
    if let Some(stated) = details.stated_as() {
        entry(record, &stated, said);
    }
    if let Some((item, approval)) = details.resolved_item().zip(details.approval()) {
        said.say(
            Key::of(Standing::SuspenseItems, *item.as_bytes()),
            &[
                ("resolution", Some(&hex(&record.object_id))),
                ("approval", Some(&hex(approval.as_bytes()))),
                ("resolved_at", Some(&record.at.to_string())),
            ],
        );
    }
    earlier(record, said);
}

/// Records of earlier versions tell that there is a payment and not which, and not which entry of a statement they are
/// about.
fn earlier(record: &SignedRecord, said: &mut Said<'_>) {
    let details = &record.details;
    let is = |action: Action| record.action == action.name();
    let told = details.outgoing_state().is_some() || details.stated_as().is_some();
    if told || details.payment_state().is_some() {
        return;
    }
    if is(Action::PaymentCreate) && details.transaction_digest().is_some() {
        said.is_there(Key::of(Standing::OutgoingPayments, record.object_id), &[]);
    } else if is(Action::RailSettle)
        && (details.transaction_digest().is_some() || record.object_kind == "payment")
    {
        said.all.earlier.insert(Standing::RailEntries);
        said.all.earlier.insert(Standing::SuspenseItems);
    }
}

fn ended(hold: &Hold, said: &mut Said<'_>) {
    let closed_at = hold.closed_at.map(|at| at.micros().to_string());
    said.is_there(
        Key::of(Standing::EndedHolds, *hold.id.as_bytes()),
        &[
            ("account", Some(&hex(hold.account.as_bytes()))),
            ("to_account", Some(&hex(hold.to_account.as_bytes()))),
            ("amount", Some(&hold.amount.minor().to_string())),
            ("currency", Some(hold.currency.code())),
            ("captured", Some(&hold.captured.to_string())),
            ("state", Some(&hold.state.number().to_string())),
            ("placed_at", Some(&hold.placed_at.micros().to_string())),
            ("expires_at", Some(&hold.expires_at.micros().to_string())),
            ("closed_at", closed_at.as_deref()),
            ("review", Some(flag(hold.review))),
        ],
    );
}

fn refunded(record: &SignedRecord, payment: &Payment, moved: i64, said: &mut Said<'_>) {
    said.is_there(
        Key::of(Standing::Refunds, record.object_id),
        &[
            ("payment", Some(&hex(payment.id.as_bytes()))),
            ("amount", Some(&moved.to_string())),
            ("refunded", Some(&payment.refunded.to_string())),
            ("at", Some(&record.at.to_string())),
        ],
    );
}

fn sent(payment: &Outgoing, said: &mut Said<'_>) {
    let to_account = payment.to_account.map(|id| hex(id.as_bytes()));
    let file = payment.file.map(|id| hex(id.as_bytes()));
    let closed_at = payment.closed_at.map(|at| at.micros().to_string());
    said.is_there(
        Key::of(Standing::OutgoingPayments, *payment.id.as_bytes()),
        &[
            ("beneficiary", Some(&hex(payment.beneficiary.as_bytes()))),
            ("payer", Some(&hex(payment.payer.as_bytes()))),
            ("account", Some(&hex(payment.account.as_bytes()))),
            ("to_account", to_account.as_deref()),
            ("amount", Some(&payment.amount.minor().to_string())),
            ("currency", Some(payment.currency.code())),
            ("state", Some(&payment.state.number().to_string())),
            ("debited", Some(flag(payment.debited))),
            ("file", file.as_deref()),
            ("paid_at", Some(&payment.paid_at.micros().to_string())),
            ("closed_at", closed_at.as_deref()),
        ],
    );
}

/// What became of an entry of a statement, and what nobody could place of it.
fn entry(record: &SignedRecord, stated: &Stated, said: &mut Said<'_>) {
    let booked = record.details.transaction_digest().is_some();
    let transaction = booked.then(|| hex(&record.object_id));
    let payment = stated.payment.as_ref().map(|payment| hex(payment.id.as_bytes()));
    let at = record.at.to_string();
    said.is_there(
        Key::of(Standing::RailEntries, stated.tag),
        &[
            ("outcome", Some(&stated.outcome.number().to_string())),
            ("payment", payment.as_deref()),
            ("transaction", transaction.as_deref()),
            ("at", Some(&at)),
        ],
    );
    let Some(reason) = stated
        .reason
        .filter(|_| stated.outcome == EntryOutcome::Suspended)
    else {
        return;
    };
    said.is_there(
        // It has the bytes of the transaction that put it there.
        Key::of(Standing::SuspenseItems, record.object_id),
        &[
            ("tag", Some(&hex(&stated.tag))),
            ("direction", Some(&stated.direction.number().to_string())),
            ("amount", Some(&stated.amount.minor().to_string())),
            ("currency", Some(stated.currency.code())),
            ("reason", Some(&reason.number().to_string())),
            ("opened_at", Some(&at)),
            ("resolution", None),
            ("approval", None),
            ("resolved_at", None),
        ],
    );
}

/// A file that was released to the rail, and the payments that left in it.
pub(super) fn of_rail_file(record: &SignedRecord, json: &Value, said: &mut Said<'_>) {
    let word = |name: &str| json.get(name).and_then(Value::as_str);
    let number = |name: &str| json.get(name).and_then(super::text);
    let approval = word("approval").and_then(|approval| ApprovalId::parse(approval).ok());
    let Some(approval) = approval else { return };
    said.is_there(
        Key::of(Standing::RailFiles, record.object_id),
        &[
            ("approval", Some(&hex(approval.as_bytes()))),
            ("payments", number("payments").as_deref()),
            ("total", number("total").as_deref()),
            ("digest", word("digest")),
        ],
    );
    let file = hex(&record.object_id);
    let released = json.get("released").and_then(Value::as_array);
    for payment in released.into_iter().flatten() {
        let payment = payment.as_str().and_then(|id| PaymentId::parse(id).ok());
        if let Some(payment) = payment {
            let key = Key::of(Standing::OutgoingPayments, *payment.as_bytes());
            said.say(key, &[("file", Some(&file))]);
        }
    }
}

/// Who is paid as a merchant, on which account.
pub(super) fn of_merchant(record: &SignedRecord, json: &Value, said: &mut Said<'_>) {
    let word = |name: &str| json.get(name).and_then(Value::as_str);
    let account = word("account").and_then(|account| AccountId::parse(account).ok());
    let Some(account) = account else { return };
    let key = Key::of(Standing::Merchants, record.object_id);
    said.is_there(key.clone(), &[("account", Some(&hex(account.as_bytes())))]);
    if let Some(owner) = word("owner").and_then(|owner| UserId::parse(owner).ok()) {
        said.say(key, &[("owner", Some(&hex(owner.as_bytes())))]);
    }
}

/// What was done against an incident.
pub(super) fn of_incident(record: &SignedRecord, json: &Value, said: &mut Said<'_>) {
    let key = Key::of(Standing::IncidentActions, record.object_id);
    let action = json.get("action").and_then(Value::as_str);
    if json.get("lifted").is_some() {
        said.say(key, &[("lifted", Some("1"))]);
    } else {
        said.is_there(key, &[("action", action), ("lifted", None)]);
    }
}

/// What an owner allows one account. Nothing at all is no row.
pub(super) fn of_account_limits(
    record: &SignedRecord,
    json: &Value,
    (customer, currency): (UserId, &str),
    said: &mut Said<'_>,
) {
    let rest = format!("{currency} {}", hex(&record.object_id));
    let key = Key::of(Standing::AccountLimits, *customer.as_bytes()).and(&rest);
    let own = json.get("limits").map_or_else(|| NO_CAPS.to_owned(), caps_of);
    let raise = json.get("raise").and_then(|raise| timed_caps(raise, "at"));
    if own == NO_CAPS && raise.is_none() {
        return said.is_gone(key);
    }
    said.is_there(key, &[("own", Some(&own)), ("raise", raise.as_deref())]);
}

/// Whether a limit may be gone although its newest record says that it is there: one that was to be lifted after a day.
pub(in crate::audit::verify::standing) fn may_be_lifted(raise: Option<&str>) -> bool {
    raise.is_some_and(|raise| raise.split_once(' ').is_some_and(|(_, caps)| caps == NO_CAPS))
}

/// One row per account that has limits, of a row that holds those of all.
pub(in crate::audit::verify::standing) fn each_account(row: &StandingRow) -> Vec<StandingRow> {
    let bytes = row
        .facts
        .as_ref()
        .and_then(|facts| from_hex(facts.first()?.as_deref()?));
    let Some(limits) = bytes.and_then(|bytes| LimitsOfAccounts::from_bytes(&bytes)) else {
        return vec![StandingRow {
            facts: None,
            ..row.clone()
        }];
    };
    // As they were set: a raise that has come meanwhile still stands beside what it raises.
    let then = Timestamp::default();
    let mut rows: Vec<StandingRow> = limits
        .accounts()
        .map(|account| {
            (
                account,
                caps_text(limits.own(account, then)),
                limits.raise(account, then),
            )
        })
        .filter(|(_, own, raise)| own != NO_CAPS || raise.is_some())
        .map(|(account, own, raise)| StandingRow {
            key: row.key,
            rest: format!("{} {}", row.rest, hex(account.as_bytes())),
            facts: Some(vec![Some(own), raise.map(raise_text)]),
        })
        .collect();
    rows.sort_unstable_by(|a, b| a.rest.cmp(&b.rest));
    rows
}
