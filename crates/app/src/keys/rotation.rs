//! Rotating keys of the ring: asked for by one administrator, done by another, in force on every node.
//!
//! The decision, the new key's check value and the key itself, sealed under another key of the ring, are one commit: a
//! server that is killed right after it finds the key at its next start. Other nodes take it over with their next
//! request, or within [`RING_LOOK`]; new things are made with it from [`KEY_SPREAD_SECS`] later on, when nobody is left
//! who could not read them. Each node keeps the ring where its provider keeps it, and later the sealed key in the
//! database is wiped.

use std::{
    fmt,
    sync::{Arc, PoisonError},
    time::Duration,
};

use strongroom_crypto::{KeyInfo, KeyProvider, KeyState, Keyring, KeyringError, Purpose, TravellingKey};
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    id::ApprovalId,
    ledger::Refusal,
    text::{MEMO_CHARS_MAX, check_line},
    time::Timestamp,
};
use strongroom_store::{KeyCheckRow, KeyRotationRow, Revoked, Store, WriteTx};

use super::{LiveRing, check_of};
use crate::{
    audit::record::Entry,
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
    identity::step_up::require_recent_login,
};

/// How often a node that nobody asks anything looks whether there are new keys.
pub const RING_LOOK: Duration = Duration::from_secs(1);
/// How long every node has to take a new key over before new things are made with it, in seconds. One process that owns
/// its database alone waits for nobody.
pub const KEY_SPREAD_SECS: i64 = 5;
/// How long a new key stays sealed in the database for a node that is away, in seconds. Afterwards such a node is given
/// the ring by hand.
pub const TRAVEL_KEPT_SECS: i64 = 7 * 24 * 60 * 60;
/// Another rotation came in between: this one is begun again.
pub(crate) const KEYS_MOVED: &str = "keys_moved";

/// Why the keys of a purpose cannot be rotated while the bank runs; `None` where they can.
///
/// What was made under an old key must be found under it. That holds of all that is looked up by the key's number, and
/// of what is tried under every key of the ring.
pub const fn not_rotated(purpose: Purpose) -> Option<&'static str> {
    match purpose {
        Purpose::BlindIndex => {
            Some("Addresses are found and kept unique under this key: they would have to be indexed anew.")
        }
        Purpose::Idempotency => Some("A payment repeated across the change would be paid twice."),
        Purpose::Checkpoint => Some(
            "Witnesses and auditors know the log by this key: a new one begins a new log, which they are given by hand.",
        ),
        Purpose::Seal
        | Purpose::AuditMac
        | Purpose::AccessToken
        | Purpose::Refresh
        | Purpose::Pepper
        | Purpose::Device
        | Purpose::ApiKey
        | Purpose::Answer
        | Purpose::Proof => None,
    }
}

/// A key as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyLine {
    /// Number, purpose, state, age.
    pub info: KeyInfo,
    /// From when on new things are made with it, where that was a rotation.
    pub active_from: Option<Timestamp>,
}

/// What exactly somebody asks for.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct RotationRequest {
    purpose: String,
    /// The key that new things are made with when it is asked for.
    kid: u32,
    reason: String,
}

/// A rotation about to be carried out.
pub(crate) struct PreparedRotation {
    replaces: u32,
    key: TravellingKey,
    active_from: Timestamp,
}

/// The ring of this node, where it is kept, and what of it is kept there.
pub(crate) struct RingKeeper {
    pub(crate) live: LiveRing,
    place: tokio::sync::OnceCell<Arc<dyn KeyProvider>>,
    /// Held while keys are taken over, so that of two who do the later has what the earlier had.
    order: tokio::sync::Mutex<()>,
    /// As it is at its place, as far as this process knows.
    kept: std::sync::Mutex<Option<Vec<KeyInfo>>>,
}

impl fmt::Debug for RingKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingKeeper")
            .field("live", &self.live)
            .finish_non_exhaustive()
    }
}

impl From<LiveRing> for RingKeeper {
    fn from(live: LiveRing) -> Self {
        Self {
            live,
            place: tokio::sync::OnceCell::new(),
            order: tokio::sync::Mutex::new(()),
            kept: std::sync::Mutex::new(None),
        }
    }
}

fn moved() -> Error {
    Error::new(Kind::Conflict, KEYS_MOVED, "Another key came in force meanwhile.")
}

fn not_here(detail: &'static str) -> Error {
    Error::new(Kind::Conflict, "key_not_rotatable", detail)
}

/// A ring as it lies at its place: without what is only announced.
fn kept_part(ring: &Keyring) -> Vec<KeyInfo> {
    let mut keys = ring.list();
    keys.retain(|key| key.state != KeyState::Announced);
    keys
}

