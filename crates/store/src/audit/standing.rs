//! The tables of authority and rules as verification reads them: a page of keys at a time, each value as text.

use sea_orm::{ConnectionTrait, QueryResult, Statement, Value};
use strongroom_domain::{audit::facts_digest, id::UserId, text::hex};
use uuid::Uuid;

use crate::{audit::snapshot::LogSnapshot, error::StoreError, identity::NewApiKey, tx::WriteTx};

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
        "approves_from": Column::Number("r.approves_from"),
        "email_index": Column::Bytes("r.email_index"),
        "sealed_email": Column::Bytes("r.sealed_email"),
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
        "target": Column::Bytes("(SELECT d.target_index FROM beneficiary_details d WHERE d.beneficiary_id = r.id)"),
        "payee": Column::Bytes("(SELECT d.sealed FROM beneficiary_details d WHERE d.beneficiary_id = r.id)"),
        "owner_state": Column::Text("(SELECT u.state FROM users u WHERE u.id = r.owner)"),
    };
    /// Passwords, one value per person ([`Standing::is_folded`]).
    Passwords = "passwords", "passwords r", Key::Id("r.person"), [], {
        "hash": Column::Text("r.hash"),
        "changed_at": Column::Number("r.changed_at"),
        "initial_until": Column::Number("r.initial_until"),
    };
    /// Codes by time that are good for a login, one value per person.
    TotpFactors = "totp_factors", "(SELECT * FROM totp_factors WHERE state <> 'pending') r", Key::Id("r.person"),
        [Column::Id("r.id")], {
        "state": Column::Text("r.state"),
        "secret": Column::Bytes("r.sealed_secret"),
        "expires_at": Column::Number("r.expires_at"),
        "activated_at": Column::Number("r.activated_at"),
    };
    /// Passkeys, one value per person.
    Passkeys = "passkeys", "passkeys r", Key::Id("r.person"), [Column::Id("r.id")], {
        "credential": Column::Bytes("r.credential"),
        "sealed": Column::Bytes("r.sealed"),
        "created_at": Column::Number("r.created_at"),
    };
    /// Recovery codes that are not used, one value per person.
    RecoveryCodes = "recovery_codes", "(SELECT * FROM recovery_codes WHERE used_at IS NULL) r", Key::Id("r.person"),
        [Column::Bytes("r.hash")], {};
    /// Logins at issuers elsewhere, one value per person.
    ExternalLogins = "external_logins", "external_logins r", Key::Id("r.person"), [Column::Id("r.id")], {
        "provider": Column::Text("r.provider"),
        "subject": Column::Bytes("r.subject_index"),
    };
    /// Who is paid as a merchant, on which account.
    Merchants = "merchants", "merchants r", Key::Id("r.id"), [], {
        "account": Column::Id("r.account_id"),
        "owner": Column::Id("r.owner"),
    };
    /// What owners allow single accounts, by customer and currency: the row of a customer's limits holds it.
    AccountLimits = "customer_limits", "(SELECT * FROM customer_limits WHERE accounts IS NOT NULL) r", Key::Id("r.owner"),
        [Column::Text("r.currency")], {
        "accounts": Column::Bytes("r.accounts"),
    };
    /// Holds that have ended; those that are open are compared with their account.
    EndedHolds = "holds", "(SELECT * FROM holds WHERE state <> 0) r", Key::Id("r.id"), [], {
        "account": Column::Id("r.account_id"),
        "to_account": Column::Id("r.to_account"),
        "amount": Column::Number("r.amount"),
        "currency": Column::Text("r.currency"),
        "captured": Column::Number("r.captured"),
        "state": Column::Number("r.state"),
        "placed_at": Column::Number("r.placed_at"),
        "expires_at": Column::Number("r.expires_at"),
        "closed_at": Column::Number("r.closed_at"),
        "review": Column::Number("CASE WHEN r.review THEN 1 ELSE 0 END"),
    };
    /// What was paid out of holds, by transaction.
    HoldCaptures = "hold_captures", "hold_captures r", Key::Id("r.transaction_id"), [], {
        "hold": Column::Id("r.hold_id"),
        "captured": Column::Number("r.captured"),
        "state": Column::Number("r.state"),
    };
    /// What was given back of payments, by transaction.
    Refunds = "refunds", "refunds r", Key::Id("r.transaction_id"), [], {
        "payment": Column::Id("r.payment_id"),
        "amount": Column::Number("r.amount"),
        "refunded": Column::Number("r.refunded"),
        "at": Column::Number("r.at"),
    };
    /// What the bank took back, by the transaction that it took back.
    Reversals = "reversals", "reversals r", Key::Id("r.transaction_id"), [], {
        "reversal": Column::Id("r.reversal_id"),
        "approval": Column::Id("r.approval_id"),
    };
    /// Payments to beneficiaries.
    OutgoingPayments = "outgoing_payments", "outgoing_payments r", Key::Id("r.id"), [], {
        "beneficiary": Column::Id("r.beneficiary_id"),
        "payer": Column::Id("r.payer"),
        "account": Column::Id("r.account_id"),
        "to_account": Column::Id("r.to_account"),
        "amount": Column::Number("r.amount"),
        "currency": Column::Text("r.currency"),
        "state": Column::Number("r.state"),
        "debited": Column::Number("CASE WHEN r.debited THEN 1 ELSE 0 END"),
        "file": Column::Id("r.file_id"),
        "paid_at": Column::Number("r.paid_at"),
        "closed_at": Column::Number("r.closed_at"),
    };
    /// Files that were released to the rail.
    RailFiles = "rail_files", "rail_files r", Key::Id("r.id"), [], {
        "approval": Column::Id("r.approval_id"),
        "payments": Column::Number("r.payments"),
        "total": Column::Number("r.total"),
        "digest": Column::Bytes("r.digest"),
    };
    /// What the bank's own bank said, by the tag of the statement's entry.
    RailEntries = "rail_entries", "rail_entries r", Key::Id("r.tag"), [], {
        "outcome": Column::Number("r.outcome"),
        "payment": Column::Id("r.payment_id"),
        "transaction": Column::Id("r.transaction_id"),
        "at": Column::Number("r.at"),
    };
    /// What nobody could place.
    SuspenseItems = "suspense_items", "suspense_items r", Key::Id("r.id"), [], {
        "tag": Column::Id("r.tag"),
        "direction": Column::Number("r.direction"),
        "amount": Column::Number("r.amount"),
        "currency": Column::Text("r.currency"),
        "reason": Column::Number("r.reason"),
        "opened_at": Column::Number("r.opened_at"),
        "resolution": Column::Id("r.resolution"),
        "approval": Column::Id("r.approval_id"),
        "resolved_at": Column::Number("r.resolved_at"),
    };
    /// What was done against an incident and can be lifted; the rest has records of its own.
    IncidentActions = "incident_actions",
        "(SELECT * FROM incident_actions WHERE action IN ('read_only', 'end_sessions', 'block_network')) r", Key::Id("r.id"), [], {
        "action": Column::Text("r.action"),
        "lifted": Column::Number("CASE WHEN r.lifted_at IS NULL THEN NULL ELSE 1 END"),
    };
    /// Keys of the ring that two people decided.
    KeyRotations = "key_rotations", "key_rotations r", Key::Number("r.kid"), [], {
        "active_from": Column::Number("r.active_from"),
    };
}

