//! The rows as they are, against what the log says of them.

use std::collections::{BTreeMap, BTreeSet};

use strongroom_domain::{
    audit::replay::{Findings, Problem, Replay},
    id::{
        AccountId, ApiKeyId, ApprovalId, BeneficiaryId, HoldId, IncidentActionId, MerchantId, PaymentId,
        PolicyId, RailFileId, SuspenseItemId, TransactionId, UserId,
    },
    text::hex,
    time::Timestamp,
};
use strongroom_store::audit::{LogSnapshot, Standing, StandingRow, number_of};

use super::{Key, Object, Standings, Stands, THERE, told};
use crate::{
    audit::verify::{PAGE_STANDING, PAGE_TEXTS, Run},
    error::Error,
};

impl Run<'_> {
    /// Compares all tables, a page of keys per snapshot. Each snapshot is caught up with first, so that a row is
    /// compared with exactly the records that were committed with it.
    pub(in crate::audit::verify) async fn compare_standing(
        &mut self,
        replay: &mut Replay,
    ) -> Result<(), Error> {
        for table in Standing::ALL {
            let mut from = 0;
            loop {
                let snapshot = self.store.log_snapshot().await?;
                while self.log.page(&snapshot, replay, &mut self.findings).await? {}
                self.log
                    .take_unsealed(&snapshot, replay, &mut self.findings)
                    .await?;
                let page = snapshot.standing_from(*table, from, keys_of_page(*table)).await?;
                let now = snapshot.clock().await?;
                self.log
                    .standing
                    .compare(*table, (from, page.until), page.rows, now, &mut self.findings);
                if page.is_last {
                    break;
                }
                from = page.until.saturating_add(1);
            }
        }
        Ok(())
    }

    /// Compares the rows that records after the checkpoint tell of, in a snapshot that was caught up with.
    pub(in crate::audit::verify) async fn compare_standing_touched(
        &mut self,
        snapshot: &LogSnapshot,
    ) -> Result<(), Error> {
        let now = snapshot.clock().await?;
        for (table, id) in self.log.standing.touched() {
            let rows = snapshot.standing_between(table, id, id).await?;
            self.log
                .standing
                .compare(table, (id, id), rows, now, &mut self.findings);
        }
        Ok(())
    }
}

impl Standings {
    fn touched(&self) -> BTreeSet<(Standing, u128)> {
        self.objects.keys().map(|key| (key.table, key.id)).collect()
    }

    /// Compares the rows of a table from one key up to and with another, as they are now.
    fn compare(
        &mut self,
        table: Standing,
        (from, until): (u128, u128),
        rows: Vec<StandingRow>,
        now: Timestamp,
        findings: &mut Findings,
    ) {
        let rows = match table {
            Standing::AccountLimits => rows.iter().flat_map(told::paid::each_account).collect(),
            _ => rows,
        };
        if table == Standing::PolicySetMembers {
            self.expand_sets();
        }
        let key = |id, rest: &str| Key {
            table,
            id,
            rest: rest.to_owned(),
        };
        let mut expected: BTreeSet<&Key> = self
            .objects
            .range(key(from, "")..)
            .take_while(|(key, _)| key.table == table && key.id <= until)
            .filter(|(key, object)| object.stands() == Stands::There && !self.is_closed(key))
            .map(|(key, _)| key)
            .collect();
        for row in &rows {
            if !self.has(table, row.key) {
                continue;
            }
            let key = key(row.key, &row.rest);
            let was_expected = expected.remove(&key);
            let Some(facts) = &row.facts else {
                findings.add(table.table(), name_of(&key), Problem::Unreadable);
                continue;
            };
            let none = Object::default();
            let object = self.objects.get(&key).unwrap_or(&none);
            if !was_expected && !self.may_be_unsaid(&key, object) {
                findings.add(table.table(), name_of(&key), Problem::RowUnrecorded);
                continue;
            }
            let stored = told::stored(table, facts);
            let other = |wanted: &str| {
                let found = stored.iter().find(|(name, _)| *name == wanted);
                found.and_then(|(_, value)| value.as_deref())
            };
            for (name, value) in &stored {
                let is_known = self.from_nothing && !self.earlier.contains(&table);
                let unsaid = || told::unsaid(table, name).filter(|_| is_known);
                let fits = object
                    .said(name)
                    .or_else(unsaid)
                    .is_none_or(|said| told::fits((table, name), said, value.as_deref(), now, other));
                if !fits {
                    let row = format!("{}, {name}", name_of(&key));
                    findings.add(table.table(), row, Problem::RowChanged);
                }
            }
        }
        for key in expected {
            let lifted = |object: &Object| told::paid::may_be_lifted(object.said("raise").flatten());
            if table == Standing::AccountLimits && self.objects.get(key).is_some_and(lifted) {
                continue;
            }
            findings.add(table.table(), name_of(key), Problem::RowMissing);
        }
    }

