//! The tables of authority and rules as verification reads them: a page of keys at a time, each value as text.

use sea_orm::{QueryResult, Value};
use uuid::Uuid;

use crate::{audit::snapshot::LogSnapshot, error::StoreError, identity::NewApiKey};

/// Most rows that are read for a page of keys. A page that holds more was tampered with, and the first ones tell.
const ROWS_MAX: i64 = 100_000;

/// How a column is told as text.
#[derive(Debug, Clone, Copy)]
enum Column {
    /// As it is.
    Text(&'static str),
    /// In decimal digits.
    Number(&'static str),
    /// In hexadecimal digits, lower case.
    Bytes(&'static str),
    /// The 16 bytes of an id, in hexadecimal digits.
    Id(&'static str),
}

/// What the rows of a table are known by.
#[derive(Debug, Clone, Copy)]
enum Key {
    Id(&'static str),
    Number(&'static str),
}

impl Key {
    const fn column(self) -> &'static str {
        match self {
            Self::Id(column) | Self::Number(column) => column,
        }
    }

    fn bound(self, key: u128) -> Value {
        match self {
            Self::Id(_) => Uuid::from_u128(key).into(),
            Self::Number(_) => number_of(key).into(),
        }
    }

    fn of(self, row: &QueryResult) -> Result<u128, StoreError> {
        Ok(match self {
            Self::Id(_) => row.try_get_by_index::<Uuid>(0)?.as_u128(),
            Self::Number(_) => key_of_number(row.try_get_by_index(0)?),
        })
    }

    /// The last key that there can be.
    const fn last(self) -> u128 {
        match self {
            Self::Id(_) => u128::MAX,
            Self::Number(_) => 0xffff_ffff_ffff_ffff,
        }
    }
}

/// The key of a row that is known by a number: in the same order, and never negative.
pub const fn key_of_number(number: i64) -> u128 {
    (number.cast_unsigned() ^ (1 << 63)) as u128
}

/// The number of such a key.
pub fn number_of(key: u128) -> i64 {
    let low = u64::try_from(key).unwrap_or(u64::MAX);
    (low ^ (1 << 63)).cast_signed()
}

macro_rules! tables {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $from:literal, $key:expr, [$($part:expr),*],
        { $($fact:literal: $column:expr),* $(,)? };)*) => {
        /// A table whose rows the log tells of one by one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Standing { $($(#[$doc])* $variant,)* }

        impl Standing {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The table.
            pub const fn table(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Whether its rows are known by a number rather than an id.
            pub const fn is_numbered(self) -> bool {
                matches!(self.key(), Key::Number(_))
            }

            /// The names of [`StandingRow::facts`], in their order.
            pub const fn facts(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($fact,)*],)* }
            }

            const fn from(self) -> &'static str {
                match self { $(Self::$variant => $from,)* }
            }

            const fn key(self) -> Key {
                match self { $(Self::$variant => $key,)* }
            }

            /// What tells rows of one key apart.
            const fn parts(self) -> &'static [Column] {
                match self { $(Self::$variant => &[$($part,)*],)* }
            }

            const fn columns(self) -> &'static [Column] {
                match self { $(Self::$variant => &[$($column,)*],)* }
            }
        }
    };
}