impl Standing {
    /// What somebody logs in with: changes are told by [`WriteTx::tell_credentials`].
    pub const CREDENTIALS: [Self; 5] = [
        Self::Passwords,
        Self::TotpFactors,
        Self::Passkeys,
        Self::RecoveryCodes,
        Self::ExternalLogins,
    ];

    /// Whether all rows of a key count as one value, their digest: the log names no credential by what it is.
    pub const fn is_folded(self) -> bool {
        matches!(
            self,
            Self::Passwords | Self::TotpFactors | Self::Passkeys | Self::RecoveryCodes | Self::ExternalLogins
        )
    }

    /// The rows of the keys from `$1` up to and with `$2`, at most `$3`.
    fn select(self) -> String {
        let columns: Vec<String> = [self.key().column().to_owned()]
            .into_iter()
            .chain(self.parts().iter().map(|column| column.sql()))
            .chain(self.columns().iter().map(|column| column.sql()))
            .collect();
        format!(
            "SELECT {} FROM {} WHERE {k} >= $1 AND {k} <= $2 ORDER BY {k} LIMIT $3",
            columns.join(", "),
            self.from(),
            k = self.key().column(),
        )
    }

    /// As it is read, or as one value per key.
    fn folded(self, rows: Vec<StandingRow>) -> Vec<StandingRow> {
        if !self.is_folded() {
            return rows;
        }
        rows.chunk_by(|one, next| one.key == next.key)
            .map(|of_key| StandingRow {
                key: of_key.first().map_or(0, |row| row.key),
                rest: String::new(),
                facts: digest_of(self, of_key).map(|digest| vec![Some(digest)]),
            })
            .collect()
    }
}

