//! Recovery codes, and what of second factors a person has.

use sea_orm::FromQueryResult;
use strongroom_domain::{id::UserId, time::Timestamp};

use super::uuid;
use crate::{
    audit::Standing,
    error::StoreError,
    store::Store,
    tx::{ReadTx, Scope, WriteTx, rows},
};

/// How many second factors somebody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FactorCounts {
    /// Codes by time, in use.
    pub totp: u64,
    /// Passkeys.
    pub passkeys: u64,
    /// Recovery codes that were not used.
    pub recovery_codes: u64,
}

#[derive(FromQueryResult)]
struct CountsSql {
    totp: i64,
    passkeys: i64,
    recovery_codes: i64,
}

async fn counts(on: &impl sea_orm::ConnectionTrait, person: UserId) -> Result<FactorCounts, StoreError> {
    let found: Vec<CountsSql> = rows(
        on,
        "SELECT (SELECT count(*) FROM totp_factors WHERE person = $1 AND state = 'active') AS totp, \
         (SELECT count(*) FROM passkeys WHERE person = $1) AS passkeys, \
         (SELECT count(*) FROM recovery_codes WHERE person = $1 AND used_at IS NULL) AS recovery_codes",
        vec![uuid(person).into()],
    )
    .await?;
    Ok(found
        .first()
        .map_or_else(FactorCounts::default, |row| FactorCounts {
            totp: row.totp.unsigned_abs(),
            passkeys: row.passkeys.unsigned_abs(),
            recovery_codes: row.recovery_codes.unsigned_abs(),
        }))
}

impl Store {
    /// How many second factors a person has.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn factor_counts(&self, person: UserId) -> Result<FactorCounts, StoreError> {
        let read: ReadTx = self.read(Scope::Person(person)).await?;
        counts(&read.tx, person).await
    }
}

impl WriteTx {
    /// How many second factors a person has, as this transaction sees them.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn factor_counts(&self, person: UserId) -> Result<FactorCounts, StoreError> {
        counts(&self.tx, person).await
    }

    /// Takes all of a person's codes by time away, in use and pending; how many were in use.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn delete_totp(&self, person: UserId) -> Result<u64, StoreError> {
        let active = self
            .execute(
                "DELETE FROM totp_factors WHERE person = $1 AND state = 'active'",
                vec![uuid(person).into()],
            )
            .await?;
        self.execute(
            "DELETE FROM totp_factors WHERE person = $1 AND state = 'pending'",
            vec![uuid(person).into()],
        )
        .await?;
        if active > 0 {
            self.tell_credentials(person, Standing::TotpFactors).await?;
        }
        Ok(active)
    }

    /// Puts a set of recovery codes in place of the one before; an empty set takes it away.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn put_recovery_codes(
        &self,
        person: UserId,
        hashes: &[[u8; 32]],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM recovery_codes WHERE person = $1",
            vec![uuid(person).into()],
        )
        .await?;
        for hash in hashes {
            self.execute(
                "INSERT INTO recovery_codes (person, hash, created_at) VALUES ($1, $2, $3)",
                vec![uuid(person).into(), hash.to_vec().into(), now.micros().into()],
            )
            .await?;
        }
        self.tell_credentials(person, Standing::RecoveryCodes).await
    }

    /// Spends a recovery code, given by its digests under every key; false when there is none or it was used. Of
    /// several at once one wins.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn use_recovery_code(
        &self,
        person: UserId,
        hashes: &[[u8; 32]],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        for hash in hashes {
            let used = self
                .execute(
                    "UPDATE recovery_codes SET used_at = $3 WHERE person = $1 AND hash = $2 AND used_at IS NULL",
                    vec![
                        uuid(person).into(),
                        hash.to_vec().into(),
                        now.micros().into(),
                    ],
                )
                .await?;
            if used == 1 {
                self.tell_credentials(person, Standing::RecoveryCodes).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }
}
