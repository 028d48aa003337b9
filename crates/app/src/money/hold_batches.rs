//! Many holds in one request and one commit: placed, captured, or given back.
//!
//! As batches of transfers: decided in their order, all or none or each on its own, an answer for each, one key for the
//! whole. They are about holds of the caller's own, on either side.

use std::collections::HashMap;

use strongroom_crypto::random;
use strongroom_domain::{
    action::Action,
    hold::{HOLD_SECONDS_DEFAULT, HOLD_SECONDS_MAX, Hold, Take},
    id::{AccountId, HoldId},
    ledger::{Answer, Capture, Command, Done, HoldRef, NewHold, Order, Verb},
    money::Currency,
};

use crate::{
    api_keys::signatures::require_signature,
    authority::authorize::{About, authorize_own},
    bank::Bank,
    cx::Cx,
    error::{Error, FieldError},
    money::{
        accounts::{refused, replayed},
        batches::largest,
        holds::{
            CAPTURE_FIELDS, CaptureHold, END_OUT_OF_RANGE, HOLD_FIELDS, HoldDetails, PlaceHold, VOID_FIELDS,
            capture_fields, hold_fields, reference,
        },
        idempotency::Fields,
    },
};

/// Fields of one item of `POST /holds/batch` in the order of its fingerprint: the item's, then the batch's own.
pub const PLACE_ITEM_FIELDS: Fields = Fields(&[
    "",
    "/account_id",
    "/to_account_id",
    "/to_account_number",
    "/amount/amount",
    "/amount/currency",
    "/expires_at",
    "/mode",
    "/holds",
]);
/// Fields of one item of `POST /holds/batch/capture`.
pub const CAPTURE_ITEM_FIELDS: Fields = Fields(&[
    "",
    "/amount/amount",
    "/amount/currency",
    "/final",
    "/mode",
    "/captures",
]);
/// Fields of one item of `POST /holds/batch/void`.
pub const VOID_ITEM_FIELDS: Fields = Fields(&["", "/mode", "/hold_ids"]);

/// What is asked of many holds: 1 to [`super::batches::BATCH_ITEMS_MAX`] items, whose own keys are not looked at.
#[derive(Debug, Clone)]
pub enum HoldItems {
    /// Reserve.
    Place(Vec<PlaceHold>),
    /// Pay out.
    Capture(Vec<CaptureHold>),
    /// Give back.
    Void(Vec<HoldId>),
}

/// Input of [`Bank::decide_holds`].
#[derive(Debug, Clone)]
pub struct HoldBatch {
    /// What.
    pub items: HoldItems,
    /// Whether one refusal refuses all.
    pub atomic: bool,
    /// The client's key for the whole.
    pub idempotency_key: Option<String>,
}

/// What became of it.
#[derive(Debug)]
pub struct HoldBatchDetails {
    /// An answer for each item, in their order.
    pub results: Vec<Result<HoldDetails, Error>>,
    /// Whether this is a repetition of an earlier answer.
    pub replayed: bool,
}

impl HoldItems {
    fn action(&self) -> Action {
        match self {
            Self::Place(_) => Action::HoldPlace,
            Self::Capture(_) => Action::HoldCapture,
            Self::Void(_) => Action::HoldVoid,
        }
    }

    /// Fields of the request as one item of it, and of the whole.
    const fn fields(&self) -> (&'static Fields, &'static Fields) {
        match self {
            Self::Place(_) => (&HOLD_FIELDS, &PLACE_ITEM_FIELDS),
            Self::Capture(_) => (&CAPTURE_FIELDS, &CAPTURE_ITEM_FIELDS),
            Self::Void(_) => (&VOID_FIELDS, &VOID_ITEM_FIELDS),
        }
    }