tables! {
    /// People and technical users.
    Users = "users", "users r", Key::Id("r.id"), [], {
        "state": Column::Text("r.state"),
        "department": Column::Text("r.department"),
    };
    /// Roles, by the person who holds them.
    Grants = "grants", "grants r", Key::Id("r.person"), [Column::Text("r.role")], {
        "grant": Column::Id("r.id"),
        "expires_at": Column::Number("r.expires_at"),
        "department": Column::Text("r.department"),
    };
    /// Keys of integrations. What is fixed when a key is made comes first ([`api_key_facts`]).
    ApiKeys = "api_keys", "api_keys r", Key::Id("r.id"), [], {
        "owner": Column::Id("r.owner"),
        "integration": Column::Id("r.integration"),
        "scopes": Column::Text("r.scopes"),
        "hash": Column::Bytes("r.hash"),
        "hash_key": Column::Number("r.hash_key"),
        "networks": Column::Bytes("r.sealed_networks"),
        "max_amount": Column::Number("r.max_amount"),
        "max_currency": Column::Text("r.max_currency"),
        "payees": Column::Bytes("r.payees"),
        "budget_amount": Column::Number("r.budget_amount"),
        "budget_currency": Column::Text("r.budget_currency"),
        "budget_window_secs": Column::Number("r.budget_window_secs"),
        "schemes": Column::Text("r.schemes"),
        "public_key": Column::Bytes("r.public_key"),
        "secret": Column::Bytes("r.sealed_secret"),
        "certificate": Column::Bytes("r.certificate"),
        "expires_at": Column::Number("r.expires_at"),
        "replaced_by": Column::Id("r.replaced_by"),
        "revoked": Column::Number("CASE WHEN r.revoked_at IS NULL THEN NULL ELSE 1 END"),
        "owner_state": Column::Text("(SELECT u.state FROM users u WHERE u.id = r.owner)"),
    };
    /// Policies.
    Policies = "policies", "policies r", Key::Id("r.id"), [], {
        "name": Column::Text("r.name"),
        "deleted": Column::Number("CASE WHEN r.deleted_at IS NULL THEN NULL ELSE 1 END"),
    };
    /// Their texts, by policy and number.
    Revisions = "policy_revisions", "policy_revisions r", Key::Id("r.policy"), [Column::Number("r.number")], {
        "digest": Column::Bytes("r.digest"),
        "text": Column::Text("r.text"),
        "tests": Column::Text("r.tests"),
    };
    /// Which sets of policies there were.
    PolicySets = "policy_sets", "policy_sets r", Key::Number("r.version"), [], {};
    /// The texts in force together, by set and policy.
    PolicySetMembers = "policy_set_members", "policy_set_members r", Key::Number("r.version"), [Column::Id("r.policy")], {
        "number": Column::Number("r.number"),
    };
    /// Rules about fraud.
    FraudRuleSets = "fraud_rule_sets", "fraud_rule_sets r", Key::Number("r.revision"), [], {
        "digest": Column::Bytes("r.digest"),
        "rules": Column::Text("r.rules"),
        "checker": Column::Id("r.checker"),
        "approval": Column::Id("r.approval"),
    };
    /// What customers and operators set of a customer's limits, by customer and currency. Rows are made when a customer
    /// first pays: only what is set in them is told by records.
    CustomerLimits = "customer_limits", "customer_limits r", Key::Id("r.owner"), [Column::Text("r.currency")], {
        "state": Column::Bytes("r.state"),
    };
    /// What somebody asked for and somebody else decided.
    Approvals = "approvals", "approvals r", Key::Id("r.id"), [], {
        "action": Column::Text("r.action"),
        "maker_kind": Column::Number("r.maker_kind"),
        "maker": Column::Id("r.maker"),
        "person": Column::Id("r.maker_person"),
        "digest": Column::Bytes("r.digest"),
        "rule": Column::Text("r.rule"),
        "expires_at": Column::Number("r.expires_at"),
        "state": Column::Text("r.state"),
        "checker": Column::Id("r.checker"),
    };
    /// Whom customers pay by a name of their own.
    Beneficiaries = "beneficiaries", "beneficiaries r", Key::Id("r.id"), [], {
        "owner": Column::Id("r.owner"),
        "account": Column::Id("r.account_id"),
        "currency": Column::Text("r.currency"),
        "removed": Column::Number("CASE WHEN r.removed_at IS NULL THEN NULL ELSE 1 END"),
    };
    /// Keys of the ring that two people decided.
    KeyRotations = "key_rotations", "key_rotations r", Key::Number("r.kid"), [], {
        "active_from": Column::Number("r.active_from"),
    };
}

/// How many of the facts of [`Standing::ApiKeys`] never change.
pub const API_KEY_FIXED: usize = 16;

/// What never changes of a key that is being made, as [`Standing::ApiKeys`] tells it of the row.
pub fn api_key_facts(new: &NewApiKey) -> Vec<Option<String>> {
    let (bounds, signing) = (&new.bounds, &new.signing);
    let payees = bounds.payees.as_ref();
    let budget = bounds.budget.as_ref();
    vec![
        Some(hex(new.owner.as_bytes())),
        Some(hex(bounds.integration.as_bytes())),
        Some(new.scopes.clone()),
        Some(hex(&new.hash)),
        Some(new.hash_key.to_string()),
        new.sealed_networks.as_deref().map(hex),
        bounds.max_amount.map(|(amount, _)| amount.minor().to_string()),
        bounds.max_amount.map(|(_, currency)| currency.code().to_owned()),
        payees.map(|ids| ids.iter().map(|id| hex(id.as_bytes())).collect()),
        budget.map(|budget| budget.amount.minor().to_string()),
        budget.map(|budget| budget.currency.code().to_owned()),
        budget.map(|budget| budget.window_secs.to_string()),
        Some(signing.schemes.clone()),
        signing.public_key.map(|key| hex(&key)),
        signing.sealed_secret.as_deref().map(hex),
        new.certificate.map(|thumbprint| hex(&thumbprint)),
    ]
}

