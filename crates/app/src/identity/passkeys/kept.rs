//! What is kept of passkeys and of ceremonies under way: sealed, in its place.

use serde_json::Value;
use strongroom_crypto::{
    Place,
    passkey::{CREDENTIAL_BYTES_MAX, Ceremony, StoredPasskey, ceremony_of},
};
use strongroom_domain::id::{PasskeyId, UserId};
use strongroom_store::{
    Scope,
    identity::{CeremonyKind, CeremonyRow, PasskeyRow},
};

use crate::{bank::Bank, cx::Cx, error::Error, identity::step_up::STEP_UP_SECS};

/// What was remembered of a ceremony, opened.
pub(super) struct Recalled {
    pub(super) row: CeremonyRow,
    pub(super) bound: [u8; 32],
    pub(super) state: Vec<u8>,
}
impl Bank {
    pub(super) async fn opened(&self, row: &PasskeyRow) -> Result<Vec<u8>, Error> {
        let key = self.people.key_of(row.person).await?;
        let plain = key
            .open(passkey_place(&row.id), &row.sealed)
            .map_err(Error::internal)?;
        Ok(plain.expose().to_vec())
    }

    pub(super) async fn opened_passkeys(&self, person: UserId) -> Result<Vec<Vec<u8>>, Error> {
        let mut all = Vec::new();
        for row in self.store.passkeys(person).await? {
            all.push(self.opened(&row).await?);
        }
        Ok(all)
    }

    pub(super) async fn resealed(&self, row: &PasskeyRow, shown: &StoredPasskey) -> Result<Vec<u8>, Error> {
        let key = self.people.key_of(row.person).await?;
        Ok(key.seal(passkey_place(&row.id), &shown.bytes))
    }

    pub(super) async fn remember(
        &self,
        cx: &Cx,
        ceremony: Ceremony,
        kind: CeremonyKind,
        person: Option<UserId>,
        bound: [u8; 32],
    ) -> Result<Value, Error> {
        let mut plain = bound.to_vec();
        plain.extend_from_slice(&ceremony.state);
        let row = CeremonyRow {
            hash: ceremony.name,
            kind,
            person,
            session: cx.caller.session,
            sealed: self.ring().seal(ceremony_place(&ceremony.name), &plain),
            created_at: cx.now(),
            expires_at: cx.now().plus_seconds(STEP_UP_SECS),
        };
        let tx = self.store.write(Scope::System).await?;
        tx.insert_ceremony(&row).await?;
        tx.commit().await?;
        Ok(ceremony.options)
    }

    /// Takes out what was remembered for an answer, in a commit of its own: whatever comes of the answer, it is the
    /// only one.
    pub(super) async fn recall(
        &self,
        cx: &Cx,
        kind: CeremonyKind,
        credential: &Value,
    ) -> Result<Option<Recalled>, Error> {
        if credential.to_string().len() > CREDENTIAL_BYTES_MAX {
            return Ok(None);
        }
        let Some(name) = ceremony_of(credential) else {
            return Ok(None);
        };
        let tx = self.store.write(Scope::System).await?;
        let row = tx.take_ceremony(&name, kind).await?;
        tx.commit().await?;
        let Some(row) = row.filter(|row| cx.now() < row.expires_at) else {
            return Ok(None);
        };
        let plain = self
            .ring()
            .open(ceremony_place(&name), &row.sealed)
            .map_err(Error::internal)?;
        let (bound, state) = plain
            .expose()
            .split_first_chunk()
            .ok_or_else(|| Error::broken("a ceremony without its bond"))?;
        Ok(Some(Recalled {
            bound: *bound,
            state: state.to_vec(),
            row,
        }))
    }
}

pub(super) const fn passkey_place(passkey: &PasskeyId) -> Place<'_> {
    Place {
        table: "passkeys",
        column: "sealed",
        row: passkey.as_bytes(),
    }
}

pub(super) const fn passkey_name_place(passkey: &PasskeyId) -> Place<'_> {
    Place {
        table: "passkeys",
        column: "sealed_name",
        row: passkey.as_bytes(),
    }
}

pub(super) const fn ceremony_place(name: &[u8; 32]) -> Place<'_> {
    Place {
        table: "passkey_ceremonies",
        column: "sealed",
        row: name,
    }
}
