//! Merchants: parties whom customers pay, each with a settlement account of its own.
//!
//! The bank makes somebody a merchant; account, owner and merchant belong together for good. A merchant is stopped like
//! any customer: by a freeze of the settlement account, which the books look at.

use std::sync::Arc;

use strongroom_crypto::Place;
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    id::{AccountId, MerchantId},
    money::Currency,
    text::{NAME_CHARS_MAX, check_line},
    time::Timestamp,
};
use strongroom_store::{Scope, StoreError, ledger::MerchantView};

use crate::{
    audit::record::Entry,
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
};

/// Input of [`Bank::create_merchant`].
#[derive(Debug, Clone)]
pub struct CreateMerchant {
    /// The account that will be paid.
    pub account: AccountId,
    /// The name under which the merchant trades; payers see it.
    pub name: String,
}

/// A merchant as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MerchantDetails {
    /// The id.
    pub id: MerchantId,
    /// The account that is paid.
    pub account: AccountId,
    /// The currency in which it is paid.
    pub currency: Currency,
    /// The name; empty once its owner was erased.
    pub name: String,
    /// Since when.
    pub created_at: Timestamp,
}

const fn name_place(merchant: &MerchantId) -> Place<'_> {
    Place {
        table: "merchant_names",
        column: "sealed",
        row: merchant.as_bytes(),
    }
}

fn taken() -> Error {
    Error::new(
        Kind::Conflict,
        "merchant_exists",
        "There is a merchant with this account.",
    )
}

impl Bank {
    /// Makes the owner of an account a merchant who is paid on it.
    ///
    /// # Errors
    /// `forbidden` for everybody but tellers, `account_not_found`, `account_closed`, `merchant_exists`.
    pub async fn create_merchant(
        self: &Arc<Self>,
        cx: &Cx,
        input: CreateMerchant,
    ) -> Result<MerchantDetails, Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move { bank.make_merchant(&cx, &input).await })
            .await
    }

    async fn make_merchant(&self, cx: &Cx, input: &CreateMerchant) -> Result<MerchantDetails, Error> {
        authorize(cx, Action::MerchantCreate, Resource::Bank)?;
        check_line(&input.name, NAME_CHARS_MAX, true)
            .map_err(|error| Error::field("/name", "invalid_value", error.to_string()))?;
        let view = self
            .readable_account(cx, input.account, Action::MerchantCreate)
            .await?;
        let owner = view.account.owner.ok_or_else(Error::account_not_found)?;
        // Who works for the bank is no merchant by the own hand.
        let permit = authorize(cx, Action::MerchantCreate, Resource::OwnedBy(owner))?;
        if view.account.closed {
            return Err(strongroom_domain::ledger::Refusal::AccountClosed.into());
        }
        let id: MerchantId = cx.new_id();
        let key = self.people.key_of(owner).await?;
        let merchant = MerchantView {
            id,
            account: input.account,
            owner,
            sealed_name: Some(key.seal(name_place(&id), input.name.as_bytes())),
            created_at: cx.now(),
        };
        let mut tx = self.store.write(Scope::Operator).await?;
        match tx.insert_merchant(&merchant).await {
            Err(StoreError::Constraint(_)) => return Err(taken()),
            inserted => inserted?,
        }
        let entry = Entry {
            object: Object::Other("merchant", *id.as_bytes()),
            outcome: "ok",
            details: Details::json(&format!(r#"{{"account":"{}","owner":"{owner}"}}"#, input.account)),
        };
        self.recorder.append(&mut tx, cx, &permit, entry).await?;
        tx.commit().await?;
        self.merchant_details(merchant).await
    }

    /// Who a merchant is, for everybody who may pay.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn merchant(&self, cx: &Cx, id: MerchantId) -> Result<MerchantDetails, Error> {
        let me = cx.caller.principal.owner();
        authorize(
            cx,
            Action::MerchantRead,
            me.map_or(Resource::Bank, Resource::OwnedBy),
        )?;
        let merchant = self.store.merchant(id).await?.ok_or_else(Error::not_found)?;
        self.merchant_details(merchant).await
    }

    /// All merchants, newest first, older than `before`.
    ///
    /// # Errors
    /// `forbidden` for everybody but operators.
    pub async fn merchants(
        &self,
        cx: &Cx,
        before: Option<MerchantId>,
        limit: u32,
    ) -> Result<Vec<MerchantDetails>, Error> {
        authorize(cx, Action::MerchantRead, Resource::Bank)?;
        let mut all = Vec::new();
        for merchant in self.store.merchants(before, limit).await? {
            all.push(self.merchant_details(merchant).await?);
        }
        Ok(all)
    }

    async fn merchant_details(&self, merchant: MerchantView) -> Result<MerchantDetails, Error> {
        let view = self.store.account(merchant.account, self.clock.now()).await?;
        let account = view
            .ok_or_else(|| Error::broken("a merchant without an account"))?
            .account;
        let key = self.people.key(merchant.owner).await?;
        let name = match (key, &merchant.sealed_name) {
            (Some(key), Some(sealed)) => {
                let plain = key
                    .open(name_place(&merchant.id), sealed)
                    .map_err(Error::internal)?;
                plain.expose_str().unwrap_or_default().to_owned()
            }
            _ => String::new(),
        };
        Ok(MerchantDetails {
            id: merchant.id,
            account: merchant.account,
            currency: account.currency,
            name,
            created_at: merchant.created_at,
        })
    }
}
