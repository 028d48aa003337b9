//! Accounts: open, list, read, rename, freeze, close.

use std::sync::Arc;

use strongroom_crypto::random;
use strongroom_domain::{
    account::{AccountKind, CustomerKind, FreezeScope, Side},
    action::Action,
    audit::{Details, Object},
    iban::{ACCOUNT_DIGITS, Iban},
    id::{AccountId, UserId},
    ledger::{AccountChange, Answer, Command, Done, NewAccount, Refusal, Verb},
    money::Currency,
    time::Timestamp,
};
use strongroom_store::{Scope, ledger::AccountView};

use crate::{
    audit::record::Entry,
    authority::authorize::{About, Resource, authorize, authorize_about, authorize_first},
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
    identity::closing::payments_waiting,
    money::idempotency::{Fields, IdempotencyKey},
};

/// How often a random account number is drawn again because it is taken.
const NUMBER_DRAWS_MAX: usize = 8;
/// Fields of `POST /accounts` in the order of its fingerprint.
pub const OPEN_FIELDS: Fields = Fields(&["", "/kind", "/currency", "/name", "/customer_id", "/overdraft"]);

/// An account as its readers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountDetails {
    /// Its id.
    pub id: AccountId,
    /// Its number.
    pub number: Option<String>,
    /// Whose it is.
    pub owner: Option<UserId>,
    /// What it is for.
    pub kind: AccountKind,
    /// Its currency.
    pub currency: Currency,
    /// The owner's name for it.
    pub name: String,
    /// `active`, `frozen` or `closed`.
    pub state: &'static str,
    /// Settled entries, minor units.
    pub posted: i64,
    /// Reserved by holds, minor units.
    pub held: i64,
    /// What may be spent, minor units.
    pub available: i64,
    /// Agreed overdraft, minor units.
    pub overdraft: i64,
    /// When it was opened.
    pub opened_at: Timestamp,
}

/// Input of [`Bank::open_account`].
#[derive(Debug, Clone)]
pub struct OpenAccount {
    /// Whose account; the caller's own when absent.
    pub customer: Option<UserId>,
    /// What for.
    pub kind: CustomerKind,
    /// Its currency.
    pub currency: Currency,
    /// The customer's name for it.
    pub name: String,
    /// Agreed overdraft in minor units, 0 or more; operators only.
    pub overdraft: i64,
    /// The client's key, if it sent one.
    pub idempotency_key: Option<String>,
}

/// The answer to a command that may have been answered before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once<T> {
    /// The resource.
    pub value: T,
    /// Whether this is a repetition of an earlier answer.
    pub replayed: bool,
}

impl Bank {
    /// Opens an account for the caller, or for a customer by an operator.
    ///
    /// # Errors
    /// `forbidden`, `not_found` for an unknown customer, `idempotency_key_reused`.
    pub async fn open_account(&self, cx: &Cx, input: OpenAccount) -> Result<Once<AccountDetails>, Error> {
        // For somebody else, or with an overdraft, is the bank's to decide, also about one's own account.
        let (owner, action) = match input.customer {
            Some(customer) => (customer, Action::AccountOpenFor),
            None if input.overdraft != 0 => (cx.person()?, Action::AccountOpenFor),
            None => (cx.person()?, Action::AccountOpen),
        };
        let cx = &*self.beside(cx, owner).await?;
        authorize(cx, action, Resource::OwnedBy(owner))?;
        if self.people.key(owner).await?.is_none() {
            return Err(Error::not_found());
        }
        let id = cx.new_id();
        let sealed_name = self.people.seal_account_name(owner, id, &input.name).await?;
        let idempotency = match &input.idempotency_key {
            Some(text) => Some(self.bind_key(cx, text, &open_fields(&input, owner))?),
            None => None,
        };
        for _ in 0..NUMBER_DRAWS_MAX {
            let number = self.draw_number()?;
            let limits = self.store.customer_limits(owner).await?;
            let held_to_floor = limits
                .iter()
                .filter_map(|(_, limits)| limits.floor_until(cx.now()))
                .max();
            let new = NewAccount {
                id,
                owner,
                kind: input.kind,
                currency: input.currency,
                overdraft: input.overdraft,
                number: number.clone(),
                sealed_name: sealed_name.clone(),
                held_to_floor,
            };
            let answer = self
                .submit(cx, |cx| {
                    let permit = authorize(cx, action, Resource::OwnedBy(owner))?;
                    Ok(Command {
                        authority: permit.authority(),
                        request: cx.request,
                        idempotency: idempotency.clone(),
                        dry_run: false,
                        step_up: None,
                        bounds: None,
                        nonce: None,
                        verb: Verb::Open(new.clone()),
                    })
                })
                .await?;
            match answer {
                Answer::Refused(Refusal::NumberTaken) => {}
                Answer::Done(_) => {
                    return Ok(Once {
                        value: self.details_of(id).await?,
                        replayed: false,
                    });
                }
                Answer::Replayed {
                    resource: Some(resource),
                    ..
                } => {
                    let mut value = self.details_of(AccountId::from_bytes(resource)).await?;
                    // As it was answered then: a new account.
                    (value.state, value.posted, value.held, value.available) =
                        ("active", 0, 0, value.overdraft);
                    return Ok(Once {
                        value,
                        replayed: true,
                    });
                }
                other => return Err(refused(other, &OPEN_FIELDS)),
            }
        }
        Err(Refusal::NumberTaken.into())
    }

