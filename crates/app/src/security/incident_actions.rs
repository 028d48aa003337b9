//! What is done against an incident: no money moves, everybody logs in again, an account is frozen, a key is taken
//! away, a network is refused.
//!
//! Each is one request of an administrator, or one command on the host, with a reason, and leaves an audit record. That
//! the bank is read-only is read under the revocation epoch like policies are: from the commit on no permit of before
//! moves money, on any node. Networks are read anew every few seconds, and at once by the node that blocks them.

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use ipnet::IpNet;
use strongroom_crypto::Place;
use strongroom_domain::{
    account::FreezeScope,
    action::Action,
    audit::{Details, Object},
    id::{AccountId, ApiKeyId, IncidentActionId},
    text::{MEMO_CHARS_MAX, check_line},
    time::Timestamp,
};
pub use strongroom_store::identity::IncidentActionKind;
use strongroom_store::{Delta, Revoked, Scope, StoreError, identity::IncidentActionRow};

use crate::{
    audit::record::Entry,
    authority::authorize::{Permit, Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
    identity::step_up::require_recent_login,
    security::{catalogue::SecurityEventKind, stream::principal_name},
};

/// How often nodes read which networks are blocked.
pub(crate) const NETWORKS_READ: Duration = Duration::from_secs(2);
/// Networks that can be blocked at a time.
pub const NETWORKS_MAX: u32 = 1_000;
/// Longest block of a network, in seconds.
pub const BLOCK_SECS_MAX: i64 = 30 * 24 * 60 * 60;
/// The widest networks that can be blocked: a slip must not refuse half of the world.
const PREFIX_V4_MIN: u8 = 8;
const PREFIX_V6_MIN: u8 = 32;

/// What somebody wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// No money moves until it is lifted.
    ReadOnly,
    /// Everybody but the caller logs in again.
    EndSessions,
    /// The bank freezes an account.
    FreezeAccount(AccountId),
    /// The key of an integration is taken away.
    RevokeKey(ApiKeyId),
    /// Strangers of a network are refused until a moment.
    BlockNetwork(IpNet, Timestamp),
}

impl Deed {
    /// Which kind it is.
    pub const fn kind(&self) -> IncidentActionKind {
        match self {
            Self::ReadOnly => IncidentActionKind::ReadOnly,
            Self::EndSessions => IncidentActionKind::EndSessions,
            Self::FreezeAccount(_) => IncidentActionKind::FreezeAccount,
            Self::RevokeKey(_) => IncidentActionKind::RevokeKey,
            Self::BlockNetwork(..) => IncidentActionKind::BlockNetwork,
        }
    }
}

/// Something that was done, as people of the bank see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentAction {
    /// The id.
    pub id: IncidentActionId,
    /// What.
    pub action: IncidentActionKind,
    /// The account, key or network.
    pub target: Option<String>,
    /// Why.
    pub reason: String,
    /// When.
    pub taken_at: Timestamp,
    /// By whom.
    pub taken_by: String,
    /// When it ends by itself.
    pub ends_at: Option<Timestamp>,
    /// When it was lifted.
    pub lifted_at: Option<Timestamp>,
    /// By whom.
    pub lifted_by: Option<String>,
}

/// The networks that are refused, as this node knows them.
#[derive(Debug, Default)]
pub(crate) struct BlockedNetworks(RwLock<Arc<Vec<(IpNet, Timestamp)>>>);

impl BlockedNetworks {
    fn put(&self, networks: Vec<(IpNet, Timestamp)>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(networks);
    }

    /// Until when an address is refused.
    fn until(&self, address: IpAddr, now: Timestamp) -> Option<Timestamp> {
        let networks = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        let address = address.to_canonical();
        networks
            .iter()
            .filter(|(network, end)| now < *end && network.contains(&address))
            .map(|(_, end)| *end)
            .max()
    }
}

const fn place<'a>(id: &'a IncidentActionId, column: &'static str) -> Place<'a> {
    Place {
        table: "incident_actions",
        column,
        row: id.as_bytes(),
    }
}

fn check_network(cx: &Cx, network: IpNet, until: Timestamp) -> Result<(), Error> {
    let least = match network {
        IpNet::V4(_) => PREFIX_V4_MIN,
        IpNet::V6(_) => PREFIX_V6_MIN,
    };
    if network.prefix_len() < least {
        return Err(Error::field(
            "/network",
            "out_of_range",
            "must be narrower: /8, or /32 of IPv6",
        ));
    }
    if cx
        .address
        .is_some_and(|own| network.contains(&own.to_canonical()))
    {
        return Err(Error::field(
            "/network",
            "invalid_value",
            "must not contain your own address",
        ));
    }
    let length = until.seconds_since(cx.now());
    if !(0..=BLOCK_SECS_MAX).contains(&length) {
        return Err(Error::field(
            "/ends_at",
            "out_of_range",
            "must lie within the next thirty days",
        ));
    }
    Ok(())
}

