//! Beneficiaries: whom a customer pays by a name of the customer's own.
//!
//! Putting somebody on the list is what a thief does first, so it needs a fresh factor that approves exactly this
//! name and number, the owner is told by mail, and the books pay little to who is new. Name and number are sealed under
//! the owner's key; a blind index keeps the list free of doubles.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strongroom_crypto::Place;
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    beneficiary::{BENEFICIARIES_MAX, Beneficiary},
    iban::Iban,
    id::{AccountId, BeneficiaryId, UserId},
    ledger::{Refusal, StepUpClaim},
    money::Currency,
    principal::Principal,
    text::{NAME_CHARS_MAX, check_line, hex},
    time::Timestamp,
};
use strongroom_store::{Scope, StoreError, audit::payee_digest, ledger::BeneficiaryView};

use crate::{
    audit::record::Entry,
    authority::authorize::{Permit, Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
    identity::{factors::still_active, step_up::require_recent_proof},
    mail::MailKind,
    money::payee_names::{NameMatch, compare},
};

/// Name of the blind index of numbers.
const INDEX: &str = "beneficiary_details.target";

/// Input of [`Bank::add_beneficiary`].
#[derive(Debug, Clone)]
pub struct AddBeneficiary {
    /// What the customer calls whoever it is: the name that goes along with payments.
    pub name: String,
    /// The number of the account that is paid.
    pub number: Iban,
    /// In which currency.
    pub currency: Currency,
}

/// Name and number, as they are sealed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payee {
    /// The name.
    pub name: String,
    /// The number of the account.
    pub number: String,
}

impl std::fmt::Debug for Payee {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Payee([redacted])")
    }
}

/// A beneficiary as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeneficiaryDetails {
    /// What the books know.
    pub beneficiary: Beneficiary,
    /// Name and number; absent once the owner was erased.
    pub payee: Option<Payee>,
    /// Until when it is new.
    pub new_until: Option<Timestamp>,
    /// What may be paid to it now, minor units; absent where the customer's limits alone count.
    pub left: Option<i64>,
}

const fn place(id: &BeneficiaryId) -> Place<'_> {
    Place {
        table: "beneficiary_details",
        column: "sealed",
        row: id.as_bytes(),
    }
}

fn exists() -> Error {
    Error::new(
        Kind::Conflict,
        "beneficiary_exists",
        "There is a beneficiary with this number and currency.",
    )
}

fn too_many() -> Error {
    Error::new(
        Kind::Conflict,
        "too_many_beneficiaries",
        "There are as many beneficiaries as there can be.",
    )
}