    /// One account.
    ///
    /// # Errors
    /// `account_not_found` when there is none, or it is somebody else's.
    pub async fn account(&self, cx: &Cx, id: AccountId) -> Result<AccountDetails, Error> {
        let view = self.readable_account(cx, id, Action::AccountRead).await?;
        self.details(view).await
    }

    /// The caller's accounts, newest first.
    ///
    /// # Errors
    /// `forbidden` for callers without accounts of their own.
    pub async fn own_accounts(
        &self,
        cx: &Cx,
        before: Option<AccountId>,
        limit: u32,
    ) -> Result<Vec<AccountDetails>, Error> {
        let me = cx.person()?;
        authorize(cx, Action::AccountList, Resource::OwnedBy(me))?;
        self.all_details(self.store.accounts(Some(me), before, limit, cx.now()).await?)
            .await
    }

    /// Everybody's accounts, or one customer's, newest first, for operators.
    ///
    /// # Errors
    /// `forbidden` for others.
    pub async fn accounts(
        &self,
        cx: &Cx,
        customer: Option<UserId>,
        before: Option<AccountId>,
        limit: u32,
    ) -> Result<Vec<AccountDetails>, Error> {
        match customer {
            Some(customer) => {
                let cx = &*self.beside(cx, customer).await?;
                authorize(cx, Action::AccountList, Resource::OwnedBy(customer))?;
            }
            None => {
                authorize(cx, Action::AccountList, Resource::Bank)?;
            }
        }
        self.all_details(self.store.accounts(customer, before, limit, cx.now()).await?)
            .await
    }

    /// Stops movements on an account. Owners and operators freeze each on their own account.
    ///
    /// # Errors
    /// `account_not_found`, `account_closed`.
    pub async fn freeze_account(
        &self,
        cx: &Cx,
        id: AccountId,
        scope: FreezeScope,
    ) -> Result<AccountDetails, Error> {
        self.change_account(cx, id, Action::AccountFreeze, AccountChange::Freeze(scope))
            .await
    }

    /// Lifts the freeze that the caller's side set.
    ///
    /// # Errors
    /// `account_not_found`, `not_frozen_by_you`, `account_closed`.
    pub async fn unfreeze_account(&self, cx: &Cx, id: AccountId) -> Result<AccountDetails, Error> {
        self.change_account(cx, id, Action::AccountUnfreeze, AccountChange::Unfreeze)
            .await
    }

    /// Closes an account at zero for good.
    ///
    /// # Errors
    /// `account_not_found`, `account_not_empty`, `account_frozen`, `account_closed`, `payments_waiting` while money may
    /// come back to it.
    pub async fn close_account(&self, cx: &Cx, id: AccountId) -> Result<AccountDetails, Error> {
        self.readable_account(cx, id, Action::AccountClose).await?;
        if self.store.pending_from(id).await? > 0 {
            return Err(payments_waiting());
        }
        self.change_account(cx, id, Action::AccountClose, AccountChange::Close)
            .await
    }

