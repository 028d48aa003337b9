//! What waits for a second person, and forgetting what is of no use any more.

use strongroom_domain::{id::ApprovalId, time::Timestamp};
use uuid::Uuid;

use super::uuid;
use crate::{error::StoreError, tx::WriteTx};

/// Something that somebody else has to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApproval {
    /// The id.
    pub id: ApprovalId,
    /// What would be done.
    pub action: &'static str,
    /// Number of the maker's kind of principal.
    pub maker_kind: u8,
    /// The maker within the kind.
    pub maker: [u8; 16],
    /// What exactly, sealed by the ring.
    pub sealed: Vec<u8>,
    /// What the checker will see, as a digest: that and nothing else is executed.
    pub digest: [u8; 32],
    /// When.
    pub created_at: Timestamp,
    /// The end.
    pub expires_at: Timestamp,
}

/// Rows of one table that are forgotten at a time.
pub const SWEEP_ROWS_MAX: i64 = 500;

/// One query text for everything that is forgotten in portions. Tokens of a session go with it.
macro_rules! sweep {
    ($table:literal, $key:literal, $time:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE ",
            $key,
            " IN (SELECT ",
            $key,
            " FROM ",
            $table,
            " WHERE ",
            $time,
            " <= $1 ORDER BY ",
            $time,
            " LIMIT $2)"
        )
    };
}

impl WriteTx {
    /// Asks for somebody else's decision.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn insert_approval(&self, new: &NewApproval) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO approvals (id, action, maker_kind, maker, sealed, digest, state, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, 'open', $7, $8)",
            vec![
                uuid(new.id).into(),
                new.action.into(),
                i64::from(new.maker_kind).into(),
                Uuid::from_bytes(new.maker).into(),
                new.sealed.clone().into(),
                new.digest.to_vec().into(),
                new.created_at.micros().into(),
                new.expires_at.micros().into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Forgets one portion of what is of no use any more: registrations, tickets and factors whose time is over,
    /// counts of tries that nothing was added to since `quiet`, sessions that ended before `ended`. How much it
    /// was; a whole portion of [`SWEEP_ROWS_MAX`] of something means that there may be more.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn sweep_identity(
        &self,
        now: Timestamp,
        quiet: Timestamp,
        ended: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut most = 0;
        for (sql, bound) in [
            (sweep!("registrations", "id", "expires_at"), now),
            (sweep!("tickets", "hash", "expires_at"), now),
            (sweep!("totp_factors", "id", "expires_at"), now),
            (sweep!("step_ups", "id", "expires_at"), now),
            (sweep!("passkey_ceremonies", "hash", "expires_at"), now),
            (sweep!("external_starts", "hash", "expires_at"), now),
            (sweep!("guesses", "subject", "updated_at"), quiet),
            (sweep!("sessions", "id", "expires_at"), ended),
        ] {
            let swept = self
                .execute(sql, vec![bound.micros().into(), SWEEP_ROWS_MAX.into()])
                .await?;
            most = most.max(swept);
        }
        Ok(most)
    }
}
