//! Many items of one request in one commit: decided in their order, all or none or each on its own, an answer for each,
//! one key for the whole. What the items are is said by [transfers](super::batches) and [holds](super::hold_batches).

use strongroom_domain::{
    action::Action,
    ledger::{Answer, Command, Idempotency, Order, Verb},
    money::{AMOUNT_MAX, Amount, Currency},
};

use crate::{
    authority::authorize::{About, authorize_own},
    bank::Bank,
    cx::Cx,
    error::Error,
    money::{
        accounts::{refused, replayed},
        idempotency::Fields,
    },
};

/// Most items in one order.
pub const ORDER_ITEMS_MAX: usize = 1_000;

/// What became of an order.
#[derive(Debug)]
pub struct OrderDetails<T> {
    /// An answer for each item, in their order.
    pub results: Vec<Result<T, Error>>,
    /// Whether this is a repetition of an earlier answer.
    pub replayed: bool,
}

/// An order of the caller's, as it is remembered and approved.
pub(super) struct Asked {
    action: Action,
    all_or_none: bool,
    /// One for each item.
    keys: Vec<Idempotency>,
    /// What a fresh factor approves: all items at once.
    whole: Vec<Vec<u8>>,
    /// Fields of one item, with those of the order behind them.
    names: &'static Fields,
}

impl Asked {
    /// The client's key, which the first item has.
    pub(super) fn key(&self) -> Option<&Idempotency> {
        self.keys.first()
    }
}

/// An item as it goes to the books.
pub(super) struct Item {
    /// What the decision may depend on besides.
    pub(super) about: About,
    /// What counts towards the bound for a fresh factor; nothing where that was approved before.
    pub(super) moves: Option<Amount>,
    pub(super) currency: Currency,
    pub(super) verb: Verb,
}

/// What the books said of each item of an order, in their order.
pub(super) struct Decided {
    pub(super) answers: Vec<Answer>,
    pub(super) replayed: bool,
}

impl Bank {
    /// Allows an order at all, and remembers its items by their fields: the verb's first, then each of its own. An
    /// order of another length or mode is another order, so these come behind them: `names` names them last.
    pub(super) fn ask_for_order(
        &self,
        cx: &Cx,
        action: Action,
        all_or_none: bool,
        key: Option<&str>,
        mut items: Vec<Vec<Vec<u8>>>,
        names: &'static Fields,
    ) -> Result<Asked, Error> {
        authorize_own(cx, action, About::default())?;
        let of_order = [vec![u8::from(all_or_none)], items.len().to_be_bytes().to_vec()];
        for fields in &mut items {
            fields.extend_from_slice(&of_order);
        }
        Ok(Asked {
            action,
            all_or_none,
            keys: self.item_keys(cx, key, &items)?,
            whole: items.concat(),
            names,
        })
    }

    /// The first item has the client's key, so that it cannot stand for another request as well; the others have keys
    /// that no client can send.
    fn item_keys(
        &self,
        cx: &Cx,
        text: Option<&str>,
        fields: &[Vec<Vec<u8>>],
    ) -> Result<Vec<Idempotency>, Error> {
        let first = fields.first().map_or(&[][..], Vec::as_slice);
        let first = self
            .key_for(cx, text, first, false)?
            .ok_or_else(Error::not_found)?;
        let mut keys = vec![first];
        for (number, fields) in fields.iter().enumerate().skip(1) {
            keys.push(self.bind_item_key(cx, text.unwrap_or_default(), number, fields)?);
        }
        Ok(keys)
    }

    /// Has the books decide an order: `items` are those that were asked for, in their order. They are about the
    /// caller's own accounts: of others there are none.
    pub(super) async fn decide_order(
        &self,
        cx: &Cx,
        asked: &Asked,
        items: &[Item],
    ) -> Result<Decided, Error> {
        let amounts = items
            .iter()
            .filter_map(|item| item.moves.map(|amount| (amount, item.currency)));
        let step_up = match largest(amounts) {
            Some((amount, currency)) => self.step_up_for(cx, amount, currency, &asked.whole).await?,
            None => None,
        };
        let nonce = cx.nonce.as_deref();
        let answers = self
            .submit_order(cx, |cx| {
                let mut commands = Vec::with_capacity(items.len());
                for (item, key) in items.iter().zip(&asked.keys) {
                    let permit = authorize_own(cx, asked.action, item.about)?;
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
                    all_or_none: asked.all_or_none,
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
        // A key that stands for something else stands for nothing of this order.
        let reused = |answer: &&Answer| matches!(answer, Answer::KeyReused { .. });
        if let Some(answer) = answers.iter().find(reused) {
            return Err(refused(answer.clone(), asked.names));
        }
        Ok(Decided {
            replayed: answers
                .iter()
                .all(|answer| matches!(answer, Answer::Replayed { .. })),
            answers,
        })
    }
}

/// What the bound for a fresh factor is held against: the largest sum of a currency. Many small transfers are one
/// large.
fn largest(amounts: impl IntoIterator<Item = (Amount, Currency)>) -> Option<(Amount, Currency)> {
    let mut sums: Vec<(Currency, i64)> = Vec::new();
    for (amount, currency) in amounts {
        let minor = amount.minor();
        match sums.iter_mut().find(|sum| sum.0 == currency) {
            Some(sum) => sum.1 = sum.1.saturating_add(minor),
            None => sums.push((currency, minor)),
        }
    }
    let weighed = sums.into_iter().max_by_key(|(currency, minor)| {
        let scale = 10_i64.saturating_pow(4_u32.saturating_sub(u32::from(currency.exponent())));
        minor.saturating_mul(scale)
    });
    let (currency, minor) = weighed?;
    Amount::new(minor.min(AMOUNT_MAX))
        .ok()
        .map(|amount| (amount, currency))
}
