//! Devices that a person is known by: seen, named and forgotten by their owner.
//!
//! A device is known by the mark that it was given at a completed login. To forget it is to end all that began on it:
//! its sessions, and the count of tries of its own.

use std::{collections::HashMap, sync::Arc};

use strongroom_crypto::{DataKey, Place, token::fingerprint};
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    id::{DeviceId, UserId},
    text::check_line,
    time::Timestamp,
};
use strongroom_store::{Revoked, Scope, WriteTx, identity::DeviceRow};

use crate::{
    audit::record::Entry,
    authority::authorize::{Permit, Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
    identity::{agent::readable, factors::still_active, guess::Tried, step_up::require_recent_proof},
};

/// Longest name of a device, in characters.
pub const NAME_CHARS_MAX: usize = 60;
/// Longest part of a user agent that is kept of a device, in characters.
const AGENT_CHARS_MAX: usize = 256;

/// A device as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceDetails {
    /// The id.
    pub id: DeviceId,
    /// What its owner calls it, or what it seems to be.
    pub name: String,
    /// Whether its owner gave it that name.
    pub named: bool,
    /// Whether it is the one that asks.
    pub current: bool,
    /// When it became known.
    pub created_at: Timestamp,
    /// When somebody last logged in on it; `None` where that was not kept yet.
    pub last_login_at: Option<Timestamp>,
}

/// What is kept of a device in clear.
#[derive(Default)]
struct Kept {
    name: String,
    agent: String,
}

impl Kept {
    fn open(key: &DataKey, row: &DeviceRow) -> Result<Self, Error> {
        let Some(sealed) = &row.sealed else {
            return Ok(Self::default());
        };
        let plain = key
            .open(device_place(&row.hash), sealed)
            .map_err(Error::internal)?;
        let (name, agent) = plain
            .expose_str()
            .unwrap_or_default()
            .split_once('\n')
            .unwrap_or_default();
        Ok(Self {
            name: name.to_owned(),
            agent: agent.to_owned(),
        })
    }

    /// Two lines: a name holds no line break, and of an agent they are taken away.
    fn seal(&self, key: &DataKey, hash: &[u8; 32]) -> Vec<u8> {
        let agent: String = self.agent.chars().take(AGENT_CHARS_MAX).collect();
        let text = format!("{}\n{}", self.name, agent.replace('\n', " "));
        key.seal(device_place(hash), text.as_bytes())
    }

    fn shown(self) -> String {
        if self.name.is_empty() {
            readable(&self.agent)
        } else {
            self.name
        }
    }
}

/// What is kept of a device that is new, sealed.
pub(crate) fn sealed_agent(key: &DataKey, hash: &[u8; 32], agent: &str) -> Vec<u8> {
    let kept = Kept {
        name: String::new(),
        agent: agent.to_owned(),
    };
    kept.seal(key, hash)
}

impl Bank {
    /// The devices that the caller is known by, newest first; ten at most.
    ///
    /// # Errors
    /// `unauthenticated`, `forbidden` for integrations.
    pub async fn own_devices(&self, cx: &Cx) -> Result<Vec<DeviceDetails>, Error> {
        let me = cx.person()?;
        authorize(cx, Action::SessionRead, Resource::OwnedBy(me))?;
        let key = self.people.key_of(me).await?;
        let current = match cx.caller.session {
            Some(session) => self.store.session(session).await?.and_then(|row| row.device_hash),
            None => None,
        };
        let rows = self.store.devices(me).await?;
        rows.iter()
            .map(|row| details(&key, row, current.as_deref()))
            .collect()
    }

    /// What the devices of a person are called, by their mark.
    pub(crate) async fn device_names(
        &self,
        key: &DataKey,
        person: UserId,
    ) -> Result<HashMap<Vec<u8>, DeviceDetails>, Error> {
        let rows = self.store.devices(person).await?;
        rows.iter()
            .map(|row| Ok((row.hash.to_vec(), details(key, row, None)?)))
            .collect()
    }

