//! The rules about fraud that are in force on this node.

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
};

use strongroom_domain::fraud::{FraudRules, tag_of};

use crate::bank::Bank;

/// The rules that the lane decides by, which change while it runs.
#[derive(Debug, Clone, Default)]
pub struct FraudInForce(Arc<RwLock<InForce>>);

#[derive(Debug, Default)]
struct InForce {
    rules: Arc<FraudRules>,
    stage: Stage,
}

/// How far the rules have come: it only grows, whoever reads them when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stage {
    /// Number of the set in force.
    pub(crate) revision: i64,
    /// Number of the newest trial of a draft.
    pub(crate) trial: i64,
    /// Whether that one ended.
    pub(crate) ended: bool,
}

impl FraudInForce {
    /// These rules.
    pub fn new(rules: FraudRules) -> Self {
        let stage = Stage {
            revision: rules.revision,
            ..Stage::default()
        };
        let rules = Arc::new(rules);
        Self(Arc::new(RwLock::new(InForce { rules, stage })))
    }

    /// The rules of now.
    pub fn now(&self) -> Arc<FraudRules> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        current.rules.clone()
    }

    /// Takes a set in, with a draft beside it where one runs, unless a later stage is here already.
    pub(crate) fn put(&self, rules: FraudRules, stage: Stage) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if stage > current.stage {
            *current = InForce {
                rules: Arc::new(rules),
                stage,
            };
        }
    }
}

/// Leading bits of an address that are one network: coarse, because providers move their customers about.
const NETWORK_BYTES_V4: usize = 2;
const NETWORK_BYTES_V6: usize = 4;

impl Bank {
    /// What stands for the network of an address: keyed, so that the books tell nobody where a customer was.
    pub(crate) fn network_of(&self, address: Option<IpAddr>) -> Option<u32> {
        let index = |bytes: &[u8]| tag_of(&self.ring().blind_index("fraud.network", bytes));
        match address?.to_canonical() {
            IpAddr::V4(address) => address.octets().get(..NETWORK_BYTES_V4).map(index),
            IpAddr::V6(address) => address.octets().get(..NETWORK_BYTES_V6).map(index),
        }
    }
}

#[cfg(test)]
mod tests {
    use strongroom_domain::fraud::{FraudMode, RuleSet, Trial};

    use super::*;

    #[test]
    fn whoever_reads_late_brings_nothing_back() {
        let (mode, set) = (FraudMode::Enforce, RuleSet::default());
        let in_force = FraudInForce::new(FraudRules::built_in(mode));
        let put = |revision, trial, ended: bool| {
            let beside = (trial > 0 && !ended).then(|| Trial::of(trial, &set, &set));
            let rules = FraudRules::of(mode, revision, &set).beside(beside);
            let stage = Stage {
                revision,
                trial,
                ended,
            };
            in_force.put(rules, stage);
            let now = in_force.now();
            (now.revision, now.trial.as_ref().map(|trial| trial.number()))
        };
        assert_eq!(put(0, 1, false), (0, Some(1)));
        assert_eq!(put(0, 1, true), (0, None), "it ended");
        assert_eq!(put(0, 1, false), (0, None), "read before it ended");
        assert_eq!(put(0, 2, false), (0, Some(2)));
        assert_eq!(put(1, 2, true), (1, None), "another set came in force");
        assert_eq!(put(0, 2, false), (1, None), "read before that");
        assert_eq!(put(1, 3, false), (1, Some(3)));
    }
}