    /// Which texts each set has: those of the set before with the one change that its record tells of. From a
    /// checkpoint on nothing is known of the set before, and the texts of sets are not judged.
    fn expand_sets(&mut self) {
        if !self.from_nothing {
            return;
        }
        let changes: Vec<(u128, i64, String)> = self
            .objects
            .range(Key::numbered(Standing::PolicySets, i64::MIN)..)
            .take_while(|(key, _)| key.table == Standing::PolicySets)
            .filter_map(|(key, object)| {
                let fact = object.0.iter().find(|fact| fact.name == told::CHANGE)?;
                Some((key.id, fact.record, fact.value.as_deref()?.to_owned()))
            })
            .collect();
        let mut members = BTreeMap::new();
        for (version, record, change) in changes {
            match change.split_once(' ') {
                Some((policy, number)) => drop(members.insert(policy.to_owned(), number.to_owned())),
                None => drop(members.remove(&change)),
            }
            for (policy, number) in &members {
                let key = Key {
                    table: Standing::PolicySetMembers,
                    id: version,
                    rest: policy.clone(),
                };
                let object = self.objects.entry(key).or_default();
                object.say(THERE, record, Some("1"));
                object.say("number", record, Some(number));
            }
        }
    }

    fn of(&self, table: Standing, id: u128) -> Option<&Object> {
        let key = Key {
            table,
            id,
            rest: String::new(),
        };
        self.objects.get(&key)
    }

    /// Whether the log says that the person of this row has left: then nothing but the login's own row stays.
    fn is_closed(&self, key: &Key) -> bool {
        told::is_of_a_person(key.table)
            && self
                .of(Standing::Users, key.id)
                .is_some_and(|user| user.said("state") == Some(Some(told::CLOSED)))
    }

    /// Whether a row may be there although no record says so: from a checkpoint on where none says anything, and what
    /// belongs to technical users from before their records told of it.
    fn may_be_unsaid(&self, key: &Key, object: &Object) -> bool {
        if self.is_closed(key) || object.stands() != Stands::Unsaid {
            return false;
        }
        let is_old_technical = || {
            self.of(Standing::Users, key.id).is_some_and(|user| {
                user.stands() == Stands::Unsaid && user.said(told::OLD_TECHNICAL).is_some()
            })
        };
        let is_old_person = || {
            let user = self.of(Standing::Users, key.id);
            user.is_none_or(|user| user.said(told::TOLD).is_none())
        };
        !self.from_nothing
            || key.table == Standing::CustomerLimits
            || self.earlier.contains(&key.table)
            || (key.table.is_folded() && is_old_person())
            || (matches!(key.table, Standing::Users | Standing::Grants) && is_old_technical())
    }
}

/// How many keys are compared at a time.
const fn keys_of_page(table: Standing) -> u32 {
    match table {
        Standing::Revisions => PAGE_TEXTS,
        _ => PAGE_STANDING,
    }
}

/// The row's name in findings.
fn name_of(key: &Key) -> String {
    let bytes = key.id.to_be_bytes();
    let id = match key.table {
        Standing::Users
        | Standing::Grants
        | Standing::CustomerLimits
        | Standing::AccountLimits
        | Standing::Passwords
        | Standing::TotpFactors
        | Standing::Passkeys
        | Standing::RecoveryCodes
        | Standing::ExternalLogins => UserId::from_bytes(bytes).to_string(),
        Standing::Merchants => MerchantId::from_bytes(bytes).to_string(),
        Standing::EndedHolds => HoldId::from_bytes(bytes).to_string(),
        Standing::HoldCaptures | Standing::Refunds | Standing::Reversals => {
            TransactionId::from_bytes(bytes).to_string()
        }
        Standing::OutgoingPayments => PaymentId::from_bytes(bytes).to_string(),
        Standing::RailFiles => RailFileId::from_bytes(bytes).to_string(),
        Standing::RailEntries => hex(&bytes),
        Standing::SuspenseItems => SuspenseItemId::from_bytes(bytes).to_string(),
        Standing::IncidentActions => IncidentActionId::from_bytes(bytes).to_string(),
        Standing::ApiKeys => ApiKeyId::from_bytes(bytes).to_string(),
        Standing::Policies | Standing::Revisions => PolicyId::from_bytes(bytes).to_string(),
        Standing::Approvals => ApprovalId::from_bytes(bytes).to_string(),
        Standing::Beneficiaries => BeneficiaryId::from_bytes(bytes).to_string(),
        Standing::PolicySets
        | Standing::PolicySetMembers
        | Standing::FraudRuleSets
        | Standing::KeyRotations => number_of(key.id).to_string(),
    };
    if key.rest.is_empty() {
        return id;
    }
    if let (Standing::AccountLimits, Some((currency, account))) = (key.table, key.rest.split_once(' ')) {
        let account = u128::from_str_radix(account, 16).unwrap_or_default();
        return format!("{id} {currency} {}", AccountId::from_bytes(account.to_be_bytes()));
    }
    let policy = u128::from_str_radix(&key.rest, 16).ok();
    match policy.filter(|_| key.table == Standing::PolicySetMembers) {
        Some(policy) => format!("{id} {}", PolicyId::from_bytes(policy.to_be_bytes())),
        None => format!("{id} {}", key.rest),
    }
}
