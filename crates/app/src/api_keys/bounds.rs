//! What a customer's key may move at once: no more than its owner could without a factor, unless the owner said so with
//! one.

use std::sync::Arc;

use strongroom_domain::{
    id::UserId,
    ledger::{KeyBounds, Refusal},
    money::{Amount, Currency},
    principal::Role,
};

use crate::{
    bank::Bank,
    cx::Cx,
    error::Error,
    identity::{
        auth_state::refused,
        factors::no_second_factor,
        step_up::{approves_money, factor_too_new, is_above, units_in},
    },
};

impl Bank {
    /// The caveats that a movement in this currency is decided under; none for people.
    pub(crate) fn bounds_for(&self, cx: &Cx, currency: Currency) -> Result<Option<Arc<KeyBounds>>, Error> {
        let Some(bounds) = cx.bounds.clone() else {
            return Ok(None);
        };
        if bounds.max_amount.is_some() || !cx.rights.has(Role::Customer) {
            return Ok(Some(bounds));
        }
        let most = units_in(currency, self.identity.settings.step_up_transfer_over);
        let most = i64::try_from(most)
            .unwrap_or(i64::MAX)
            .min(strongroom_domain::money::AMOUNT_MAX);
        let most = Amount::new(most).map_err(|_| Error::from(Refusal::LimitExceeded))?;
        Ok(Some(Arc::new(KeyBounds {
            max_amount: Some((most, currency)),
            ..bounds.as_ref().clone()
        })))
    }

    /// Allows a key to move so much at once: above what its owner may without a factor, the owner must have one that
    /// approves money already. That one was proved just now.
    pub(crate) async fn require_money_factor(
        &self,
        cx: &Cx,
        me: UserId,
        amount: Amount,
        currency: Currency,
    ) -> Result<(), Error> {
        if !is_above(amount, currency, self.identity.settings.step_up_transfer_over) {
            return Ok(());
        }
        let user = self.store.user(me).await?.ok_or_else(refused)?;
        let codes = self.store.totp_factors(me).await?;
        let passkeys = self.store.passkeys(me).await?;
        let bound = codes
            .iter()
            .filter_map(|factor| factor.activated_at)
            .chain(passkeys.iter().map(|passkey| passkey.created_at));
        let ready: Vec<bool> = bound
            .map(|at| approves_money(at, user.created_at, cx.now()))
            .collect();
        match ready.as_slice() {
            [] => Err(no_second_factor()),
            ready if ready.contains(&true) => Ok(()),
            _ => Err(factor_too_new()),
        }
    }
}
