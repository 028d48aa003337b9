//! Which security event follows from what is written into the audit log, and from what the books answer.
//!
//! One table for records and one for verbs of the books. An event is told once its commit stands, never for a change
//! that was rolled back, and also where whoever asked went away meanwhile. A commit whose outcome is not known tells
//! nothing: the log shows afterwards whether it was.

use serde_json::{Map, Value};
use strongroom_domain::{
    account::Side,
    action::Action,
    audit::{Details, Object},
    id::{AccountId, ApiKeyId, ApprovalId, BeneficiaryId, PolicyId, SessionId},
    ledger::{AccountChange, Answer, Command, ReviewVerb, Verb},
};

use super::{
    catalogue::SecurityEventKind as Kind,
    stream::{Line, address_text, line_of, some},
};
use crate::{
    bank::{Bank, STALE_ATTEMPTS_MAX},
    cx::Cx,
    error::Error,
};

/// Longest reason that is taken from a record, in characters.
const REASON_CHARS_MAX: usize = 40;

/// What a record tells.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    kind: Kind,
    /// A code of the record.
    reason: String,
}

/// An event that waits for its commit.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    line: Line<'static>,
    reason: String,
    address: String,
    agent: String,
}

impl Waiting {
    fn of(cx: &Cx, told: Told, object: Option<String>) -> Self {
        let line = line_of(cx, told.kind, "");
        Self {
            reason: told.reason,
            address: address_text(cx.address),
            agent: some(cx.agent()).unwrap_or_default(),
            line: Line {
                object,
                request: line.request,
                outcome: line.outcome,
                principal: line.principal,
                session: line.session,
                ..Line::of(told.kind, cx.now())
            },
        }
    }

    pub(crate) fn line(&self) -> Line<'_> {
        Line {
            reason: &self.reason,
            address: &self.address,
            agent: &self.agent,
            ..self.line.clone()
        }
    }

    fn refused(mut self) -> Self {
        self.line.outcome = "refused";
        self
    }
}

/// The id as it is written elsewhere, where it has such a form.
fn name_of(object: Object) -> Option<String> {
    Some(match object {
        Object::Account(id) => id.to_string(),
        Object::Transaction(id) => id.to_string(),
        Object::User(id) => id.to_string(),
        Object::Other("session", id) => SessionId::from_bytes(id).to_string(),
        Object::Other("api_key", id) => ApiKeyId::from_bytes(id).to_string(),
        Object::Other("policy", id) => PolicyId::from_bytes(id).to_string(),
        Object::Other("approval", id) => ApprovalId::from_bytes(id).to_string(),
        Object::Other("beneficiary", id) => BeneficiaryId::from_bytes(id).to_string(),
        Object::Bank | Object::Other(..) => return None,
    })
}

/// The table of records: what was allowed, to what it was done, how it ended and what the record says besides.
fn told_by(action: Action, object: Object, outcome: &str, details: &Details) -> Option<Told> {
    let words: Map<String, Value> = details
        .json_text()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let word = |name: &str| words.get(name).and_then(Value::as_str).unwrap_or_default();
    let told = |kind, reason: &str| {
        Some(Told {
            kind,
            reason: reason.chars().take(REASON_CHARS_MAX).collect(),
        })
    };
    // Whatever it is about: it was asked for, or decided, and not done by this record.
    if matches!(object, Object::Other("approval", _)) {
        return match word("state") {
            "" => told(Kind::ApprovalAsked, action.name()),
            state => told(Kind::ApprovalDecided, state),
        };
    }
    match (action, outcome) {
        (Action::StepUp, "invalid_credentials") => told(Kind::StepUpFailed, outcome),
        (_, outcome) if outcome != "ok" => None,
        (Action::SessionEnd, _) => match (word("device"), word("reason")) {
            ("named", _) => None,
            ("forgotten", _) => told(Kind::SessionEnded, "device_forgotten"),
            (_, "") => told(Kind::SessionEnded, "all"),
            (_, reason) => told(Kind::SessionEnded, reason),
        },
        (Action::CredentialChange | Action::CredentialRecover, _) => {
            match (word("credential"), word("state")) {
                ("password", _) => told(Kind::PasswordChanged, ""),
                ("recovery_code", _) => told(Kind::RecoveryUsed, ""),
                ("recovery_codes", _) => told(Kind::RecoveryCodesMade, ""),
                (credential, "active") => told(Kind::FactorAdded, credential),
                (credential, "removed") => told(Kind::FactorRemoved, credential),
                // It counts from its first code on.
                _ => None,
            }
        }
        (Action::EmailChange, _) => match word("email") {
            "asked" => told(Kind::EmailChangeAsked, ""),
            "changed" => told(Kind::EmailChanged, ""),
            _ => None,
        },
        (Action::UserLock, _) => match (word("change"), word("state")) {
            ("", _) => told(Kind::SessionEnded, "ended_by_operator"),
            (change, "active") => told(Kind::LoginOpened, change),
            (change, _) => told(Kind::LoginStopped, change),
        },
        (Action::UserClose, _) => told(Kind::LoginStopped, "closed"),
        (Action::ApiKeyCreate, _) => told(Kind::ApiKeyMade, ""),
        (Action::ApiKeyRotate, _) => told(Kind::ApiKeyMade, "replaced"),
        (Action::ApiKeyRevoke, _) => told(Kind::ApiKeyEnded, ""),
        (Action::PolicyWrite, _) => told(Kind::PolicyWritten, ""),
        (Action::KeyManage, _) => told(Kind::KeyringChanged, word("purpose")),
        (Action::AuditExport, _) => told(Kind::LogExported, ""),
        (Action::BeneficiaryAdd, _) => told(Kind::PayeeAdded, ""),
        _ => None,
    }
}

