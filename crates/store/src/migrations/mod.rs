//! The schema, step by step. Tables are the same on both engines; what differs (types, triggers, roles) is one SQL file
//! per engine and step.

use sea_orm::{ConnectionTrait, DbBackend};
use sea_orm_migration::prelude::*;

struct Step {
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

macro_rules! step {
    ($name:literal) => {
        Step {
            name: $name,
            sqlite: include_str!(concat!("sql/", $name, ".sqlite.sql")),
            postgres: include_str!(concat!("sql/", $name, ".postgres.sql")),
        }
    };
}

impl MigrationName for Step {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let sql = match connection.get_database_backend() {
            DbBackend::Postgres => self.postgres,
            _ => self.sqlite,
        };
        if !sql.is_empty() {
            connection.execute_unprepared(sql).await?;
        }
        Ok(())
    }

    /// A step is whole or not there, on both engines.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// All steps in order.
pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(Step {
                name: "0000_roles",
                sqlite: "",
                postgres: include_str!("sql/0000_roles.postgres.sql"),
            }),
            Box::new(step!("0001_people")),
            Box::new(step!("0002_ledger")),
            Box::new(step!("0003_audit")),
            Box::new(step!("0004_identity")),
            Box::new(step!("0005_factors")),
            Box::new(step!("0006_keys")),
            Box::new(step!("0007_security_events")),
            Box::new(step!("0008_external_logins")),
            Box::new(step!("0009_mails")),
            Box::new(step!("0010_guesses")),
            Box::new(step!("0011_holds")),
            Box::new(step!("0012_incidents")),
            Box::new(step!("0013_policies")),
            Box::new(step!("0014_decisions")),
            Box::new(step!("0015_leaving")),
            Box::new(step!("0016_bound_sessions")),
            Box::new(step!("0017_payments")),
            Box::new(step!("0018_beneficiaries")),
            Box::new(step!("0019_limits")),
            Box::new(step!("0020_grants")),
            Box::new(step!("0021_devices")),
            Box::new(step!("0022_bound_tickets")),
            Box::new(step!("0023_reads")),
            Box::new(step!("0025_kept_decisions")),
            Box::new(step!("0027_fraud")),
            Box::new(step!("0029_alerts")),
            Box::new(step!("0030_incident_actions")),
            Box::new(step!("0031_approvals")),
            Box::new(step!("0032_departments")),
            Box::new(step!("0033_audit_blocks")),
            Box::new(step!("0034_rails")),
            Box::new(step!("0035_limits")),
            Box::new(step!("0036_notices")),
            Box::new(step!("0037_key_rotations")),
            Box::new(step!("0038_bound_decisions")),
            Box::new(step!("0039_fraud_rules")),
            Box::new(step!("0040_forgotten_reviews")),
            Box::new(step!("0041_bound_keys")),
            Box::new(step!("0042_security_feed")),
            Box::new(step!("0047_lapsed_reviews")),
            Box::new(step!("0048_earlier_payments")),
            Box::new(step!("0052_fraud_trials")),
            Box::new(step!("0055_serious_events")),
            Box::new(step!("0056_cheaper_rows")),
            Box::new(step!("0057_amounts_of_decisions")),
            Box::new(step!("0058_fewer_steps")),
            Box::new(Step {
                name: "0024_auditor",
                sqlite: "",
                postgres: include_str!("sql/0024_auditor.postgres.sql"),
            }),
        ]
    }
}
