//! When sessions and keys were last used: kept in memory, written once a minute.

use crate::{bank::Bank, error::Error};

/// Sessions that one commit writes the last use of.
const SEEN_WRITE_ROWS_MAX: usize = 500;

impl Bank {
    /// Writes when sessions were last used. A job calls it every minute; the end of the process once
    /// more.
    ///
    /// # Errors
    /// When the database does not answer; the next call writes the same again.
    pub async fn write_last_seen(&self) -> Result<usize, Error> {
        let seen = self.identity.state.unwritten();
        // In portions: each holds the right to write for a moment only.
        for portion in seen.chunks(SEEN_WRITE_ROWS_MAX) {
            self.store.touch_sessions(portion).await?;
            self.identity.state.mark_written(portion);
        }
        let keys = self.identity.state.unwritten_keys();
        for portion in keys.chunks(SEEN_WRITE_ROWS_MAX) {
            self.store.touch_api_keys(portion).await?;
            self.identity.state.mark_keys_written(portion);
        }
        Ok(seen.len() + keys.len())
    }
}