/// What follows from a record that is about to be written; `None` for most.
pub(crate) fn of_record(
    cx: &Cx,
    action: Action,
    object: Object,
    outcome: &str,
    details: &Details,
) -> Option<Waiting> {
    let told = told_by(action, object, outcome, details)?;
    let is_refusal = told.kind == Kind::StepUpFailed;
    let waiting = Waiting::of(cx, told, name_of(object));
    Some(if is_refusal { waiting.refused() } else { waiting })
}

/// The table of verbs: what is told of one that the books did, and to what it was done.
fn told_of(verb: &Verb) -> Option<(Told, String)> {
    let told = |kind, reason: &str, object: String| {
        let reason = reason.to_owned();
        Some((Told { kind, reason }, object))
    };
    let of = |account: &AccountId| account.to_string();
    match verb {
        Verb::Reverse(new) => told(Kind::TransferReversed, "", new.of.to_string()),
        Verb::Change {
            account,
            side,
            change,
        } => {
            let kind = match change {
                AccountChange::Freeze(_) => Kind::AccountFrozen,
                AccountChange::Unfreeze => Kind::AccountUnfrozen,
                AccountChange::Close => Kind::AccountClosed,
            };
            let by = match side {
                Side::Owner => "owner",
                Side::Bank => "bank",
            };
            told(kind, by, of(account))
        }
        Verb::Limit(new) => told(Kind::LimitChanged, "", of(&new.account)),
        Verb::Allow(new) => told(Kind::AllowanceChanged, "allowance", of(&new.account)),
        Verb::Except(new) => told(Kind::AllowanceChanged, "exception", of(&new.account)),
        Verb::Review(asked) => {
            let what = match asked.verb {
                ReviewVerb::Release => "released",
                ReviewVerb::Reject => "rejected",
                ReviewVerb::Cancel => "cancelled",
            };
            told(Kind::ReviewDecided, what, asked.id.to_string())
        }
        _ => None,
    }
}

/// The code of a limit that a movement went beyond.
fn limit_of(answer: &Answer) -> Option<&'static str> {
    let Answer::Refused(refusal) = answer else {
        return None;
    };
    let code = refusal.code();
    matches!(code, "limit_exceeded" | "bank_limit_exceeded").then_some(code)
}

impl Bank {
    /// Tells that a movement was refused because of a limit, if that is what the books answered.
    pub(crate) fn tell_limit(&self, cx: &Cx, answers: &[Answer]) {
        let Some(code) = answers.iter().find_map(limit_of) else {
            return;
        };
        let told = Told {
            kind: Kind::LimitExceeded,
            reason: code.to_owned(),
        };
        self.security.note(&Waiting::of(cx, told, None).refused().line());
    }

    /// Sends a command to the books and tells what follows from their answer. What is told of is told also where
    /// whoever waits goes away; a limit that is exceeded is not.
    pub(crate) async fn decide_and_tell(&self, cx: &Cx, command: Command) -> Result<Answer, Error> {
        let told = told_of(&command.verb).filter(|_| !command.dry_run);
        let Some((told, object)) = told else {
            let is_dry = command.dry_run;
            let answer = self.writer.submit(command).await?;
            if !is_dry {
                self.tell_limit(cx, std::slice::from_ref(&answer));
            }
            return Ok(answer);
        };
        let waiting = Waiting::of(cx, told, Some(object));
        let (writer, security) = (self.writer.clone(), self.security.clone());
        let deciding = tokio::spawn(async move {
            let answer = writer.submit(command).await;
            if matches!(answer, Ok(Answer::Done(_))) {
                security.note(&waiting.line());
            }
            answer
        });
        deciding.await.map_err(|_| Error::commit_unknown())?
    }

