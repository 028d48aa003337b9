//! Holds: money reserved for a payee, then paid or given back.
//!
//! Whoever places a hold approves the payment, with a fresh factor where a transfer of that size needs one; what is
//! captured later was approved then. The owners of both accounts see a hold, capture it and void it.

use strongroom_crypto::random;
use strongroom_domain::{
    action::Action,
    hold::{HOLD_SECONDS_DEFAULT, HOLD_SECONDS_MAX, Hold, HoldState, Take},
    id::{AccountId, HoldId, TransactionId},
    ledger::{Answer, Capture, Command, Done, HoldRef, Idempotency, NewHold, Refusal, StepUpClaim, Verb},
    money::{Amount, Currency},
    time::Timestamp,
};

use crate::{
    api_keys::signatures::require_signature,
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
    money::{
        accounts::{Once, refused},
        idempotency::Fields,
        transfers::Payee,
    },
};

/// Fields of `POST /holds` in the order of its fingerprint.
pub const HOLD_FIELDS: Fields = Fields(&[
    "",
    "/account_id",
    "/to_account_id",
    "/to_account_number",
    "/amount/amount",
    "/amount/currency",
    "/expires_at",
]);
/// Fields of `POST /holds/{id}/capture` in the order of its fingerprint.
pub const CAPTURE_FIELDS: Fields = Fields(&["", "/amount/amount", "/amount/currency", "/final"]);
/// What is said of an end that is over or too far away.
pub(super) const END_OUT_OF_RANGE: &str = "must lie in the future, at most 31 days ahead";
/// Fields of `POST /holds/{id}/void`.
pub const VOID_FIELDS: Fields = Fields(&[""]);

/// Input of [`Bank::place_hold`].
#[derive(Debug, Clone)]
pub struct PlaceHold {
    /// The account on which money is reserved.
    pub account: AccountId,
    /// Who will be paid.
    pub to: Payee,
    /// How much.
    pub amount: Amount,
    /// Of which currency.
    pub currency: Currency,
    /// Until when, at most [`HOLD_SECONDS_MAX`] from now; [`HOLD_SECONDS_DEFAULT`] when absent.
    pub expires_at: Option<Timestamp>,
    /// The client's key.
    pub idempotency_key: Option<String>,
}

/// Input of [`Bank::capture_hold`].
#[derive(Debug, Clone)]
pub struct CaptureHold {
    /// Which hold.
    pub hold: HoldId,
    /// How much of it; all that is left when absent.
    pub amount: Option<(Amount, Currency)>,
    /// Give back what is left afterwards.
    pub last: bool,
    /// The client's key.
    pub idempotency_key: Option<String>,
}

/// A hold as its two sides see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldDetails {
    /// The hold.
    pub hold: Hold,
    /// As of when: what is over by then reserves nothing.
    pub at: Timestamp,
}

/// A request about a hold, as it is authorized and remembered.
struct Asked {
    action: Action,
    resource: Resource,
    idempotency: Option<Idempotency>,
    step_up: Option<StepUpClaim>,
    /// What the request is remembered by.
    fields: Vec<Vec<u8>>,
    currency: Currency,
    verb: Verb,
}

impl Bank {
    /// Reserves money on an account of the caller's for a payee.
    ///
    /// # Errors
    /// `account_not_found` for a foreign account, `validation_failed` for an end in the past or too far away, every
    /// refusal of the books, `idempotency_key_reused`.
    pub async fn place_hold(&self, cx: &Cx, input: PlaceHold) -> Result<Once<HoldDetails>, Error> {
        require_signature(cx)?;
        let outcome = self.place(cx, input).await;
        self.settled(cx, outcome).await
    }

    async fn place(&self, cx: &Cx, input: PlaceHold) -> Result<Once<HoldDetails>, Error> {
        let owner = self.paying_account(cx, input.account, Action::HoldPlace).await?;
        let fields = hold_fields(&input);
        let idempotency = self.key_for(cx, input.idempotency_key.as_deref(), &fields, false)?;
        let latest = cx.now().plus_seconds(HOLD_SECONDS_MAX);
        let expires_at = input
            .expires_at
            .unwrap_or_else(|| cx.now().plus_seconds(HOLD_SECONDS_DEFAULT));
        // A repetition may come after the end of its hold: it is answered as the first time.
        if (expires_at <= cx.now() || expires_at > latest) && !self.is_known(idempotency.as_ref()).await? {
            return Err(Error::field("/expires_at", "out_of_range", END_OUT_OF_RANGE));
        }
        let step_up = self
            .step_up_for(cx, input.amount, input.currency, &fields)
            .await?;
        let asked = Asked {
            action: Action::HoldPlace,
            resource: Resource::OwnedBy(owner),
            idempotency,
            step_up,
            fields,
            currency: input.currency,
            verb: Verb::Hold(NewHold {
                id: cx.new_id(),
                account: input.account,
                to: self.payee(&input.to).await?,
                amount: input.amount,
                currency: input.currency,
                expires_at,
            }),
        };
        self.ask_about_hold(cx, asked, &HOLD_FIELDS).await
    }