impl Bank {
    /// Does something against an incident.
    ///
    /// # Errors
    /// `forbidden` for whom the rules do not allow it, `step_up_required` without a fresh login, `validation_failed`
    /// for a network that is too wide or one's own, `already_in_force`, and those of freezing an account and of taking
    /// a key away.
    pub async fn take_incident_action(
        self: &Arc<Self>,
        cx: &Cx,
        deed: Deed,
        reason: &str,
    ) -> Result<IncidentAction, Error> {
        let (cx, reason) = (cx.clone(), reason.to_owned());
        self.detached(move |bank| async move {
            let permit = authorize(&cx, Action::IncidentAct, Resource::Bank)?;
            require_recent_login(&cx)?;
            check_line(&reason, MEMO_CHARS_MAX, true)
                .map_err(|error| Error::field("/reason", "invalid_value", error.to_string()))?;
            let row = bank.incident_row(&cx, &deed, &reason);
            bank.act(&cx, &permit, &deed, &row).await?;
            let object = (row.id.to_string(), *row.id.as_bytes());
            bank.note(&cx, SecurityEventKind::IncidentActed, Some(object));
            bank.incident_action_of(row)
        })
        .await
    }

    fn incident_row(&self, cx: &Cx, deed: &Deed, reason: &str) -> IncidentActionRow {
        let id: IncidentActionId = cx.new_id();
        let (target, network, ends_at) = match deed {
            Deed::ReadOnly | Deed::EndSessions => (None, None, None),
            Deed::FreezeAccount(account) => (Some(account.to_string()), None, None),
            Deed::RevokeKey(key) => (Some(key.to_string()), None, None),
            Deed::BlockNetwork(network, until) => (None, Some(network.trunc().to_string()), Some(*until)),
        };
        IncidentActionRow {
            id,
            action: deed.kind(),
            target,
            sealed_network: network
                .map(|network| self.ring().seal(place(&id, "sealed_network"), network.as_bytes())),
            sealed_reason: self.ring().seal(place(&id, "sealed_reason"), reason.as_bytes()),
            taken_at: cx.now(),
            taken_by: principal_name(&cx.caller.principal).unwrap_or_default(),
            ends_at,
            lifted_at: None,
            lifted_by: None,
        }
    }

    async fn act(
        self: &Arc<Self>,
        cx: &Cx,
        permit: &Permit,
        deed: &Deed,
        row: &IncidentActionRow,
    ) -> Result<(), Error> {
        match deed {
            // These leave a record of their own; the journal names them.
            Deed::FreezeAccount(account) => {
                self.freeze_account(cx, *account, FreezeScope::All).await?;
                return self.write_journal(row).await;
            }
            Deed::RevokeKey(key) => {
                self.revoke_api_key(cx, *key).await?;
                return self.write_journal(row).await;
            }
            Deed::BlockNetwork(network, until) => {
                check_network(cx, *network, *until)?;
                let blocked = self.store.blocked_networks(cx.now(), NETWORKS_MAX).await?;
                if u32::try_from(blocked.len()).unwrap_or(NETWORKS_MAX) >= NETWORKS_MAX {
                    return Err(already("As many networks as possible are blocked."));
                }
            }
            Deed::ReadOnly | Deed::EndSessions => {}
        }
        let mut tx = self.store.write(Scope::Operator).await?;
        match deed {
            Deed::ReadOnly => drop(tx.revoke(Revoked::Policies).await?),
            Deed::EndSessions => {
                tx.revoke(Revoked::Everybody).await?;
                tx.end_all_sessions(cx.caller.session, cx.now(), "incident")
                    .await?;
            }
            _ => {}
        }
        match tx.add_incident_action(row).await {
            Err(StoreError::Constraint(_)) => return Err(already("The bank is read-only already.")),
            other => other?,
        }
        let entry = Entry {
            object: Object::Other("incident_action", *row.id.as_bytes()),
            outcome: "ok",
            details: Details::json(&format!(r#"{{"action":"{}"}}"#, row.action.name())),
        };
        self.recorder.append(&mut tx, cx, permit, entry).await?;
        tx.commit().await?;
        if row.action == IncidentActionKind::BlockNetwork {
            self.read_blocked_networks().await?;
        }
        Ok(())
    }

    async fn write_journal(&self, row: &IncidentActionRow) -> Result<(), Error> {
        let tx = self.store.write(Scope::Operator).await?;
        tx.add_incident_action(row).await?;
        Ok(tx.commit().await?)
    }

    /// Takes a read-only bank or a blocked network back.
    ///
    /// # Errors
    /// `forbidden`; `step_up_required` without a fresh login; `not_found` where nothing of that id is in force.
    pub async fn lift_incident_action(self: &Arc<Self>, cx: &Cx, id: IncidentActionId) -> Result<(), Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let permit = authorize(&cx, Action::IncidentLift, Resource::Bank)?;
            require_recent_login(&cx)?;
            let row = bank
                .store
                .incident_action(id)
                .await?
                .ok_or_else(Error::not_found)?;
            let by = principal_name(&cx.caller.principal).unwrap_or_default();
            let mut tx = bank.store.write(Scope::Operator).await?;
            if row.action == IncidentActionKind::ReadOnly {
                tx.revoke(Revoked::Policies).await?;
            }
            if !tx.lift_incident_action(id, &by, cx.now()).await? {
                return Err(Error::not_found());
            }
            let entry = Entry {
                object: Object::Other("incident_action", *id.as_bytes()),
                outcome: "ok",
                details: Details::json(&format!(r#"{{"action":"{}","lifted":true}}"#, row.action.name())),
            };
            bank.recorder.append(&mut tx, &cx, &permit, entry).await?;
            tx.commit().await?;
            if row.action == IncidentActionKind::BlockNetwork {
                bank.read_blocked_networks().await?;
            }
            bank.note(
                &cx,
                SecurityEventKind::IncidentLifted,
                Some((id.to_string(), *id.as_bytes())),
            );
            Ok(())
        })
        .await
    }

    /// What was done against incidents, newest first.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn incident_actions(
        &self,
        cx: &Cx,
        before: Option<IncidentActionId>,
        limit: u32,
    ) -> Result<Vec<IncidentAction>, Error> {
        authorize(cx, Action::IncidentRead, Resource::Bank)?;
        let found = self.store.incident_actions(before, limit).await?;
        found
            .into_iter()
            .map(|row| self.incident_action_of(row))
            .collect()
    }