fn travelling(row: &KeyRotationRow) -> Result<TravellingKey, Error> {
    let check = check_of(row.key.clone())?;
    let sealed = row.sealed.clone().ok_or_else(|| {
        Error::internal(strongroom_store::StoreError::Setup(format!(
            "the keyring lacks key {}, which came in force too long ago to be taken over: copy the ring of another node",
            row.key.kid
        )))
    })?;
    Ok(TravellingKey {
        kid: row.key.kid,
        purpose: check.purpose,
        created_at: row.created_at.micros(),
        sealed,
        check,
    })
}

/// A ring with every key that two people have brought in force; `None` where it has them all in the state that they
/// are in.
///
/// # Errors
/// When a key is not there and cannot be taken over any more, or the database does not answer.
pub async fn with_rotations(store: &Store, ring: &Keyring, now: Timestamp) -> Result<Option<Keyring>, Error> {
    let rows = store.key_rotations().await?;
    let mut next = ring.clone();
    let mut changed = false;
    for row in &rows {
        if next.by_kid(row.key.kid).is_none() {
            next.take_over(&travelling(row)?).map_err(Error::internal)?;
            changed = true;
        }
        if row.active_from <= now {
            changed |= next.activate(row.key.kid).map_err(Error::internal)?;
        }
    }
    Ok(changed.then_some(next))
}

impl Bank {
    /// Says where the ring of this node is kept. Before the first request, or never: then keys are not rotated here.
    pub fn keep_ring_in(&self, provider: Arc<dyn KeyProvider>) {
        let _ = self.keeper.place.set(provider);
    }

    /// The keys of the ring, by number: what they are for and in which state, never what they are.
    ///
    /// # Errors
    /// `forbidden` for others than auditors and administrators.
    pub async fn ring_keys(&self, cx: &Cx) -> Result<Vec<KeyLine>, Error> {
        authorize(cx, Action::KeyRead, Resource::Bank)?;
        let rotations = self.store.key_rotations().await?;
        let from = |kid| rotations.iter().find(|row| row.key.kid == kid);
        Ok(self
            .ring()
            .list()
            .into_iter()
            .map(|info| KeyLine {
                info,
                active_from: from(info.kid).map(|row| row.active_from),
            })
            .collect())
    }