    /// What each item is remembered by: a batch of another length or mode is another batch.
    fn remembered(&self, atomic: bool) -> Vec<Vec<Vec<u8>>> {
        let items: Vec<Vec<Vec<u8>>> = match self {
            Self::Place(holds) => holds.iter().map(hold_fields).collect(),
            Self::Capture(captures) => captures.iter().map(capture_fields).collect(),
            Self::Void(ids) => ids
                .iter()
                .map(|id| vec![[b"hold.void/".as_slice(), id.as_bytes()].concat()])
                .collect(),
        };
        let count = items.len().to_be_bytes().to_vec();
        let of_batch = |mut fields: Vec<Vec<u8>>| {
            if let Some(verb) = fields.first_mut() {
                verb.extend_from_slice(b"/batch");
            }
            fields.extend([vec![u8::from(atomic)], count.clone()]);
            fields
        };
        items.into_iter().map(of_batch).collect()
    }
}

/// An item as it goes to the books.
struct Item {
    currency: Currency,
    verb: Verb,
}

impl Bank {
    /// Places, captures or gives back many holds of the caller's in one commit.
    ///
    /// # Errors
    /// `idempotency_key_missing`, `idempotency_key_reused`, `validation_failed` for ends in the past or too far away,
    /// `step_up_required` where one hold that is placed, or all of a currency together, are above the bound. What is
    /// wrong with one item is in its result.
    pub async fn decide_holds(&self, cx: &Cx, input: HoldBatch) -> Result<HoldBatchDetails, Error> {
        require_signature(cx)?;
        let outcome = self.hold_batch(cx, input).await;
        self.settled(cx, outcome).await
    }

    async fn hold_batch(&self, cx: &Cx, input: HoldBatch) -> Result<HoldBatchDetails, Error> {
        let action = input.items.action();
        authorize_own(cx, action, About::default())?;
        let fields = input.items.remembered(input.atomic);
        let keys = self.item_keys(cx, input.idempotency_key.as_deref(), &fields)?;
        let step_up = match &input.items {
            HoldItems::Place(holds) => {
                // A repetition may come after the end of its holds: it is answered as the first time.
                let wrong = ends_out_of_range(cx, holds);
                if !wrong.is_empty() && !self.is_known(keys.first()).await? {
                    return Err(Error::invalid(wrong));
                }
                match largest(holds.iter().map(|hold| (hold.amount, hold.currency))) {
                    Some((amount, currency)) => {
                        self.step_up_for(cx, amount, currency, &fields.concat()).await?
                    }
                    None => None,
                }
            }
            HoldItems::Capture(_) | HoldItems::Void(_) => None,
        };
        let (item_fields, whole_fields) = input.items.fields();
        let items = self.hold_items(cx, input.items).await?;
        let nonce = cx.nonce.as_deref();
        let answers = self
            .submit_order(cx, |cx| {
                let mut commands = Vec::with_capacity(items.len());
                for (item, key) in items.iter().zip(&keys) {
                    // Who may also give back what is others' does that one by one, where it is looked at whose.
                    let permit = authorize_own(cx, action, About::default())?;
                    commands.push(Command {
                        authority: permit.authority(),
                        request: cx.request,
                        idempotency: Some(key.clone()),
                        dry_run: false,
                        step_up: None,
                        bounds: self.bounds_for(cx, item.currency)?,
                        nonce: nonce.map(|open| open.nonce),
                        verb: item.verb.clone(),
                    });
                }
                Ok(Order {
                    commands,
                    all_or_none: input.atomic,
                    step_up,
                })
            })
            .await?;
        // Whatever the books answered, they have seen the nonce.
        nonce.inspect(|open| open.give());
        if answers.contains(&Answer::NonceUsed) {
            return Err(replayed());
        }
        if answers.contains(&Answer::StepUpNeeded) {
            return Err(self.challenge_for(cx, step_up));
        }
        let replayed = answers
            .iter()
            .all(|answer| matches!(answer, Answer::Replayed { .. }));
        let mut results = Vec::with_capacity(answers.len());
        for (answer, item) in answers.into_iter().zip(&items) {
            // A key that stands for something else stands for nothing of this batch.
            if matches!(answer, Answer::KeyReused { .. }) {
                return Err(refused(answer, whole_fields));
            }
            results.push(self.hold_result(answer, &item.verb, item_fields).await?);
        }
        Ok(HoldBatchDetails { results, replayed })
    }

