//! What is known of a person, for that person.

use std::sync::Arc;

use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
};
use strongroom_store::Scope;

use crate::{
    audit::record::Entry,
    bank::Bank,
    cx::Cx,
    error::Error,
    identity::{email_change::own_login, step_up::require_recent_proof},
    mail::MailKind,
};

impl Bank {
    /// Allows an export of the caller's own data, records it and tells the owner: a thief takes it along, too.
    ///
    /// # Errors
    /// `step_up_required` without a fresh proof; `forbidden` for operators and integrations.
    pub async fn begin_export(self: &Arc<Self>, cx: &Cx) -> Result<(), Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let (me, permit) = own_login(&cx, Action::UserExport)?;
            require_recent_proof(&cx)?;
            let mut tx = bank.store.write(Scope::System).await?;
            bank.mail_to_person(&mut tx, me, MailKind::DataExported, "")
                .await?;
            let entry = Entry {
                object: Object::User(me),
                outcome: "ok",
                details: Details::json(r#"{"exported":true}"#),
            };
            bank.recorder.append(&mut tx, &cx, &permit, entry).await?;
            tx.commit().await?;
            bank.identity.mail_waits.notify_one();
            Ok(())
        })
        .await
    }
}