    /// Gives an account another name.
    ///
    /// # Errors
    /// `account_not_found`.
    pub async fn rename_account(
        self: &Arc<Self>,
        cx: &Cx,
        id: AccountId,
        name: String,
    ) -> Result<AccountDetails, Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move { bank.give_name(&cx, id, &name).await })
            .await
    }

    async fn give_name(&self, cx: &Cx, id: AccountId, name: &str) -> Result<AccountDetails, Error> {
        let view = self.readable_account(cx, id, Action::AccountRename).await?;
        let owner = view.account.owner.ok_or_else(Error::account_not_found)?;
        let permit = authorize(cx, Action::AccountRename, Resource::OwnedBy(owner))?;
        let sealed = self.people.seal_account_name(owner, id, name).await?;
        let mut tx = self.store.write(Scope::Person(owner)).await?;
        tx.rename_account(id, &sealed).await?;
        // The name is the customer's own affair: the log says that it changed, not to what.
        let entry = Entry {
            object: Object::Account(id),
            outcome: "ok",
            details: Details::none(),
        };
        self.recorder.append(&mut tx, cx, &permit, entry).await?;
        tx.commit().await?;
        self.details_of(id).await
    }

    async fn change_account(
        &self,
        cx: &Cx,
        id: AccountId,
        action: Action,
        change: AccountChange,
    ) -> Result<AccountDetails, Error> {
        let view = self.readable_account(cx, id, action).await?;
        let owner = view.account.owner.ok_or_else(Error::account_not_found)?;
        let cx = &*self.beside(cx, owner).await?;
        let about = About::account(view.account.state());
        let side = if cx.caller.principal.owner() == Some(owner) {
            Side::Owner
        } else {
            Side::Bank
        };
        let answer = self
            .submit(cx, |cx| {
                let permit = authorize_about(cx, action, Resource::OwnedBy(owner), about)?;
                Ok(Command::plain(
                    permit.authority(),
                    cx.request,
                    Verb::Change {
                        account: id,
                        side,
                        change,
                    },
                ))
            })
            .await?;
        match answer {
            Answer::Done(done) => match *done {
                Done::Changed(account) => self.details(AccountView { account, ..view }).await,
                _ => Err(Error::broken("another answer than asked for")),
            },
            other => Err(refused(other, &OPEN_FIELDS)),
        }
    }

    /// An account that the caller may touch in this way; everything else looks like no account.
    pub(crate) async fn readable_account(
        &self,
        cx: &Cx,
        id: AccountId,
        action: Action,
    ) -> Result<AccountView, Error> {
        let view = self.store.account(id, cx.now()).await?;
        let owner = view.as_ref().and_then(|view| view.account.owner);
        let about = view
            .as_ref()
            .map_or_else(About::default, |view| About::account(view.account.state()));
        self.check_account(cx, action, owner, about).await?;
        view.ok_or_else(Error::account_not_found)
    }

    /// The owner of a customer's account that the caller may touch in this way. Reads the row only the first time.
    pub(crate) async fn customer_account(
        &self,
        cx: &Cx,
        id: AccountId,
        action: Action,
    ) -> Result<UserId, Error> {
        let owner = self.owner_of(id).await?;
        self.check_account(cx, action, owner, About::default()).await?;
        owner.ok_or_else(Error::account_not_found)
    }

    /// As [`Self::customer_account`], of the account that a movement is from: it is decided once more, and noted, with
    /// all that is known of the movement.
    pub(crate) async fn paying_account(
        &self,
        cx: &Cx,
        id: AccountId,
        action: Action,
    ) -> Result<UserId, Error> {
        let owner = self.owner_of(id).await?;
        let resource = owner.map_or(Resource::Bank, Resource::OwnedBy);
        let beside = self.beside_owner(cx, resource).await?;
        told(cx, authorize_first(&beside, action, resource))?;
        owner.ok_or_else(Error::account_not_found)
    }

    /// Refuses so that a customer cannot tell somebody else's account from none.
    async fn check_account(
        &self,
        cx: &Cx,
        action: Action,
        owner: Option<UserId>,
        about: About,
    ) -> Result<(), Error> {
        let resource = owner.map_or(Resource::Bank, Resource::OwnedBy);
        let beside = self.beside_owner(cx, resource).await?;
        told(cx, authorize_about(&beside, action, resource, about).map(drop))
    }

    pub(crate) async fn owner_of(&self, id: AccountId) -> Result<Option<UserId>, Error> {
        if let Some(owner) = self.owners.get(&id) {
            return Ok(Some(owner));
        }
        let view = self.store.account(id, self.clock.now()).await?;
        let owner = view.and_then(|view| view.account.owner);
        if let Some(owner) = owner {
            self.owners.insert(id, owner);
        }
        Ok(owner)
    }

    async fn details_of(&self, id: AccountId) -> Result<AccountDetails, Error> {
        let view = self
            .store
            .account(id, self.clock.now())
            .await?
            .ok_or_else(|| Error::broken("an account that was opened is gone"))?;
        self.details(view).await
    }

    async fn all_details(&self, views: Vec<AccountView>) -> Result<Vec<AccountDetails>, Error> {
        let mut all = Vec::with_capacity(views.len());
        for view in views {
            all.push(self.details(view).await?);
        }
        Ok(all)
    }

    async fn details(&self, view: AccountView) -> Result<AccountDetails, Error> {
        let account = view.account;
        let name = match (account.owner, &view.sealed_name) {
            (Some(owner), Some(sealed)) => self.people.open_account_name(owner, account.id, sealed).await?,
            _ => account.kind.name().to_owned(),
        };
        Ok(AccountDetails {
            id: account.id,
            number: view.number,
            owner: account.owner,
            kind: account.kind,
            currency: account.currency,
            name,
            state: account.state(),
            posted: account.balance,
            held: account.held,
            available: account.spendable().unwrap_or(account.balance),
            overdraft: account.floor.map_or(0, i64::saturating_neg),
            opened_at: view.opened_at,
        })
    }

    fn draw_number(&self) -> Result<Iban, Error> {
        Iban::compose(&self.row.country, &self.row.code, &random::digits(ACCOUNT_DIGITS))
            .map_err(Error::internal)
    }

    /// The key as the books compare it.
    pub(crate) fn bind_key(
        &self,
        cx: &Cx,
        text: &str,
        fields: &[Vec<u8>],
    ) -> Result<strongroom_domain::ledger::Idempotency, Error> {
        let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        Ok(key_of(cx, text)?.bind(&self.keyed, &fields))
    }

    /// The key of one item behind the first of a request with many.
    pub(crate) fn bind_item_key(
        &self,
        cx: &Cx,
        text: &str,
        number: usize,
        fields: &[Vec<u8>],
    ) -> Result<strongroom_domain::ledger::Idempotency, Error> {
        let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        Ok(key_of(cx, text)?.item(number).bind(&self.keyed, &fields))
    }
}