/// A row of such a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingRow {
    /// Its key, or the first part of it.
    pub key: u128,
    /// The other parts, separated by spaces; empty where there are none.
    pub rest: String,
    /// The values by which [`Standing::facts`] goes, `None` for what is not set; nothing where the row cannot be read.
    pub facts: Option<Vec<Option<String>>>,
}

/// The rows of some keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingPage {
    /// Ascending by key.
    pub rows: Vec<StandingRow>,
    /// The last key that the page covers.
    pub until: u128,
    /// Whether there can be no more after it.
    pub is_last: bool,
}

impl Column {
    fn sql(self) -> String {
        match self {
            Self::Number(column) => format!("CAST({column} AS bigint)"),
            Self::Text(column) | Self::Bytes(column) | Self::Id(column) => column.to_owned(),
        }
    }

    fn read(self, row: &QueryResult, at: usize) -> Result<Option<String>, StoreError> {
        Ok(match self {
            Self::Text(_) => row.try_get_by_index(at)?,
            Self::Number(_) => row
                .try_get_by_index::<Option<i64>>(at)?
                .map(|number| number.to_string()),
            Self::Bytes(_) => row
                .try_get_by_index::<Option<Vec<u8>>>(at)?
                .map(|bytes| hex(&bytes)),
            Self::Id(_) => row
                .try_get_by_index::<Option<Uuid>>(at)?
                .map(|id| hex(id.as_bytes())),
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl LogSnapshot {
    /// How many rows such a table has.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn count_standing(&self, table: Standing) -> Result<u64, StoreError> {
        let found = self
            .query(&format!("SELECT count(*) FROM {}", table.table()), vec![])
            .await?;
        let row = found.first().ok_or(StoreError::Corrupt("no answer"))?;
        Ok(u64::try_from(row.try_get_by_index::<i64>(0)?).unwrap_or_default())
    }

    /// The rows of about `limit` keys from `from` on, all of each key.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn standing_from(
        &self,
        table: Standing,
        from: u128,
        limit: u32,
    ) -> Result<StandingPage, StoreError> {
        let key = table.key();
        let sql = format!(
            "SELECT {k} FROM {t} WHERE {k} >= $1 ORDER BY {k} LIMIT 1 OFFSET $2",
            k = key.column(),
            t = table.from()
        );
        let values = vec![key.bound(from), i64::from(limit).into()];
        let found = self.query(&sql, values).await?;
        let end = found.first().map(|row| key.of(row)).transpose()?;
        let until = end.unwrap_or(key.last());
        Ok(StandingPage {
            rows: self.standing_between(table, from, until).await?,
            until,
            is_last: until >= key.last(),
        })
    }

    /// The rows whose keys lie from `from` up to and with `until`, ascending.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn standing_between(
        &self,
        table: Standing,
        from: u128,
        until: u128,
    ) -> Result<Vec<StandingRow>, StoreError> {
        let key = table.key();
        let columns: Vec<String> = [key.column().to_owned()]
            .into_iter()
            .chain(table.parts().iter().map(|column| column.sql()))
            .chain(table.columns().iter().map(|column| column.sql()))
            .collect();
        let sql = format!(
            "SELECT {} FROM {} WHERE {k} >= $1 AND {k} <= $2 ORDER BY {k} LIMIT $3",
            columns.join(", "),
            table.from(),
            k = key.column(),
        );
        let values = vec![key.bound(from), key.bound(until), ROWS_MAX.into()];
        let found = self.query(&sql, values).await?;
        found.iter().map(|row| read(table, row)).collect()
    }
}

fn read(table: Standing, row: &QueryResult) -> Result<StandingRow, StoreError> {
    let (parts, columns) = (table.parts(), table.columns());
    let rest: Result<Vec<String>, StoreError> = parts
        .iter()
        .zip(1..)
        .map(|(part, at)| Ok(part.read(row, at)?.unwrap_or_default()))
        .collect();
    let facts: Result<Vec<_>, StoreError> = columns
        .iter()
        .zip(parts.len().saturating_add(1)..)
        .map(|(column, at)| column.read(row, at))
        .collect();
    Ok(StandingRow {
        key: table.key().of(row)?,
        rest: rest.unwrap_or_default().join(" "),
        facts: facts.ok(),
    })
}