/// What the rows of one key hold, as one value; `None` where one cannot be read. Each credential has 128 bits or more
/// in it that nobody guesses, so that the digest tells nothing of it.
fn digest_of(table: Standing, rows: &[StandingRow]) -> Option<String> {
    let mut rows: Vec<&StandingRow> = rows.iter().collect();
    rows.sort_unstable_by(|a, b| a.rest.cmp(&b.rest));
    let mut all = Vec::new();
    for row in rows {
        all.push(Some(row.rest.clone()));
        all.extend(row.facts.clone()?);
    }
    Some(hex(&facts_digest(table.table(), &all)))
}

/// The name under which records tell [`login_digest`].
pub const LOGIN: &str = "login";
/// The name under which records tell from when on somebody decides about requests of others, in microseconds.
pub const APPROVES_FROM: &str = "approves_from";

/// The address that somebody logs in with, as one value, as records tell it: its index and the sealed text, each in
/// hexadecimal digits.
pub fn login_digest(email_index: Option<&str>, sealed_email: Option<&str>) -> String {
    let facts = [email_index, sealed_email].map(|text| text.map(str::to_owned));
    hex(&facts_digest("users", &facts))
}

/// Who is paid by a name of a customer's own, as one value, as records tell it: the index of the number and the sealed
/// name and number, each in hexadecimal digits.
pub fn payee_digest(target: &str, sealed: &str) -> String {
    hex(&facts_digest(
        "beneficiary_details",
        &[Some(target.to_owned()), Some(sealed.to_owned())],
    ))
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
        let values = vec![key.bound(from), key.bound(until), ROWS_MAX.into()];
        let found = self.query(&table.select(), values).await?;
        let rows: Result<Vec<_>, StoreError> = found.iter().map(|row| read(table, row)).collect();
        Ok(table.folded(rows?))
    }
}

/// What a transaction changed of a person that the next record has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Whose.
    pub person: UserId,
    /// The name of what changed: a table of [`Standing::CREDENTIALS`], or a value of the person's row.
    pub name: &'static str,
    /// What it is now; `None` where there is nothing any more.
    pub value: Option<String>,
}

impl WriteTx {
    /// Notes how a person's credentials of one kind stand after a change, for the next record of this transaction,
    /// which cannot be committed without it. The person's row is locked, or was made here.
    pub(crate) async fn tell_credentials(&self, person: UserId, table: Standing) -> Result<(), StoreError> {
        let key = table.key().bound(u128::from_be_bytes(*person.as_bytes()));
        let statement = Statement::from_sql_and_values(
            self.tx.get_database_backend(),
            table.select(),
            vec![key.clone(), key, ROWS_MAX.into()],
        );
        let found = self.tx.query_all_raw(statement).await?;
        let rows: Result<Vec<_>, StoreError> = found.iter().map(|row| read(table, row)).collect();
        let value = match rows?.as_slice() {
            [] => None,
            rows => Some(digest_of(table, rows).ok_or(StoreError::Corrupt("a credential"))?),
        };
        self.tell(person, table.table(), value);
        Ok(())
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
