//! Incidents: requests that looked like an attack, each with the number that its sender may have been told.
//!
//! They lie among the security events, one row each, where there are not too many; the rest is counted there like any
//! other failure. An incident names rules, points and ids, and nothing that was in the request.

use std::{collections::HashMap, net::IpAddr};

use serde::{Deserialize, Serialize};
use strongroom_crypto::random;
use strongroom_domain::{
    id::{Id, RequestId, SecurityEventId},
    time::Timestamp,
};

use crate::{
    bank::Bank,
    security::{catalogue::SecurityEventKind, events::network_of, stream::Line},
};

/// Incidents that are kept apart until they are written.
const INCIDENTS_MAX: usize = 64;
/// The same, of one network.
const INCIDENTS_PER_SOURCE_MAX: u32 = 8;

/// What was recognised in one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// The number of the request.
    pub request_id: String,
    /// The template of its route, where there was one.
    pub route: Option<String>,
    /// Who asked, by id, where that was established.
    pub principal: Option<String>,
    /// The kind of attack.
    pub attack: String,
    /// Its points.
    pub score: u32,
    /// The rules that met.
    pub rules: Vec<String>,
    /// Whether the request was refused for it.
    pub refused: bool,
}

/// An incident that is not written yet.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub id: SecurityEventId,
    pub network: String,
    pub at: Timestamp,
    pub incident: Incident,
}

/// Those that are not written yet, bounded.
#[derive(Debug, Default)]
pub(crate) struct Incidents {
    pub waiting: Vec<Waiting>,
    by_source: HashMap<String, u32>,
}

impl Incidents {
    /// `false` where there is no room.
    pub(crate) fn add(&mut self, incident: Waiting) -> bool {
        let of_source = self.by_source.entry(incident.network.clone()).or_default();
        if self.waiting.len() >= INCIDENTS_MAX || *of_source >= INCIDENTS_PER_SOURCE_MAX {
            return false;
        }
        *of_source += 1;
        self.waiting.push(incident);
        true
    }
}

impl Bank {
    /// Notes a request that looked like an attack, by a client that calls itself `agent`; its number, where it is one
    /// of few.
    pub fn note_incident(&self, address: IpAddr, agent: &str, incident: Incident) -> Option<SecurityEventId> {
        let (at, kind) = (self.clock.now(), SecurityEventKind::AttackRecognised);
        let address = address.to_string();
        let network = network_of(&address);
        let id = Id::from_bytes(random::uuid_v7(at.micros()));
        let request = RequestId::parse(&incident.request_id).ok();
        let principal = incident.principal.clone();
        let (refused, attack) = (incident.refused, incident.attack.clone());
        let waiting = Waiting {
            id,
            network: network.clone(),
            at,
            incident,
        };
        let is_kept = self.security.pending.add_incident(waiting);
        if !is_kept {
            self.security.pending.count(kind, network, None, at);
        }
        let id = is_kept.then_some(id);
        self.security.stream(&Line {
            outcome: if refused { "refused" } else { "noted" },
            reason: &attack,
            request,
            address: &address,
            agent,
            principal,
            incident: id,
            ..Line::of(kind, at)
        });
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(network: &str) -> Waiting {
        Waiting {
            id: Id::from_bytes([7; 16]),
            network: network.to_owned(),
            at: Timestamp::from_micros(0),
            incident: Incident {
                request_id: "req".to_owned(),
                route: None,
                principal: None,
                attack: "sql".to_owned(),
                score: 9,
                rules: Vec::new(),
                refused: false,
            },
        }
    }

    #[test]
    fn a_flood_of_attacks_is_bounded_by_network_and_together() {
        let mut incidents = Incidents::default();
        let kept = (0..100).filter(|_| incidents.add(waiting("192.0.2.1"))).count();
        assert_eq!(kept, 8);
        let others = (0..1000)
            .filter(|number| incidents.add(waiting(&number.to_string())))
            .count();
        assert_eq!(others, 64 - 8);
    }
}