    /// Pays out of a hold.
    ///
    /// # Errors
    /// `hold_not_found` for everybody but its two sides, every refusal of the books, `idempotency_key_reused`.
    pub async fn capture_hold(&self, cx: &Cx, input: CaptureHold) -> Result<Once<HoldDetails>, Error> {
        require_signature(cx)?;
        let outcome = self.capture(cx, input).await;
        self.settled(cx, outcome).await
    }

    async fn capture(&self, cx: &Cx, input: CaptureHold) -> Result<Once<HoldDetails>, Error> {
        let (hold, resource) = self.hold_of(cx, input.hold, Action::HoldCapture).await?;
        let fields = capture_fields(&input);
        let idempotency = self.key_for(cx, input.idempotency_key.as_deref(), &fields, false)?;
        if input
            .amount
            .is_some_and(|(_, currency)| currency != hold.currency)
        {
            return Err(Refusal::CurrencyMismatch.into());
        }
        let asked = Asked {
            action: Action::HoldCapture,
            resource,
            idempotency,
            step_up: None,
            fields,
            currency: hold.currency,
            verb: Verb::Capture(Capture {
                id: cx.new_id(),
                hold: reference(&hold),
                take: Take {
                    amount: input.amount.map(|(amount, _)| amount),
                    last: input.last,
                },
                currency: input.amount.map(|(_, currency)| currency),
                salt: random::bytes(),
            }),
        };
        self.ask_about_hold(cx, asked, &CAPTURE_FIELDS).await
    }

    /// Gives back what a hold reserves. The client's key is optional: a hold ends once.
    ///
    /// # Errors
    /// `hold_not_found` for everybody but its two sides and tellers, `hold_not_open`, `idempotency_key_reused`.
    pub async fn void_hold(
        &self,
        cx: &Cx,
        id: HoldId,
        idempotency_key: Option<&str>,
    ) -> Result<Once<HoldDetails>, Error> {
        require_signature(cx)?;
        let outcome = self.void(cx, id, idempotency_key).await;
        self.settled(cx, outcome).await
    }

    async fn void(
        &self,
        cx: &Cx,
        id: HoldId,
        idempotency_key: Option<&str>,
    ) -> Result<Once<HoldDetails>, Error> {
        let (hold, resource) = self.hold_of(cx, id, Action::HoldVoid).await?;
        let cx = &*self.beside_owner(cx, resource).await?;
        let fields = [[b"hold.void/".as_slice(), id.as_bytes()].concat()];
        let idempotency = match idempotency_key {
            Some(text) => Some(self.bind_key(cx, text, &fields)?),
            None => None,
        };
        let asked = Asked {
            action: Action::HoldVoid,
            resource,
            idempotency,
            step_up: None,
            fields: fields.to_vec(),
            currency: hold.currency,
            verb: Verb::Void(reference(&hold)),
        };
        self.ask_about_hold(cx, asked, &VOID_FIELDS).await
    }

    /// A hold, for its two sides and for operators.
    ///
    /// # Errors
    /// `hold_not_found`.
    pub async fn hold(&self, cx: &Cx, id: HoldId) -> Result<HoldDetails, Error> {
        let (hold, _) = self.hold_of(cx, id, Action::HoldRead).await?;
        Ok(HoldDetails { hold, at: cx.now() })
    }

    /// The open holds on an account, newest first, older than `before`.
    ///
    /// # Errors
    /// `account_not_found`.
    pub async fn holds(
        &self,
        cx: &Cx,
        account: AccountId,
        before: Option<HoldId>,
        limit: u32,
    ) -> Result<Vec<HoldDetails>, Error> {
        self.readable_account(cx, account, Action::HoldRead).await?;
        let holds = self.store.open_holds(account, before, limit).await?;
        Ok(holds
            .into_iter()
            .map(|hold| HoldDetails { hold, at: cx.now() })
            .collect())
    }

