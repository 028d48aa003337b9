//! Leaving: a customer ends the own login, and is erased.
//!
//! Only with a fresh factor, and only without an account that is open: money is never left behind, and an account that
//! could still receive some is closed first. Sessions and keys end before the answer. Then the person's data key is
//! destroyed, with the address and every way in: names, texts and places are noise from then on, wherever they lie.
//! Books and log keep ids, amounts and commitments, which they need and which name nobody.

use std::sync::Arc;

use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
};
use strongroom_store::{Revoked, Scope};

use crate::{
    audit::record::Entry,
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
    identity::{email_change::own_login, factors::still_active, step_up::require_recent_proof},
    mail::{MailKind, MailParams},
};

fn accounts_open() -> Error {
    Error::new(
        Kind::Conflict,
        "accounts_open",
        "There are accounts that are not closed.",
    )
}

pub(crate) fn payments_waiting() -> Error {
    Error::new(
        Kind::Conflict,
        "payments_waiting",
        "There are payments that are neither settled nor back.",
    )
}

impl Bank {
    /// Closes the caller's login for good and erases the person.
    ///
    /// # Errors
    /// `step_up_required` without a fresh proof; `accounts_open` while an account is, `payments_waiting` while a
    /// payment has not left; `forbidden` for operators and integrations.
    pub async fn close_login(self: &Arc<Self>, cx: &Cx) -> Result<(), Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move { bank.leave(&cx).await })
            .await
    }

    async fn leave(&self, cx: &Cx) -> Result<(), Error> {
        let (me, permit) = own_login(cx, Action::UserClose)?;
        require_recent_proof(cx)?;
        let row = self.store.user(me).await?.ok_or_else(Error::not_found)?;
        let profile = self.people.profile(&row).await?;
        let mut tx = self.store.write(Scope::System).await?;
        still_active(&tx, me).await?;
        // From here on no batch of the books runs until this commits, and none under rights from before after it: an
        // account that is being opened is there to be seen, or never is.
        tx.revoke(Revoked::User(me)).await?;
        if tx.open_accounts(me).await? > 0 {
            return Err(accounts_open());
        }
        // Name and number of who is paid would be noise before the payment leaves.
        if tx.waiting_payments(me).await? > 0 {
            return Err(payments_waiting());
        }
        let index = row.email_index.and_then(|index| index.try_into().ok());
        if let (Some(index), Some(to)) = (index, profile.email) {
            let params = MailParams {
                to,
                name: profile.full_name,
                ..MailParams::default()
            };
            self.put_mail(&mut tx, index, MailKind::LoginClosed, &params)
                .await?;
        }
        tx.end_sessions(me, None, cx.now(), "login_closed").await?;
        self.clear_guesses_of(&tx, me).await?;
        tx.erase_person(me, cx.now()).await?;
        let entry = Entry {
            object: Object::User(me),
            outcome: "ok",
            details: Details::json(r#"{"erased":true,"state":"closed"}"#),
        };
        self.recorder.append(&mut tx, cx, &permit, entry).await?;
        tx.commit().await?;
        self.people.forget(me);
        self.identity.mail_waits.notify_one();
        Ok(())
    }
}