    /// Calls one of the caller's devices by another name. A thief would call the own one by the owner's.
    ///
    /// # Errors
    /// `step_up_required`; `validation_failed` for what is no name; `not_found`; `forbidden` for integrations.
    pub async fn name_device(
        self: &Arc<Self>,
        cx: &Cx,
        device: DeviceId,
        name: &str,
    ) -> Result<DeviceDetails, Error> {
        let (cx, name) = (cx.clone(), name.to_owned());
        self.detached(move |bank| async move {
            let (me, permit) = own(&cx)?;
            require_recent_proof(&cx)?;
            check_line(&name, NAME_CHARS_MAX, true)
                .map_err(|error| Error::field("/name", "invalid_value", error.to_string()))?;
            let key = bank.people.key_of(me).await?;
            let mut tx = bank.store.write(Scope::System).await?;
            still_active(&tx, me).await?;
            let row = of(&tx, me, device).await?;
            let kept = Kept {
                name,
                ..Kept::open(&key, &row)?
            };
            let row = DeviceRow {
                sealed: Some(kept.seal(&key, &row.hash)),
                ..row
            };
            if !tx
                .name_device(me, &row.hash, row.sealed.as_deref().unwrap_or_default())
                .await?
            {
                return Err(Error::not_found());
            }
            let entry = entry_of(me, "named");
            bank.recorder.append(&mut tx, &cx, &permit, entry).await?;
            tx.commit().await?;
            details(&key, &row, None)
        })
        .await
    }

    /// Forgets one of the caller's devices, and ends the sessions that began on it.
    ///
    /// # Errors
    /// `not_found` where there is none, or it is somebody else's; `forbidden` for integrations.
    pub async fn forget_device(self: &Arc<Self>, cx: &Cx, device: DeviceId) -> Result<(), Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let (me, permit) = own(&cx)?;
            let mut tx = bank.store.write(Scope::System).await?;
            still_active(&tx, me).await?;
            let row = of(&tx, me, device).await?;
            if !tx.forget_device(me, &row.hash).await? {
                return Err(Error::not_found());
            }
            tx.end_sessions_of_device(me, &row.hash, cx.now(), "device_forgotten")
                .await?;
            tx.clear_guesses(&bank.guess_subject(Tried::Person(me), Some(&row.hash)))
                .await?;
            let entry = entry_of(me, "forgotten");
            bank.recorder.append(&mut tx, &cx, &permit, entry).await?;
            tx.revoke(Revoked::User(me)).await?;
            Ok(tx.commit().await?)
        })
        .await
    }
}

fn own(cx: &Cx) -> Result<(UserId, Permit), Error> {
    let me = cx.person()?;
    Ok((me, authorize(cx, Action::SessionEnd, Resource::OwnedBy(me))?))
}

async fn of(tx: &WriteTx, person: UserId, device: DeviceId) -> Result<DeviceRow, Error> {
    let rows = tx.devices(person).await?;
    let found = rows.into_iter().find(|row| id_of(&row.hash) == device);
    found.ok_or_else(Error::not_found)
}

fn details(key: &DataKey, row: &DeviceRow, current: Option<&[u8]>) -> Result<DeviceDetails, Error> {
    let kept = Kept::open(key, row)?;
    Ok(DeviceDetails {
        id: id_of(&row.hash),
        named: !kept.name.is_empty(),
        name: kept.shown(),
        current: current == Some(row.hash.as_slice()),
        created_at: row.created_at,
        last_login_at: row.last_login_at,
    })
}

/// A device's public name: out of the digest that is kept of its mark, and neither of them out of it.
fn id_of(hash: &[u8; 32]) -> DeviceId {
    let text = strongroom_domain::text::hex(hash);
    let digest = fingerprint(&format!("device {text}"));
    let mut id = [0; 16];
    id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    DeviceId::from_bytes(id)
}

fn entry_of(person: UserId, what: &'static str) -> Entry {
    Entry {
        object: Object::User(person),
        outcome: "ok",
        details: Details::json(&format!(r#"{{"device":"{what}"}}"#)),
    }
}

const fn device_place(hash: &[u8; 32]) -> Place<'_> {
    Place {
        table: "devices",
        column: "sealed",
        row: hash,
    }
}