    /// Asks for a new key; another administrator decides.
    ///
    /// # Errors
    /// `forbidden`; `not_found` for what is no purpose; `step_up_required` without a fresh login; `validation_failed`
    /// for what is no reason;
    /// `key_not_rotatable` for purposes whose keys are not rotated while the bank runs, and where the ring is kept in
    /// a place that cannot be written.
    pub async fn ask_for_key_rotation(
        self: &Arc<Self>,
        cx: &Cx,
        purpose: Option<Purpose>,
        reason: &str,
    ) -> Result<ApprovalId, Error> {
        let (cx, reason) = (cx.clone(), reason.to_owned());
        self.detached(move |bank| async move {
            authorize(&cx, Action::KeyManage, Resource::Bank)?;
            require_recent_login(&cx)?;
            check_line(&reason, MEMO_CHARS_MAX, true)
                .map_err(|error| Error::field("/reason", "invalid_value", error.to_string()))?;
            let purpose = purpose.ok_or_else(Error::not_found)?;
            bank.may_rotate(purpose)?;
            let kid = bank.ring().active(purpose).kid;
            let request = RotationRequest {
                purpose: purpose.name().to_owned(),
                kid,
                reason,
            };
            let text = serde_json::to_vec(&request).map_err(Error::internal)?;
            let details = Details::json(&format!(r#"{{"kid":{kid},"purpose":"{purpose}"}}"#));
            bank.request_approval(&cx, Action::KeyManage, &text, details)
                .await
        })
        .await
    }

    fn may_rotate(&self, purpose: Purpose) -> Result<(), Error> {
        if let Some(reason) = not_rotated(purpose) {
            return Err(not_here(reason));
        }
        match self.keeper.place.get() {
            Some(place) if place.writable() => Ok(()),
            _ => Err(not_here(
                "The ring is given to this server and cannot be written by it.",
            )),
        }
    }

    /// What an approved rotation needs before its transaction: a key that nobody knows yet.
    pub(crate) async fn prepare_rotation(&self, cx: &Cx, text: &[u8]) -> Result<PreparedRotation, Error> {
        let request: RotationRequest = serde_json::from_slice(text).map_err(Error::internal)?;
        let purpose = Purpose::from_name(&request.purpose)
            .ok_or_else(|| Error::broken("a request for a key of an unknown purpose"))?;
        self.may_rotate(purpose)?;
        self.read_ring().await?;
        let mut ring = (*self.ring()).clone();
        let replaces = ring.active(purpose).kid;
        let under_way = ring
            .list()
            .iter()
            .any(|key| key.purpose == purpose && key.state == KeyState::Announced);
        // It was asked for because of the key of then.
        if replaces != request.kid || under_way {
            return Err(Refusal::ApprovalStale.into());
        }
        let key = ring
            .announce(purpose, cx.now().micros())
            .map_err(|error| match error {
                KeyringError::Full => {
                    not_here("The ring is full: keys that nothing names have to be destroyed first.")
                }
                other => Error::internal(other),
            })?;
        let spread = if self.store.is_embedded() {
            0
        } else {
            KEY_SPREAD_SECS
        };
        Ok(PreparedRotation {
            replaces,
            key,
            active_from: cx.now().plus_seconds(spread),
        })
    }

    /// Announces the key inside the transaction that approves the request.
    pub(crate) async fn rotate_key(
        &self,
        tx: &mut WriteTx,
        cx: &Cx,
        prepared: &PreparedRotation,
        approval: ApprovalId,
    ) -> Result<(), Error> {
        let permit = authorize(cx, Action::KeyManage, Resource::Bank)?;
        // First: whoever revokes is alone, so that no other key comes in between until the commit.
        tx.revoke(Revoked::Keys).await?;
        let key = &prepared.key;
        let row = KeyRotationRow {
            key: KeyCheckRow {
                kid: key.kid,
                purpose: key.purpose.name().to_owned(),
                value: key.check.value,
            },
            created_at: Timestamp::from_micros(key.created_at),
            active_from: prepared.active_from,
            sealed: Some(key.sealed.clone()),
        };
        if !tx.insert_key_rotation(&row).await? {
            return Err(moved());
        }
        let mut object = [0; 16];
        if let Some(last) = object.last_chunk_mut() {
            *last = key.kid.to_be_bytes();
        }
        let entry = Entry {
            object: Object::Other("key", object),
            outcome: "ok",
            details: Details::json(&format!(
                r#"{{"active_from":"{}","approval":"{approval}","kid":{},"purpose":"{}","replaces":{}}}"#,
                prepared.active_from, key.kid, key.purpose, prepared.replaces
            )),
        };
        self.recorder.append(tx, cx, &permit, entry).await
    }

    /// The ring of this moment.
    pub(crate) fn ring(&self) -> Arc<Keyring> {
        self.keeper.live.now()
    }

    /// Takes over keys that came in force on any node, and begins to use those whose time has come.
    pub(crate) async fn read_ring(&self) -> Result<(), Error> {
        let _order = self.keeper.order.lock().await;
        let ring = self.ring();
        if let Some(next) = with_rotations(&self.store, &ring, self.clock.now()).await? {
            let next = Arc::new(next);
            self.identity.passwords.rekey(&next);
            self.keeper.live.put(next);
            tracing::info!("keys of the ring were taken over");
        }
        Ok(())
    }

    /// Keeps the ring where it is kept, and afterwards wipes from the database what every node has had the time to
    /// take over. A job calls it.
    ///
    /// # Errors
    /// When the place cannot be written, or the database does not answer.
    pub async fn keep_ring(&self) -> Result<(), Error> {
        self.read_ring().await?;
        let Some(place) = self.keeper.place.get().filter(|place| place.writable()) else {
            return Ok(());
        };
        let ring = self.ring();
        let part = kept_part(&ring);
        let known = self.kept().clone();
        if known.as_ref() != Some(&part) {
            let (place, now) = (Arc::clone(place), self.clock.now().micros());
            // Wrapping costs a slow hash, and so does reading.
            let stored = tokio::task::spawn_blocking(move || {
                // A ring that somebody took away is not put back.
                let Some(there) = place.load(now)? else {
                    return Ok(false);
                };
                if kept_part(&there) != kept_part(&ring) {
                    place.store(&ring)?;
                }
                Ok::<_, strongroom_crypto::ProviderError>(true)
            });
            if stored.await.map_err(Error::internal)?.map_err(Error::internal)? {
                *self.kept() = Some(part);
            }
        }
        Ok(())
    }

    /// Wipes what had the time to arrive everywhere; only where this node keeps it.
    pub(crate) async fn wipe_travelled(&self) -> Result<(), Error> {
        let before = self.clock.now().plus_seconds(-TRAVEL_KEPT_SECS);
        let rotations = self.store.key_rotations().await?;
        let due = |row: &&KeyRotationRow| row.sealed.is_some() && row.active_from < before;
        let kept = self.kept().clone().unwrap_or_default();
        let mut due = rotations.iter().filter(due).peekable();
        if due.peek().is_some() && due.all(|row| kept.iter().any(|key| key.kid == row.key.kid)) {
            self.store.forget_travelled(before).await?;
        }
        Ok(())
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<Vec<KeyInfo>>> {
        self.keeper.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_by_its_key_alone_is_not_rotated() {
        let kept: Vec<_> = Purpose::ALL
            .into_iter()
            .filter(|purpose| not_rotated(*purpose).is_some())
            .collect();
        assert_eq!(
            kept,
            [Purpose::BlindIndex, Purpose::Checkpoint, Purpose::Idempotency]
        );
    }
}
