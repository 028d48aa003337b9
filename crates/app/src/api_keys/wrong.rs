//! Wrong keys are charged to the address that they come from, in the one budget of guesses.

use std::{net::IpAddr, time::Duration};

use strongroom_domain::time::Timestamp;

use crate::{
    bank::Bank,
    error::{Error, Kind},
    identity::guess::Tried,
};

/// How long an address that has to wait is remembered without being looked up, in seconds.
const WAIT_SECS: i64 = 60;

impl Bank {
    /// The answer to a key, with a failure charged to the address it came from. A key cannot be guessed, so whoever
    /// shows a right one is never stopped; an address that shows wrong ones is told to wait, and then costs nothing.
    pub(crate) async fn charged<T>(
        &self,
        entered: Result<T, Error>,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<T, Error> {
        let (Err(error), Some(address)) = (&entered, address) else {
            return entered;
        };
        if error.kind != Kind::Unauthenticated {
            return entered;
        }
        let subject = self.guess_subject_of_address(&address.to_string());
        let waiting = &self.identity.state.waiting;
        if waiting.get(&subject).is_some_and(|until| now < until) {
            return Err(too_often());
        }
        if self.take_guess(subject, Tried::Network, now).await?.allowed {
            return entered;
        }
        waiting.insert(subject, now.plus_seconds(WAIT_SECS));
        Err(too_often())
    }
}

fn too_often() -> Error {
    Error::new(
        Kind::Throttled,
        "rate_limited",
        "Too many wrong credentials came from this address.",
    )
    .retry_after(Duration::from_secs(WAIT_SECS.unsigned_abs()))
}