impl Bank {
    /// Puts somebody on the caller's list, with the approval of a fresh factor for exactly this name and number.
    ///
    /// # Errors
    /// `step_up_required`; `payee_unavailable` for a number of this bank that cannot be paid in the currency;
    /// `beneficiary_exists`, `too_many_beneficiaries`; `forbidden` for integrations.
    pub async fn add_beneficiary(
        self: &Arc<Self>,
        cx: &Cx,
        input: AddBeneficiary,
    ) -> Result<BeneficiaryDetails, Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move { bank.put_on_list(&cx, &input).await })
            .await
    }

    async fn put_on_list(&self, cx: &Cx, input: &AddBeneficiary) -> Result<BeneficiaryDetails, Error> {
        let me = cx.person()?;
        let permit = authorize(cx, Action::BeneficiaryAdd, Resource::OwnedBy(me))?;
        check_line(&input.name, NAME_CHARS_MAX, true)
            .map_err(|error| Error::field("/name", "invalid_value", error.to_string()))?;
        // Before anything is looked up: whoever holds the session alone learns nothing.
        let claim = self.approval_of_addition(cx, me, input).await?;
        if claim.is_some_and(|claim| claim.approval.is_none()) {
            return Err(self.challenge_for(cx, claim));
        }
        let account = self.account_to_pay(&input.number, input.currency).await?;
        let beneficiary = Beneficiary {
            id: cx.new_id(),
            owner: me,
            account,
            currency: input.currency,
            added_at: cx.now(),
            removed: false,
            paid: 0,
            last: None,
            earlier: Vec::new(),
        };
        let payee = Payee {
            name: input.name.clone(),
            number: input.number.as_str().to_owned(),
        };
        let beneficiary = self
            .insert_beneficiary(cx, &permit, &beneficiary, &payee, claim)
            .await?;
        self.identity.mail_waits.notify_one();
        Ok(self.beneficiary_details(beneficiary, Some(payee)))
    }

    async fn insert_beneficiary(
        &self,
        cx: &Cx,
        permit: &Permit,
        beneficiary: &Beneficiary,
        payee: &Payee,
        claim: Option<StepUpClaim>,
    ) -> Result<Beneficiary, Error> {
        let me = beneficiary.owner;
        let key = self.people.key_of(me).await?;
        let plain = serde_json::to_vec(payee).map_err(Error::internal)?;
        let sealed = key.seal(place(&beneficiary.id), &plain);
        let target = target_of(me, &payee.number, beneficiary.currency);
        let mut tx = self.store.write(Scope::Person(me)).await?;
        // One after the other, so that a list has its bound and no doubles.
        still_active(&tx, me).await?;
        if let (Some(claim), Some(session)) = (claim, cx.caller.session) {
            let spent = match claim.approval {
                Some(approval) => {
                    tx.spend_step_up(approval, session, &claim.request, cx.now())
                        .await?
                }
                None => false,
            };
            if !spent {
                return Err(self.challenge_for(cx, Some(claim)));
            }
        }
        if tx.count_beneficiaries(me).await? >= u64::from(BENEFICIARIES_MAX) {
            return Err(too_many());
        }
        let indexes = self.ring().blind_indexes(INDEX, &target);
        let mut beneficiary = beneficiary.clone();
        match tx.beneficiary_like(me, &indexes).await? {
            Some(like) if !like.removed => return Err(exists()),
            // Who is taken off the list and put on it again is not new twice.
            Some(like) if like.new_until(&self.limits.ramp, cx.now()).is_some() => {
                beneficiary.paid = like.paid;
            }
            _ => {}
        }
        let index = self.ring().blind_index(INDEX, &target);
        match tx.insert_beneficiary(&beneficiary, &index, &sealed).await {
            Err(StoreError::Constraint(_)) => return Err(exists()),
            inserted => inserted?,
        }
        self.mail_to_person(&mut tx, me, MailKind::PayeeAdded, "").await?;
        let account = beneficiary
            .account
            .map_or_else(|| "null".to_owned(), |account| format!(r#""{account}""#));
        let currency = beneficiary.currency.code();
        let entry = Entry {
            object: Object::Other("beneficiary", *beneficiary.id.as_bytes()),
            outcome: "ok",
            details: Details::json(&format!(
                r#"{{"account":{account},"currency":"{currency}","details":"{}"}}"#,
                payee_digest(&hex(&index), &hex(&sealed))
            )),
        };
        self.recorder.append(&mut tx, cx, permit, entry).await?;
        tx.commit().await?;
        Ok(beneficiary)
    }

    /// The approval of a fresh factor for exactly this addition. Who has no factor, and need have none, shows the
    /// password again.
    async fn approval_of_addition(
        &self,
        cx: &Cx,
        me: UserId,
        input: &AddBeneficiary,
    ) -> Result<Option<StepUpClaim>, Error> {
        let (Principal::User(_), Some(session)) = (cx.caller.principal, cx.caller.session) else {
            return Err(Error::forbidden());
        };
        let required = self.identity.settings.customer_mfa_required;
        if !required && !self.store.has_factor(me).await? {
            require_recent_proof(cx)?;
            return Ok(None);
        }
        let fields: [&[u8]; 4] = [
            b"beneficiary.add",
            input.name.as_bytes(),
            input.number.as_str().as_bytes(),
            input.currency.code().as_bytes(),
        ];
        let request = self.keyed.request_digest(*session.as_bytes(), &fields);
        let approval = self.store.step_up(session, &request, cx.now()).await?;
        Ok(Some(StepUpClaim {
            request,
            approval,
            asked_at: cx.now(),
            no_factor: false,
        }))
    }

    /// The account behind a number of this bank that can be paid in a currency; `None` for a number of another bank.
    async fn account_to_pay(&self, number: &Iban, currency: Currency) -> Result<Option<AccountId>, Error> {
        if !self.is_ours(number) {
            return Ok(None);
        }
        let unavailable = || Error::from(Refusal::PayeeUnavailable);
        let to = crate::money::transfers::Payee::Number(number.clone());
        let id = self.payee(&to).await?.ok_or_else(unavailable)?;
        let view = self.store.account(id, self.clock.now()).await?;
        let account = view.ok_or_else(unavailable)?.account;
        if account.owner.is_none() || account.closed || account.currency != currency {
            return Err(unavailable());
        }
        Ok(Some(id))
    }

    /// Whether a number is one that this bank gives.
    pub(crate) fn is_ours(&self, number: &Iban) -> bool {
        let text = number.as_str();
        text.starts_with(self.row.country.as_str())
            && text
                .get(4..)
                .is_some_and(|rest| rest.starts_with(self.row.code.as_str()))
    }

    /// One of the caller's beneficiaries.
    ///
    /// # Errors
    /// `beneficiary_not_found`.
    pub async fn beneficiary(&self, cx: &Cx, id: BeneficiaryId) -> Result<BeneficiaryDetails, Error> {
        let me = cx.person()?;
        authorize(cx, Action::BeneficiaryRead, Resource::OwnedBy(me))?;
        let view = self.store.beneficiary(me, id).await?;
        let view = view.filter(|view| !view.beneficiary.removed);
        self.open_beneficiary(view.ok_or(Refusal::BeneficiaryNotFound)?)
            .await
    }

    /// The caller's beneficiaries, newest first, older than `before`.
    ///
    /// # Errors
    /// `forbidden` for integrations without the scope.
    pub async fn beneficiaries(
        &self,
        cx: &Cx,
        before: Option<BeneficiaryId>,
        limit: u32,
    ) -> Result<Vec<BeneficiaryDetails>, Error> {
        let me = cx.person()?;
        authorize(cx, Action::BeneficiaryRead, Resource::OwnedBy(me))?;
        let mut all = Vec::new();
        for view in self.store.beneficiaries(me, before, limit).await? {
            all.push(self.open_beneficiary(view).await?);
        }
        Ok(all)
    }

    /// Takes a beneficiary off the caller's list. What was paid to it stays as it is.
    ///
    /// # Errors
    /// `beneficiary_not_found`.
    pub async fn remove_beneficiary(self: &Arc<Self>, cx: &Cx, id: BeneficiaryId) -> Result<(), Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let me = cx.person()?;
            let permit = authorize(&cx, Action::BeneficiaryRemove, Resource::OwnedBy(me))?;
            let mut tx = bank.store.write(Scope::Person(me)).await?;
            if !tx.remove_beneficiary(me, id, cx.now()).await? {
                return Err(Refusal::BeneficiaryNotFound.into());
            }
            let entry = Entry {
                object: Object::Other("beneficiary", *id.as_bytes()),
                outcome: "ok",
                details: Details::none(),
            };
            bank.recorder.append(&mut tx, &cx, &permit, entry).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    /// Whether a name is that of the holder of an account of this bank. Who asks learns that and nothing else; whoever
    /// there is no account for, the same is looked up.
    ///
    /// # Errors
    /// `forbidden` for everybody but customers.
    pub async fn check_payee(&self, cx: &Cx, number: &Iban, name: &str) -> Result<NameMatch, Error> {
        let me = cx.person()?;
        authorize(cx, Action::PayeeCheck, Resource::OwnedBy(me))?;
        if !self.is_ours(number) {
            return Ok(NameMatch::Impossible);
        }
        let to = crate::money::transfers::Payee::Number(number.clone());
        let holder = match self.payee(&to).await? {
            Some(account) => self.owner_of(account).await?,
            None => None,
        };
        let row = self.store.user(holder.unwrap_or(me)).await?;
        let known = match &row {
            Some(row) => self.people.profile(row).await?.full_name,
            None => String::new(),
        };
        let told = compare(name, &known);
        Ok(if holder.is_some() { told } else { NameMatch::None })
    }

    /// Name and number of a beneficiary, also of one that was taken off the list.
    pub(crate) async fn payee_of(&self, owner: UserId, id: BeneficiaryId) -> Result<Option<Payee>, Error> {
        match self.store.beneficiary(owner, id).await? {
            Some(view) => Ok(self.open_beneficiary(view).await?.payee),
            None => Ok(None),
        }
    }

    async fn open_beneficiary(&self, view: BeneficiaryView) -> Result<BeneficiaryDetails, Error> {
        let key = self.people.key(view.beneficiary.owner).await?;
        let payee = match (key, &view.sealed) {
            (Some(key), Some(sealed)) => {
                let plain = key
                    .open(place(&view.beneficiary.id), sealed)
                    .map_err(Error::internal)?;
                Some(serde_json::from_slice(plain.expose()).map_err(Error::internal)?)
            }
            _ => None,
        };
        Ok(self.beneficiary_details(view.beneficiary, payee))
    }

    fn beneficiary_details(&self, beneficiary: Beneficiary, payee: Option<Payee>) -> BeneficiaryDetails {
        let (rules, now) = (&self.limits.ramp, self.clock.now());
        BeneficiaryDetails {
            new_until: beneficiary.new_until(rules, now),
            left: beneficiary.left(rules, now),
            beneficiary,
            payee,
        }
    }
}

/// What the blind index is made of: the same number of two people has two.
fn target_of(owner: UserId, number: &str, currency: Currency) -> Vec<u8> {
    [
        owner.as_bytes().as_slice(),
        currency.code().as_bytes(),
        number.as_bytes(),
    ]
    .concat()
}