fn key_of(cx: &Cx, text: &str) -> Result<IdempotencyKey, Error> {
    IdempotencyKey::new(cx.key_owner()?, text).ok_or_else(|| {
        Error::new(
            Kind::Invalid,
            "idempotency_key_missing",
            "Idempotency-Key must be 1 to 255 printable characters.",
        )
    })
}

fn open_fields(input: &OpenAccount, owner: UserId) -> Vec<Vec<u8>> {
    vec![
        b"account.open".to_vec(),
        AccountKind::Customer(input.kind).name().into(),
        input.currency.code().into(),
        input.name.clone().into_bytes(),
        owner.as_bytes().to_vec(),
        input.overdraft.to_be_bytes().to_vec(),
    ]
}

/// What is told of a refusal about somebody's account.
fn told(cx: &Cx, decided: Result<(), Error>) -> Result<(), Error> {
    match decided {
        Ok(()) => Ok(()),
        Err(error) if error.says_nothing_of_the_object() => Err(error),
        // An operator without the right learns so; a customer learns nothing.
        Err(error) if error.kind == Kind::Forbidden && is_operator(cx) => Err(error),
        Err(_) => Err(Error::account_not_found()),
    }
}

fn is_operator(cx: &Cx) -> bool {
    cx.rights.roles.iter().any(|role| role.is_operator())
}

/// What any answer other than "done" means to the sender.
pub(crate) fn refused(answer: Answer, fields: &Fields) -> Error {
    match answer {
        Answer::Refused(refusal)
        | Answer::Replayed {
            refusal: Some(refusal),
            ..
        } => refusal.into(),
        Answer::KeyReused { field, .. } => {
            let name = fields.name(field);
            let mut error = Error::new(
                Kind::Rejected,
                "idempotency_key_reused",
                "The idempotency key was used before for another request.",
            );
            if !name.is_empty() {
                error.fields.push(crate::error::FieldError {
                    pointer: name.to_owned(),
                    code: "differs",
                    detail: "differs from the first request with this key".to_owned(),
                });
            }
            error
        }
        Answer::DuplicateSuspected(earlier) => {
            let mut error = Error::from(Refusal::DuplicateSuspected);
            error.resource = Some(earlier.to_string().into());
            error.confirmation = Some(earlier.to_string().into());
            error
        }
        Answer::NonceUsed => replayed(),
        Answer::Done(_) | Answer::Replayed { refusal: None, .. } | Answer::Stale | Answer::StepUpNeeded => {
            Error::broken("another answer than asked for")
        }
    }
}

/// The answer to a signed request that came before.
pub(crate) fn replayed() -> Error {
    Error::new(
        Kind::Unauthenticated,
        "signature_replayed",
        "The nonce of this request was used before: sign it anew.",
    )
}
