//! What verification from a checkpoint on needs of the part before it.

use strongroom_domain::{account::SkipPath, transaction::Entry};

use crate::{
    audit::{
        rows::{Leaf, record_columns, transaction_columns},
        snapshot::LogSnapshot,
    },
    error::StoreError,
};

/// Most roots of a path that are followed: a path has no more.
const ROOTS_MAX: usize = 64;

const BY_ENTRY: &str = concat!(
    "SELECT l.leaf, r.id, l.hash, ",
    record_columns!(),
    ", ",
    transaction_columns!(),
    " FROM entries e JOIN transactions t ON t.last_entry = e.transaction_entry \
     JOIN audit_records r ON r.id = t.record LEFT JOIN audit_leaves l ON l.record_id = r.id WHERE e.id = $1"
);

impl LogSnapshot {
    /// The position of the log that an entry came with: record, transaction and its entries. `None` where the chain is
    /// broken.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn leaf_of_entry(&self, entry: i64) -> Result<Option<Leaf>, StoreError> {
        let found = self.query(BY_ENTRY, vec![entry.into()]).await?;
        Ok(self.with_entries(found).await?.pop())
    }

    /// The path of an account as it was when `entry` was its newest, read along the pointers; `None` where they do not
    /// fit.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn path_at(&self, entry: &Entry) -> Result<Option<SkipPath>, StoreError> {
        let mut ids = vec![entry.id];
        let mut next = entry.jump;
        while let Some(id) = next
            && ids.len() < ROOTS_MAX
        {
            let found = self.entries(id, id).await?;
            let Some(Ok(root)) = found.first() else {
                return Ok(None);
            };
            if root.account != entry.account || root.jump.is_some_and(|jump| jump >= id) {
                return Ok(None);
            }
            ids.push(id);
            next = root.jump;
        }
        ids.reverse();
        Ok(SkipPath::from_roots(&ids, entry.sequence))
    }
}
