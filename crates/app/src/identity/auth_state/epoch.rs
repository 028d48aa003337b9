//! The epoch that was reached: nobody says so before everything that was revoked up to it is followed.

use std::sync::atomic::Ordering;

use strongroom_domain::principal::Principal;
use strongroom_store::{Delta, Revoked};

use crate::{bank::Bank, error::Error};

impl Bank {
    /// The epoch under which jobs and the host act: they, too, say that they reached one only once it is followed.
    pub(crate) async fn reached_by(&self, principal: Principal) -> Result<i64, Error> {
        let reached = self.caught_up().await;
        // The host takes back policies that this program cannot read: it must not have to read them first.
        if reached.is_err() && matches!(principal, Principal::Cli(_)) {
            return Ok(self.store.epoch().await?);
        }
        reached
    }

    /// The epoch now in force, with everything forgotten that was revoked up to it.
    pub(crate) async fn caught_up(&self) -> Result<i64, Error> {
        let epoch = self.store.epoch().await?;
        let state = &self.identity.state;
        let from = state.forgotten.load(Ordering::Acquire);
        if from < epoch {
            let delta = self.store.revocations(from, epoch).await?;
            // Before anybody is told that this epoch is reached: from then on these policies decide.
            self.follow(&delta, epoch).await?;
            state.forget(from, epoch, &delta);
            if let Delta::Revoked(revoked) = &delta {
                for what in revoked {
                    if let Revoked::User(person) = what {
                        // On another node the person may have been erased, the key with everything.
                        self.people.forget(*person);
                    }
                }
            }
        }
        Ok(epoch)
    }
}
