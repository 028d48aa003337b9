//! Devices that a person is known by: marks that this bank gave them, bound to the person.

use sea_orm::FromQueryResult;
use strongroom_domain::{id::UserId, time::Timestamp};

use super::{at, uuid};
use crate::{
    error::StoreError,
    store::Store,
    tx::{ReadTx, Scope, WriteTx, rows},
};

/// Devices that a person is known by at most.
pub const DEVICES_MAX: i64 = 10;

/// A device that a person is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRow {
    /// Its mark, bound to the person.
    pub hash: [u8; 32],
    /// When it became known.
    pub created_at: Timestamp,
    /// When somebody last logged in on it.
    pub last_login_at: Option<Timestamp>,
    /// What its owner calls it and what it calls itself, sealed under the person's key.
    pub sealed: Option<Vec<u8>>,
}

#[derive(FromQueryResult)]
struct CountSql {
    number: i64,
}

#[derive(FromQueryResult)]
struct DeviceSql {
    hash: Vec<u8>,
    created_at: i64,
    last_login_at: Option<i64>,
    sealed: Option<Vec<u8>>,
}

const DEVICES: &str = "SELECT hash, created_at, last_login_at, sealed FROM devices WHERE person = $1 \
    ORDER BY created_at DESC, hash LIMIT $2";

fn device(row: DeviceSql) -> Result<DeviceRow, StoreError> {
    Ok(DeviceRow {
        hash: row
            .hash
            .as_slice()
            .try_into()
            .map_err(|_| StoreError::Corrupt("a mark of another length"))?,
        created_at: at(row.created_at),
        last_login_at: row.last_login_at.map(at),
        sealed: row.sealed,
    })
}

impl Store {
    /// Whether a person is known by this device.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn is_device_of(&self, person: UserId, hash: &[u8; 32]) -> Result<bool, StoreError> {
        let read: ReadTx = self.read(Scope::System).await?;
        let found: Vec<CountSql> = rows(
            &read.tx,
            "SELECT count(*) AS number FROM devices WHERE person = $1 AND hash = $2",
            vec![uuid(person).into(), hash.to_vec().into()],
        )
        .await?;
        Ok(found.first().is_some_and(|row| row.number > 0))
    }

    /// The devices that a person is known by, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn devices(&self, person: UserId) -> Result<Vec<DeviceRow>, StoreError> {
        let read = self.read(Scope::Person(person)).await?;
        let found: Vec<DeviceSql> =
            rows(&read.tx, DEVICES, vec![uuid(person).into(), DEVICES_MAX.into()]).await?;
        found.into_iter().map(device).collect()
    }
}

impl WriteTx {
    /// Remembers a device; the oldest beyond [`DEVICES_MAX`] is forgotten.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn insert_device(
        &self,
        person: UserId,
        hash: &[u8; 32],
        sealed: &[u8],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO devices (person, hash, created_at, last_login_at, sealed) VALUES ($1, $2, $3, $3, $4) \
             ON CONFLICT (person, hash) DO NOTHING",
            vec![
                uuid(person).into(),
                hash.to_vec().into(),
                now.micros().into(),
                sealed.to_vec().into(),
            ],
        )
        .await?;
        self.execute(
            "DELETE FROM devices WHERE person = $1 AND hash NOT IN \
             (SELECT hash FROM devices WHERE person = $1 ORDER BY created_at DESC, hash LIMIT $2)",
            vec![uuid(person).into(), DEVICES_MAX.into()],
        )
        .await?;
        Ok(())
    }

    /// The devices that a person is known by, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn devices(&self, person: UserId) -> Result<Vec<DeviceRow>, StoreError> {
        let found: Vec<DeviceSql> =
            rows(&self.tx, DEVICES, vec![uuid(person).into(), DEVICES_MAX.into()]).await?;
        found.into_iter().map(device).collect()
    }

    /// Somebody logged in on a device that was known.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn touch_device(
        &self,
        person: UserId,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE devices SET last_login_at = $3 WHERE person = $1 AND hash = $2",
            vec![uuid(person).into(), hash.to_vec().into(), now.micros().into()],
        )
        .await?;
        Ok(())
    }

    /// Writes what a device is called; false where the person is not known by it.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn name_device(
        &self,
        person: UserId,
        hash: &[u8; 32],
        sealed: &[u8],
    ) -> Result<bool, StoreError> {
        let named = self
            .execute(
                "UPDATE devices SET sealed = $3 WHERE person = $1 AND hash = $2",
                vec![uuid(person).into(), hash.to_vec().into(), sealed.to_vec().into()],
            )
            .await?;
        Ok(named == 1)
    }

    /// Forgets a device; false where the person is not known by it.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn forget_device(&self, person: UserId, hash: &[u8; 32]) -> Result<bool, StoreError> {
        let forgotten = self
            .execute(
                "DELETE FROM devices WHERE person = $1 AND hash = $2",
                vec![uuid(person).into(), hash.to_vec().into()],
            )
            .await?;
        Ok(forgotten == 1)
    }

    /// Forgets all devices of a person.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn forget_devices(&self, person: UserId) -> Result<(), StoreError> {
        self.execute("DELETE FROM devices WHERE person = $1", vec![uuid(person).into()])
            .await?;
        Ok(())
    }
}