    /// The hold, and the side of it on which the caller may do this. To everybody else there is no such hold.
    async fn hold_of(&self, cx: &Cx, id: HoldId, action: Action) -> Result<(Hold, Resource), Error> {
        let hold = self.store.hold(id).await?;
        let sides = hold.as_ref().map(|hold| [hold.account, hold.to_account]);
        let mut owners = Vec::new();
        for side in sides.into_iter().flatten() {
            owners.extend(self.owner_of(side).await?);
        }
        // Nobody learns from the kind of refusal whether there is a hold.
        if owners.is_empty() {
            owners.push(cx.person()?);
        }
        for owner in owners {
            let (resource, here) = (Resource::OwnedBy(owner), self.beside(cx, owner).await?);
            match (authorize(&here, action, resource), &hold) {
                (Ok(_), Some(hold)) => return Ok((hold.clone(), resource)),
                (Err(error), Some(_)) if error.says_nothing_of_the_object() => return Err(error),
                (Err(error), None) if error.kind == Kind::Unauthenticated => return Err(error),
                _ => {}
            }
        }
        Err(Refusal::HoldNotFound.into())
    }

    pub(super) async fn is_known(&self, key: Option<&Idempotency>) -> Result<bool, Error> {
        match key {
            Some(key) => Ok(self.store.outcome(&key.tag).await?.is_some()),
            None => Ok(false),
        }
    }

    async fn ask_about_hold(
        &self,
        cx: &Cx,
        asked: Asked,
        fields: &Fields,
    ) -> Result<Once<HoldDetails>, Error> {
        let nonce = cx.nonce.as_deref();
        let answer = self
            .submit_confirmed(cx, asked.step_up, &asked.fields, |cx, step_up| {
                let permit = authorize(cx, asked.action, asked.resource)?;
                Ok(Command {
                    authority: permit.authority(),
                    request: cx.request,
                    idempotency: asked.idempotency.clone(),
                    dry_run: false,
                    step_up,
                    bounds: self.bounds_for(cx, asked.currency)?,
                    nonce: nonce.map(|open| open.nonce),
                    verb: asked.verb.clone(),
                })
            })
            .await?;
        let (hold, replayed) = match answer {
            Answer::Done(done) => match *done {
                Done::Held(hold) | Done::Captured(hold) => (hold, false),
                _ => return Err(Error::broken("another answer than asked for")),
            },
            Answer::Replayed {
                refusal: None,
                resource: Some(resource),
            } => (self.hold_as_told(&asked.verb, resource).await?, true),
            other => return Err(refused(other, fields)),
        };
        // As of the deed, not of now: a repetition gets the same answer, however late it comes.
        let at = hold.placed_at;
        Ok(Once {
            value: HoldDetails { hold, at },
            replayed,
        })
    }

    /// The hold as the first request left it.
    pub(super) async fn hold_as_told(&self, verb: &Verb, resource: [u8; 16]) -> Result<Hold, Error> {
        let gone = || Error::broken("a hold that was answered is gone");
        let mut left = None;
        let id = match verb {
            Verb::Capture(_) => {
                let capture = self.store.capture(TransactionId::from_bytes(resource)).await?;
                left.insert(capture.ok_or_else(gone)?).hold
            }
            _ => HoldId::from_bytes(resource),
        };
        let hold = self.store.hold(id).await?.ok_or_else(gone)?;
        Ok(match (verb, left) {
            (Verb::Hold(_), _) => Hold {
                captured: 0,
                state: HoldState::Open,
                closed_at: None,
                ..hold
            },
            (_, Some(left)) => Hold {
                captured: left.captured,
                state: left.state,
                ..hold
            },
            _ => hold,
        })
    }
}

pub(super) const fn reference(hold: &Hold) -> HoldRef {
    HoldRef {
        id: hold.id,
        account: hold.account,
        to: hold.to_account,
    }
}

pub(super) fn hold_fields(input: &PlaceHold) -> Vec<Vec<u8>> {
    let (id, number) = input.to.fields();
    let end = input.expires_at.map(|end| end.micros().to_be_bytes().to_vec());
    vec![
        b"hold.place".to_vec(),
        input.account.as_bytes().to_vec(),
        id,
        number,
        input.amount.minor().to_be_bytes().to_vec(),
        input.currency.code().into(),
        end.unwrap_or_default(),
    ]
}

pub(super) fn capture_fields(input: &CaptureHold) -> Vec<Vec<u8>> {
    let (amount, currency) = input.amount.map_or_else(Default::default, |(amount, currency)| {
        (amount.minor().to_be_bytes().to_vec(), currency.code().into())
    });
    vec![
        [b"hold.capture/".as_slice(), input.hold.as_bytes()].concat(),
        amount,
        currency,
        vec![u8::from(input.last)],
    ]
}
