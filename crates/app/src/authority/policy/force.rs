//! The policies in force: what every decision is taken under, on every node, from the request after the change.

use std::sync::{Arc, PoisonError, RwLock};

use jiff::tz::TimeZone;

use crate::authority::decision_log::DecisionLog;

use super::{Policies, PolicyError, built_in};

/// Version of the set that holds the program's own policies alone.
pub(crate) const BUILT_IN_VERSION: i32 = 1;

/// A set of policies with its version, as audit records name it.
#[derive(Debug)]
pub struct InForce {
    /// Of the set.
    pub version: i32,
    /// What decides.
    pub policies: Arc<Policies>,
    /// Where days begin.
    pub(crate) zone: TimeZone,
    /// Where decisions are noted; nowhere for what is only tried.
    pub(crate) log: Option<Arc<DecisionLog>>,
    /// Whether no money moves, and the epoch under which that was read.
    pub(crate) read_only: (bool, i64),
}

impl InForce {
    fn again(&self) -> Self {
        Self {
            version: self.version,
            policies: self.policies.clone(),
            zone: self.zone.clone(),
            log: self.log.clone(),
            read_only: self.read_only,
        }
    }
}

/// The newest set that this process has read.
#[derive(Debug)]
pub(crate) struct Book(RwLock<Arc<InForce>>);

impl Book {
    /// A book that knows the program's own policies.
    pub(crate) fn new(zone: TimeZone) -> Result<Self, PolicyError> {
        let first = InForce {
            version: BUILT_IN_VERSION,
            policies: built_in()?.clone(),
            zone,
            log: None,
            read_only: (false, 0),
        };
        Ok(Self(RwLock::new(Arc::new(first))))
    }

    /// What is in force.
    pub(crate) fn current(&self) -> Arc<InForce> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a set in, unless a newer one is here already: versions only grow.
    pub(crate) fn put(&self, version: i32, policies: Policies) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if version > current.version {
            *current = Arc::new(InForce {
                version,
                policies: Arc::new(policies),
                ..current.again()
            });
        }
    }

    /// From now on decisions are noted there.
    pub(crate) fn note_in(&self, log: Arc<DecisionLog>) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(InForce {
            log: Some(log),
            ..current.again()
        });
    }

    /// Takes in whether no money moves, as it was read under an epoch, unless it was read under a later one.
    pub(crate) fn put_read_only(&self, read_only: bool, epoch: i64) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if epoch >= current.read_only.1 {
            *current = Arc::new(InForce {
                read_only: (read_only, epoch),
                ..current.again()
            });
        }
    }
}
