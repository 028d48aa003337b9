//! Requests about money that rules may want a fresh factor for.
//!
//! Whether a factor is needed for the size of an amount is known before the books are asked. Whether it is needed
//! because something is unusual only they know: then the request's approval is looked for, and the request sent again.

use strongroom_domain::ledger::{Answer, Command, StepUpClaim};

use crate::{bank::Bank, cx::Cx, error::Error};

impl Bank {
    /// Sends a command to the books, with the approval of its request where one is needed. The fields are those that
    /// the request is remembered by.
    ///
    /// # Errors
    /// `step_up_required` with a challenge where nobody approved it; as [`Bank::submit`].
    pub(crate) async fn submit_confirmed(
        &self,
        cx: &Cx,
        known: Option<StepUpClaim>,
        fields: &[Vec<u8>],
        command: impl Fn(&Cx, Option<StepUpClaim>) -> Result<Command, Error>,
    ) -> Result<Answer, Error> {
        let mut claim = known;
        let mut answer = self.submit(cx, |cx| command(cx, claim)).await?;
        if answer == Answer::StepUpNeeded && claim.is_none() {
            claim = self.claim_of(cx, fields).await?;
            // Asking for a factor of whom has none would be a no without a word.
            if let Some(claim) = claim.as_mut().filter(|claim| claim.approval.is_none()) {
                claim.no_factor = !self.can_confirm(cx).await?;
            }
            if claim.is_some_and(|claim| claim.approval.is_some() || claim.no_factor) {
                answer = self.submit(cx, |cx| command(cx, claim)).await?;
            }
        }
        // Whatever the books answered, they have seen the nonce.
        cx.nonce.as_deref().inspect(|open| open.give());
        if answer == Answer::StepUpNeeded {
            return Err(self.challenge_for(cx, claim));
        }
        Ok(answer)
    }
}
