//! Refresh: the next token set for the token of the last one.
//!
//! A token has one child, derived from it. The answer may be lost, so for half a minute the same device may ask
//! again and gets the same child, as long as nobody used it. Every other second use means that two hold the token,
//! and one of them is not the customer: the whole family dies with its session, in one commit.

use std::sync::Arc;

use strongroom_crypto::{ExposeSecret, RefreshToken, SecretString};
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    principal::Principal,
};
use strongroom_store::{
    Revoked, Scope, WriteTx,
    identity::{RefreshRow, SessionRow},
};

use crate::{
    audit::record::Entry,
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
    identity::{
        auth_state::{is_live, refused},
        personal::Client,
        possession::require_holder,
        token_set::{TokenSet, lifetime},
    },
    mail::MailKind,
    security::catalogue::SecurityEventKind,
    security::stream::Whence,
};

/// How long a lost answer is given again, in seconds.
pub const RETRY_SECS: i64 = 30;

/// What a use of a token comes to.
enum Use {
    /// The child, new or again.
    Child(RefreshToken),
    /// Somebody else holds the token, too.
    Theft,
}

impl Bank {
    /// The next token set of a session.
    ///
    /// # Errors
    /// `token_invalid` whatever is wrong with it; `invalid_dpop_proof` where it is bound to a key and this is not
    /// shown.
    pub async fn refresh(
        self: &Arc<Self>,
        cx: &Cx,
        client: &Client,
        token: SecretString,
    ) -> Result<TokenSet, Error> {
        let (cx, client) = (cx.clone(), client.clone());
        self.detached(move |bank| async move {
            let outcome = bank.next_token_set(&cx, &client, &token).await;
            let whence = Whence::of(&cx, &client);
            bank.note_failure(SecurityEventKind::RefreshRefused, &whence, None, &outcome);
            outcome
        })
        .await
    }

    async fn next_token_set(
        &self,
        cx: &Cx,
        client: &Client,
        token: &SecretString,
    ) -> Result<TokenSet, Error> {
        let token = RefreshToken::parse(token.expose_secret()).ok_or_else(refused)?;
        let hash = token.hash();
        let mut tx = self.store.write(Scope::System).await?;
        let family = tx.refresh_token(&hash).await?.ok_or_else(refused)?.session;
        // The family is locked first and its token read again: of many at once, each sees what the one before did.
        let session = tx.lock_session(family).await?.ok_or_else(refused)?;
        let row = tx.refresh_token(&hash).await?.ok_or_else(refused)?;
        let seen = self.identity.state.seen(family).max(Some(session.last_seen_at));
        let session = SessionRow {
            last_seen_at: seen.unwrap_or(session.last_seen_at),
            ..session
        };
        if !is_live(&session, cx.now()) {
            return Err(refused());
        }
        require_holder(&tx, cx, client, &session).await?;
        let me = self.cx_of_session(cx, &session).await?;
        match self.use_token(&tx, cx, client, &hash, &session, &row).await? {
            Use::Child(child) => {
                let permit = authorize(&me, Action::SessionRefresh, Resource::OwnedBy(session.person))?;
                tx.touch_session(family, cx.now()).await?;
                let entry = Entry {
                    object: Object::Other("session", *family.as_bytes()),
                    outcome: "ok",
                    details: Details::json(&format!(
                        r#"{{"generation":{}}}"#,
                        row.generation.saturating_add(1)
                    )),
                };
                self.recorder.append(&mut tx, &me, &permit, entry).await?;
                tx.commit().await?;
                Ok(self.next_tokens(cx, &session, &child))
            }
            Use::Theft => {
                self.end_stolen(tx, cx, &me, &session).await?;
                Err(refused())
            }
        }
    }

    async fn use_token(
        &self,
        tx: &WriteTx,
        cx: &Cx,
        client: &Client,
        hash: &[u8; 32],
        session: &SessionRow,
        row: &RefreshRow,
    ) -> Result<Use, Error> {
        let family = *session.id.as_bytes();
        let generation = row.generation.saturating_add(1);
        if let (Some(used_at), Some(child)) = (row.used_at, row.child) {
            let again = cx.now().seconds_since(used_at) <= RETRY_SECS
                && !row.child_used
                // Whoever is here holds the key of a bound session.
                && (session.holder.is_some() || self.is_same_device(client, session));
            let child = again
                .then(|| self.ring().refresh_child_again(family, generation, hash, &child))
                .flatten();
            return Ok(child.map_or(Use::Theft, Use::Child));
        }
        let child = self.ring().refresh_child(family, generation, hash);
        if !tx.use_refresh_token(hash, &child.hash(), cx.now()).await? {
            return Err(Error::broken("a refresh token was used under its lock"));
        }
        tx.insert_refresh_token(session.id, generation, &child.hash())
            .await?;
        Ok(Use::Child(child))
    }

    fn is_same_device(&self, client: &Client, session: &SessionRow) -> bool {
        let mark = client
            .device
            .as_deref()
            .and_then(|text| self.ring().read_device_mark(text));
        match (mark, &session.device_hash) {
            (Some(mark), Some(stored)) => mark.is_bound_to(*session.person.as_bytes(), stored),
            _ => false,
        }
    }

    async fn end_stolen(&self, mut tx: WriteTx, cx: &Cx, me: &Cx, session: &SessionRow) -> Result<(), Error> {
        let permit = authorize(me, Action::SessionEnd, Resource::OwnedBy(session.person))?;
        tx.end_session(session.id, cx.now(), "refresh_token_reused")
            .await?;
        self.mail_to_person(&mut tx, session.person, MailKind::SessionStolen, "")
            .await?;
        let entry = Entry {
            object: Object::Other("session", *session.id.as_bytes()),
            outcome: "ok",
            details: Details::json(r#"{"reason":"refresh_token_reused"}"#),
        };
        self.recorder.append(&mut tx, me, &permit, entry).await?;
        tx.revoke(Revoked::Session(session.id)).await?;
        tx.commit().await?;
        self.identity.mail_waits.notify_one();
        metrics::counter!("strongroom_refresh_reuse_total").increment(1);
        self.note(me, SecurityEventKind::RefreshReused, None);
        Ok(())
    }

    fn next_tokens(&self, cx: &Cx, session: &SessionRow, child: &RefreshToken) -> TokenSet {
        let methods: Vec<&str> = session.methods.split(' ').collect();
        TokenSet {
            access_token: self.access_token(
                session.person,
                session.id,
                &methods,
                session.assurance,
                cx.now(),
                session.expires_at,
                session.holder,
            ),
            bound: session.holder.is_some(),
            expires_in: lifetime(cx.now(), session.expires_at),
            refresh_token: child.text(),
            session: session.id,
            device: None,
            cookie: None,
        }
    }

    /// The call in the name of a session that showed its refresh token.
    pub(crate) async fn cx_of_session(&self, cx: &Cx, session: &SessionRow) -> Result<Cx, Error> {
        let mut me = self
            .cx_as(cx, session.person, session.roles.clone(), session.assurance)
            .await?;
        debug_assert!(matches!(me.caller.principal, Principal::User(_)));
        me.caller.session = Some(session.id);
        Ok(me)
    }
}
