//! What comes of a request that is sent again, and of some that are done together or not at all.

use strongroom_domain::ledger::{Answer, Command, Done, Fingerprint, Order, Refusal, Verb};

use super::{
    ACCOUNTS,
    dice::Dice,
    model::{Model, Step},
    names::{Names, sizes},
};
use crate::harness::id;

/// What must come of a command.
#[derive(Debug)]
pub(super) enum Must {
    Done,
    /// Done, and it waits for a look.
    Wait,
    Refused,
    /// Exactly this: what a key that is known is answered.
    Be(Answer),
}

impl Must {
    pub(super) fn is_met_by(&self, answer: &Answer) -> bool {
        match self {
            Self::Done => matches!(answer, Answer::Done(_)),
            Self::Wait => matches!(answer, Answer::Done(done) if matches!(**done, Done::Reviewed(_))),
            Self::Refused => !matches!(
                answer,
                Answer::Done(_) | Answer::Replayed { .. } | Answer::KeyReused { .. }
            ),
            Self::Be(known) => answer == known,
        }
    }
}

/// A transfer under a key that became an outcome.
pub(super) struct Kept {
    command: Command,
    outcome: Answer,
}

impl Kept {
    /// The same request once more, as another transaction would be made of it; or another one under its key.
    pub(super) fn again(&self, other: bool) -> (Command, Must) {
        let mut command = self.command.clone();
        command.request = id();
        let Verb::Post(posting) = &mut command.verb else {
            unreachable!()
        };
        posting.id = id();
        let Answer::Replayed { resource, .. } = self.outcome else {
            unreachable!()
        };
        if !other {
            return (command, Must::Be(self.outcome.clone()));
        }
        let key = command.idempotency.as_mut().unwrap();
        key.fingerprint = Fingerprint::from_bytes(vec![2; Fingerprint::FIELD_BYTES]);
        (command, Must::Be(Answer::KeyReused { field: 0, resource }))
    }

    pub(super) fn of(command: &Command, refusal: Option<Refusal>) -> Option<Self> {
        let Verb::Post(posting) = &command.verb else {
            return None;
        };
        command.idempotency.as_ref()?;
        Some(Self {
            command: command.clone(),
            outcome: Answer::Replayed {
                refusal,
                resource: refusal.is_none().then(|| *posting.id.as_bytes()),
            },
        })
    }
}

/// Some transfers that are done together or not at all.
pub(super) fn together(dice: &mut Dice, names: &mut Names, model: &mut Model) -> (Order, bool) {
    let before = (
        model.accounts.clone(),
        model.transfers.len(),
        names.transfers.len(),
    );
    let (mut commands, mut must) = (Vec::new(), true);
    for _ in 0..2 + dice.below(4) {
        let step = Step::Transfer(dice.below(ACCOUNTS), dice.below(ACCOUNTS), dice.amount());
        let sizes = sizes(model);
        let command = names.command(step, model);
        must &= model.play(step);
        names.keep(&command, sizes, model);
        commands.push(command);
    }
    if !must {
        model.accounts = before.0;
        model.transfers.truncate(before.1);
        names.transfers.truncate(before.2);
    }
    let order = Order {
        commands,
        all_or_none: true,
        step_up: None,
    };
    (order, must)
}