    /// How long strangers from this address are still refused, because somebody blocked its network.
    pub fn network_block(&self, address: IpAddr) -> Option<Duration> {
        let now = self.clock.now();
        let until = self.security.networks.until(address, now)?;
        u64::try_from(until.seconds_since(now))
            .ok()
            .map(Duration::from_secs)
    }

    /// Takes over what came in force for everybody up to an epoch: policies, whether money moves, keys,
    /// rules about fraud.
    pub(crate) async fn follow(&self, delta: &Delta, epoch: i64) -> Result<(), Error> {
        if delta.touches_keys() {
            self.read_ring().await?;
        }
        if delta.touches_policies() {
            self.read_in_force(epoch).await?;
        }
        if delta.touches_fraud_rules() {
            self.read_fraud_rules().await?;
        }
        Ok(())
    }

    /// Reads which policies are in force, and whether no money moves, under an epoch.
    pub(crate) async fn read_in_force(&self, epoch: i64) -> Result<(), Error> {
        self.read_policies().await?;
        let read_only = self.store.is_read_only().await?;
        self.policies.put_read_only(read_only, epoch);
        Ok(())
    }

    /// Reads which networks are blocked. A job calls it.
    pub(crate) async fn read_blocked_networks(&self) -> Result<(), Error> {
        let rows = self
            .store
            .blocked_networks(self.clock.now(), NETWORKS_MAX)
            .await?;
        let mut networks = Vec::with_capacity(rows.len());
        for row in rows {
            let network = self.open_text(&row.id, "sealed_network", row.sealed_network.as_deref())?;
            let network = network.and_then(|text| text.parse().ok());
            networks.extend(network.zip(row.ends_at));
        }
        self.security.networks.put(networks);
        Ok(())
    }

    fn open_text(
        &self,
        id: &IncidentActionId,
        column: &'static str,
        sealed: Option<&[u8]>,
    ) -> Result<Option<String>, Error> {
        let opened = sealed
            .map(|sealed| self.ring().open(place(id, column), sealed))
            .transpose()
            .map_err(Error::internal)?;
        Ok(opened.map(|text| String::from_utf8_lossy(text.expose()).into_owned()))
    }

    fn incident_action_of(&self, row: IncidentActionRow) -> Result<IncidentAction, Error> {
        let network = self.open_text(&row.id, "sealed_network", row.sealed_network.as_deref())?;
        let reason = self.open_text(&row.id, "sealed_reason", Some(&row.sealed_reason))?;
        Ok(IncidentAction {
            id: row.id,
            action: row.action,
            target: row.target.or(network),
            reason: reason.unwrap_or_default(),
            taken_at: row.taken_at,
            taken_by: row.taken_by,
            ends_at: row.ends_at,
            lifted_at: row.lifted_at,
            lifted_by: row.lifted_by,
        })
    }
}

fn already(detail: &'static str) -> Error {
    Error::new(Kind::Conflict, "already_in_force", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(0).plus_seconds(seconds)
    }

    #[test]
    fn an_address_is_refused_until_the_last_block_of_its_network_ends() {
        let networks = BlockedNetworks::default();
        networks.put(vec![
            ("192.0.2.0/24".parse().unwrap(), at(10)),
            ("192.0.2.7/32".parse().unwrap(), at(20)),
            ("2001:db8::/32".parse().unwrap(), at(10)),
        ]);
        let until = |address: &str, now| networks.until(address.parse().unwrap(), at(now));
        assert_eq!(until("192.0.2.1", 9), Some(at(10)));
        assert_eq!(until("192.0.2.1", 10), None, "the end is outside");
        assert_eq!(until("192.0.2.7", 0), Some(at(20)));
        assert_eq!(until("::ffff:192.0.2.7", 0), Some(at(20)), "however it arrives");
        assert_eq!(until("192.0.3.1", 0), None);
        assert_eq!(until("2001:db8::1", 0), Some(at(10)));
    }
}