    /// Sends a command to the books; where rights changed while it waited, decides anew with the rights of now.
    pub(crate) async fn submit(
        &self,
        cx: &Cx,
        command: impl Fn(&Cx) -> Result<Command, Error>,
    ) -> Result<Answer, Error> {
        let mut current = cx.clone();
        for _ in 0..STALE_ATTEMPTS_MAX {
            match self.decide_and_tell(&current, command(&current)?).await? {
                Answer::Stale => current = self.renew(&current).await?,
                answer => return Ok(answer),
            }
        }
        Err(Error::overloaded())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(action: Action, object: Object, outcome: &str, details: &str) -> Option<(&'static str, String)> {
        let details = if details.is_empty() {
            Details::none()
        } else {
            Details::json(details)
        };
        told_by(action, object, outcome, &details).map(|told| (told.kind.name(), told.reason))
    }

    #[test]
    fn what_is_told_follows_from_action_object_and_words_of_the_record() {
        let person = Object::User(strongroom_domain::id::Id::from_bytes([7; 16]));
        let session = Object::Other("session", [7; 16]);
        let expected = [
            (
                Action::SessionEnd,
                session,
                r#"{"reason":"logout"}"#,
                "session_ended",
                "logout",
            ),
            (
                Action::SessionEnd,
                person,
                r#"{"sessions":3}"#,
                "session_ended",
                "all",
            ),
            (
                Action::SessionEnd,
                person,
                r#"{"device":"forgotten"}"#,
                "session_ended",
                "device_forgotten",
            ),
            (
                Action::UserLock,
                person,
                r#"{"sessions":3}"#,
                "session_ended",
                "ended_by_operator",
            ),
            (
                Action::UserLock,
                person,
                r#"{"change":"lock","state":"locked"}"#,
                "login_stopped",
                "lock",
            ),
            (
                Action::UserLock,
                person,
                r#"{"change":"unlock","state":"active"}"#,
                "login_opened",
                "unlock",
            ),
            (
                Action::CredentialChange,
                person,
                r#"{"credential":"password"}"#,
                "password_changed",
                "",
            ),
            (
                Action::CredentialChange,
                person,
                r#"{"credential":"totp","state":"active"}"#,
                "factor_added",
                "totp",
            ),
            (
                Action::CredentialChange,
                person,
                r#"{"credential":"passkey","state":"removed"}"#,
                "factor_removed",
                "passkey",
            ),
            (
                Action::CredentialRecover,
                person,
                r#"{"credential":"recovery_code"}"#,
                "recovery_used",
                "",
            ),
            (
                Action::EmailChange,
                person,
                r#"{"email":"changed"}"#,
                "email_changed",
                "",
            ),
            (
                Action::KeyManage,
                Object::Other("key", [7; 16]),
                r#"{"purpose":"seal"}"#,
                "keyring_changed",
                "seal",
            ),
        ];
        for (action, object, details, kind, reason) in expected {
            let found = told(action, object, "ok", details);
            assert_eq!(found, Some((kind, reason.to_owned())), "{details}");
            // What was refused was not done.
            assert_eq!(told(action, object, "forbidden", details), None, "{details}");
        }
        assert_eq!(
            told(
                Action::StepUp,
                session,
                "invalid_credentials",
                r#"{"failures":1}"#
            ),
            Some(("step_up_failed", "invalid_credentials".to_owned()))
        );
    }

    #[test]
    fn what_was_asked_for_or_decided_is_not_told_as_done() {
        let approval = Object::Other("approval", [7; 16]);
        for action in [Action::KeyManage, Action::GrantCreate, Action::ApiKeyCreate] {
            let (kind, reason) = told(action, approval, "ok", r#"{"request":{}}"#).unwrap();
            assert_eq!((kind, reason.as_str()), ("approval_asked", action.name()));
            let (kind, reason) = told(action, approval, "ok", r#"{"state":"rejected"}"#).unwrap();
            assert_eq!((kind, reason.as_str()), ("approval_decided", "rejected"));
        }
    }

    #[test]
    fn what_changes_nothing_that_matters_is_not_told() {
        let person = Object::User(strongroom_domain::id::Id::from_bytes([7; 16]));
        for (action, details) in [
            (
                Action::CredentialChange,
                r#"{"credential":"totp","state":"pending"}"#,
            ),
            (Action::EmailChange, r#"{"email":"proved"}"#),
            (Action::SessionEnd, r#"{"device":"named"}"#),
            (Action::NoticeChange, ""),
            (Action::UserRename, r#"{"credential":"password"}"#),
        ] {
            assert_eq!(told(action, person, "ok", details), None, "{details}");
        }
    }
}