    /// The items as commands. A hold that there is not is asked for all the same: the books refuse it in its place.
    async fn hold_items(&self, cx: &Cx, items: HoldItems) -> Result<Vec<Item>, Error> {
        let mut made = Vec::new();
        match items {
            HoldItems::Place(holds) => {
                for hold in holds {
                    let end = hold
                        .expires_at
                        .unwrap_or_else(|| cx.now().plus_seconds(HOLD_SECONDS_DEFAULT));
                    let new = NewHold {
                        id: cx.new_id(),
                        account: hold.account,
                        to: self.payee(&hold.to).await?,
                        amount: hold.amount,
                        currency: hold.currency,
                        expires_at: end,
                    };
                    made.push(Item {
                        currency: hold.currency,
                        verb: Verb::Hold(new),
                    });
                }
            }
            HoldItems::Capture(captures) => {
                let ids: Vec<HoldId> = captures.iter().map(|capture| capture.hold).collect();
                let known = self.known_holds(&ids).await?;
                for capture in captures {
                    let (hold, currency) = meant(&known, capture.hold);
                    let asked = Capture {
                        id: cx.new_id(),
                        hold,
                        take: Take {
                            amount: capture.amount.map(|(amount, _)| amount),
                            last: capture.last,
                        },
                        currency: capture.amount.map(|(_, currency)| currency),
                        salt: random::bytes(),
                    };
                    made.push(Item {
                        currency,
                        verb: Verb::Capture(asked),
                    });
                }
            }
            HoldItems::Void(ids) => {
                let known = self.known_holds(&ids).await?;
                made.extend(ids.into_iter().map(|id| {
                    let (hold, currency) = meant(&known, id);
                    Item {
                        currency,
                        verb: Verb::Void(hold),
                    }
                }));
            }
        }
        Ok(made)
    }

    async fn known_holds(&self, ids: &[HoldId]) -> Result<HashMap<HoldId, Hold>, Error> {
        let found = self.store.holds_by_id(ids).await?;
        Ok(found.into_iter().map(|hold| (hold.id, hold)).collect())
    }

    async fn hold_result(
        &self,
        answer: Answer,
        verb: &Verb,
        fields: &Fields,
    ) -> Result<Result<HoldDetails, Error>, Error> {
        let hold = match answer {
            Answer::Done(done) => match *done {
                Done::Held(hold) | Done::Captured(hold) => hold,
                _ => return Err(Error::broken("another answer than asked for")),
            },
            Answer::Replayed {
                refusal: None,
                resource: Some(resource),
            } => self.hold_as_told(verb, resource).await?,
            other => return Ok(Err(refused(other, fields))),
        };
        // As of the deed, not of now: a repetition gets the same answer, however late it comes.
        let at = hold.placed_at;
        Ok(Ok(HoldDetails { hold, at }))
    }
}

/// The hold by its accounts, and its currency. Of one that is not there nothing is locked, and the currency is that of
/// the most holds.
fn meant(known: &HashMap<HoldId, Hold>, id: HoldId) -> (HoldRef, Currency) {
    let nowhere = AccountId::from_bytes([0; 16]);
    known.get(&id).map_or_else(
        || {
            let reference = HoldRef {
                id,
                account: nowhere,
                to: nowhere,
            };
            (reference, Currency::EUR)
        },
        |hold| (reference(hold), hold.currency),
    )
}

fn ends_out_of_range(cx: &Cx, holds: &[PlaceHold]) -> Vec<FieldError> {
    let latest = cx.now().plus_seconds(HOLD_SECONDS_MAX);
    let wrong = |hold: &PlaceHold| hold.expires_at.is_some_and(|end| end <= cx.now() || end > latest);
    let numbered = holds.iter().enumerate().filter(|(_, hold)| wrong(hold));
    numbered
        .map(|(number, _)| FieldError {
            pointer: format!("/holds/{number}/expires_at"),
            code: "out_of_range",
            detail: END_OUT_OF_RANGE.to_owned(),
        })
        .collect()
}
