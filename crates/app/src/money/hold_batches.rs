//! Many holds in one [order](super::orders): placed, captured, or given back. They are holds of the caller's own, on
//! either side.

use std::collections::HashMap;

use strongroom_crypto::random;
use strongroom_domain::{
    action::Action,
    hold::{HOLD_SECONDS_DEFAULT, HOLD_SECONDS_MAX, Hold, Take},
    id::{AccountId, HoldId},
    ledger::{Answer, Capture, Done, HoldRef, NewHold, Verb},
    money::{Amount, Currency},
};

use crate::{
    api_keys::signatures::require_signature,
    authority::authorize::About,
    bank::Bank,
    cx::Cx,
    error::{Error, FieldError},
    money::{
        accounts::refused,
        holds::{
            CAPTURE_FIELDS, CaptureHold, END_OUT_OF_RANGE, HOLD_FIELDS, HoldDetails, PlaceHold, VOID_FIELDS,
            capture_fields, hold_fields, reference,
        },
        idempotency::Fields,
        orders::{Item, OrderDetails},
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

/// What is asked of many holds: 1 to [`super::orders::ORDER_ITEMS_MAX`] items, whose own keys are not looked at.
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

impl HoldItems {
    /// How many.
    pub const fn count(&self) -> usize {
        match self {
            Self::Place(holds) => holds.len(),
            Self::Capture(captures) => captures.len(),
            Self::Void(ids) => ids.len(),
        }
    }

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

    /// What each item is remembered by.
    fn remembered(&self) -> Vec<Vec<Vec<u8>>> {
        let mut items: Vec<Vec<Vec<u8>>> = match self {
            Self::Place(holds) => holds.iter().map(hold_fields).collect(),
            Self::Capture(captures) => captures.iter().map(capture_fields).collect(),
            Self::Void(ids) => ids
                .iter()
                .map(|id| vec![[b"hold.void/".as_slice(), id.as_bytes()].concat()])
                .collect(),
        };
        for verb in items.iter_mut().filter_map(|fields| fields.first_mut()) {
            verb.extend_from_slice(b"/batch");
        }
        items
    }
}

impl Bank {
    /// Places, captures or gives back many holds of the caller's in one commit.
    ///
    /// # Errors
    /// `idempotency_key_missing`, `idempotency_key_reused`, `validation_failed` for ends in the past or too far away,
    /// `step_up_required` where one hold that is placed, or all of a currency together, are above the bound. What is
    /// wrong with one item is in its result.
    pub async fn decide_holds(&self, cx: &Cx, input: HoldBatch) -> Result<OrderDetails<HoldDetails>, Error> {
        require_signature(cx)?;
        let outcome = self.hold_batch(cx, input).await;
        self.settled(cx, outcome).await
    }

    async fn hold_batch(&self, cx: &Cx, input: HoldBatch) -> Result<OrderDetails<HoldDetails>, Error> {
        let (item_fields, names) = input.items.fields();
        let key = input.idempotency_key.as_deref();
        let (action, fields) = (input.items.action(), input.items.remembered());
        let asked = self.ask_for_order(cx, action, input.atomic, key, fields, names)?;
        if let HoldItems::Place(holds) = &input.items {
            // A repetition may come after the end of its holds: it is answered as the first time.
            let wrong = ends_out_of_range(cx, holds);
            if !wrong.is_empty() && !self.is_known(asked.key()).await? {
                return Err(Error::invalid(wrong));
            }
        }
        let items = self.hold_items(cx, input.items).await?;
        let decided = self.decide_order(cx, &asked, &items).await?;
        let mut results = Vec::with_capacity(decided.answers.len());
        for (answer, item) in decided.answers.into_iter().zip(&items) {
            results.push(self.hold_result(answer, &item.verb, item_fields).await?);
        }
        Ok(OrderDetails {
            results,
            replayed: decided.replayed,
        })
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
                    made.push(item(Some(hold.amount), hold.currency, Verb::Hold(new)));
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
                    made.push(item(None, currency, Verb::Capture(asked)));
                }
            }
            HoldItems::Void(ids) => {
                let known = self.known_holds(&ids).await?;
                made.extend(ids.into_iter().map(|id| {
                    let (hold, currency) = meant(&known, id);
                    item(None, currency, Verb::Void(hold))
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

/// An item, with what a fresh factor is asked for: of what is placed. What is captured was approved then.
fn item(moves: Option<Amount>, currency: Currency, verb: Verb) -> Item {
    Item {
        about: About::default(),
        moves,
        currency,
        verb,
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
