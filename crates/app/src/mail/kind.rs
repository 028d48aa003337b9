//! What mails are about, and what they say.

use super::{MailParams, NOTICE_SECS};

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal),* $(,)?) => {
        /// What a mail is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum MailKind {
            $($(#[$doc])* $kind),*
        }

        impl MailKind {
            /// Every kind.
            pub(crate) const ALL: &[Self] = &[$(Self::$kind),*];

            /// The stable name.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name),*
                }
            }
        }
    };
}

kinds! {
    /// Prove this address.
    Verification = "verification",
    /// Somebody tried to register your address.
    AddressTaken = "address_taken",
    /// Somebody asked for a reset; not a mail yet.
    ResetWish = "reset_wish",
    /// Reset your password.
    PasswordReset = "password_reset",
    /// Your password was changed.
    PasswordChanged = "password_changed",
    /// Prove that this is to be your address.
    EmailProof = "email_proof",
    /// Somebody wants another address for your login: agree, or stop it.
    EmailWish = "email_wish",
    /// Your login has another address.
    EmailChanged = "email_changed",
    /// What is known of you was exported.
    DataExported = "data_exported",
    /// Your login is closed.
    LoginClosed = "login_closed",
    /// Somebody logged in on a device that was not seen before.
    NewDevice = "new_device",
    /// A session was ended because its token was used twice.
    SessionStolen = "session_stolen",
    /// A session was ended because a factor was proved wrongly too often.
    StepUpFailures = "step_up_failures",
    /// A second factor or the recovery codes were changed.
    FactorChanged = "factor_changed",
    /// Two people of the bank took the second factors away.
    FactorReset = "factor_reset",
    /// A recovery code was used in place of a factor.
    RecoveryUsed = "recovery_used",
    /// A key for an integration was made.
    ApiKeyMade = "api_key_made",
    /// Somebody is on the list of payees.
    PayeeAdded = "payee_added",
    /// Money came.
    MoneyReceived = "money_received",
    /// Money went.
    MoneySent = "money_sent",
    /// A payment to another bank arrived.
    PaymentSettled = "payment_settled",
    /// A payment to another bank came back.
    PaymentReturned = "payment_returned",
    /// Money was reserved.
    HoldPlaced = "hold_placed",
    /// A transfer waits for a look.
    ReviewStarted = "review_started",
    /// What became of a transfer that waited.
    ReviewEnded = "review_ended",
    /// What may be paid was set.
    LimitsChanged = "limits_changed",
    /// Somebody made an operator without the approval of another.
    BreakGlass = "break_glass",
    /// Something happened that people of the bank should see.
    SecurityAlert = "security_alert",
    /// Tries at an address were wrong; not a mail yet.
    GuessWish = "guess_wish",
    /// Somebody tries to log in, and has to wait.
    LoginGuessed = "login_guessed",
    /// So many tries failed that unknown devices are refused.
    PasswordStopped = "password_stopped",
}

/// What a mail says, before it is laid out.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Before token and link.
    pub(super) before: String,
    /// What to press, and its path with everything behind.
    pub(super) link: Option<(&'static str, String)>,
    /// After them; may be empty.
    pub(super) after: &'static str,
}

fn say(text: &str) -> Words {
    Words {
        before: text.to_owned(),
        ..Words::default()
    }
}

impl MailKind {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Never dropped, however many there are.
    pub(super) const fn is_security_notice(self) -> bool {
        !matches!(
            self,
            Self::Verification
                | Self::AddressTaken
                | Self::ResetWish
                | Self::PasswordReset
                | Self::EmailProof
        ) && !self.is_about_money()
    }

    /// Told of by the job that follows the log, which writes the notice itself.
    pub(super) const fn is_about_money(self) -> bool {
        matches!(
            self,
            Self::MoneyReceived
                | Self::MoneySent
                | Self::PaymentSettled
                | Self::PaymentReturned
                | Self::HoldPlaced
                | Self::ReviewStarted
                | Self::ReviewEnded
                | Self::LimitsChanged
        )
    }

    /// The third of an hour says that it stands for those that follow, so that a client that forgets its device
    /// fills no mailbox.
    pub(super) const fn is_folded(self) -> bool {
        matches!(self, Self::NewDevice) || self.is_about_money()
    }

    /// Said by the last mail of its kind in an hour.
    pub(super) const fn folded(self) -> &'static str {
        match self {
            Self::NewDevice => {
                "Further logins of this hour are not told one by one; the list of your sessions has them all."
            }
            _ => {
                "Further ones of this hour are not mailed one by one; the list of your notices has them all."
            }
        }
    }

    /// Goes to an address that is nobody's yet: whoever typed the name could speak through us to a stranger.
    pub(super) const fn is_to_a_stranger(self) -> bool {
        matches!(self, Self::Verification | Self::EmailProof)
    }

    pub(super) const fn useful_secs(self) -> i64 {
        match self {
            Self::Verification => crate::identity::registration::REGISTRATION_SECS,
            Self::PasswordReset | Self::ResetWish => crate::identity::credentials::RESET_SECS,
            Self::EmailProof | Self::EmailWish => crate::identity::email_change::EMAIL_CHANGE_SECS,
            _ => NOTICE_SECS,
        }
    }

    /// Says nothing that is nobody else's business: it is shown on locked screens.
    pub(crate) const fn subject(self) -> &'static str {
        match self {
            Self::Verification => "Confirm your e-mail address",
            Self::AddressTaken => "Somebody tried to register your address",
            Self::PasswordReset | Self::ResetWish => "Reset your password",
            Self::PasswordChanged => "Your password was changed",
            Self::EmailProof => "Confirm your new e-mail address",
            Self::EmailWish => "Another e-mail address for your login",
            Self::EmailChanged => "Your e-mail address was changed",
            Self::DataExported => "Your data was exported",
            Self::LoginClosed => "Your login is closed",
            Self::NewDevice => "A login from a new device",
            Self::SessionStolen | Self::StepUpFailures => "A session of yours was ended",
            Self::FactorChanged => "How you prove who you are was changed",
            Self::FactorReset => "Your second factor was reset",
            Self::RecoveryUsed => "A recovery code was used",
            Self::ApiKeyMade => "A key for a program was made in your name",
            Self::PayeeAdded => "A payee was added to your list",
            Self::MoneyReceived => "Money came in",
            Self::MoneySent => "Money went out",
            Self::PaymentSettled => "A payment was made",
            Self::PaymentReturned => "A payment came back",
            Self::HoldPlaced => "Money was reserved",
            Self::ReviewStarted => "A transfer waits",
            Self::ReviewEnded => "A transfer that waited",
            Self::LimitsChanged => "Your limits were changed",
            Self::BreakGlass => "An operator was added without approval",
            Self::SecurityAlert => "A security alert",
            Self::GuessWish | Self::LoginGuessed => "Somebody tries to log in as you",
            Self::PasswordStopped => "Logins from unknown devices are stopped",
        }
    }

    pub(super) fn words(self, params: &MailParams) -> Words {
        let MailParams { token, detail, .. } = params;
        match self {
            Self::Verification => Words {
                before: "please confirm that this address is yours. You need the password that you chose."
                    .to_owned(),
                link: Some(("Confirm the address", format!("/verify-email#token={token}"))),
                after: "If you did not register, ignore this mail: nothing happens.",
            },
            Self::AddressTaken => say(
                "somebody tried to open a login with this address, which has one already. If that was you: log \
                 in, or reset your password if you forgot it. If it was not you, nothing has happened.",
            ),
            Self::PasswordReset | Self::ResetWish => Words {
                before: "a new password was asked for.".to_owned(),
                link: Some(("Choose a new password", format!("/reset-password#token={token}"))),
                after: "It is good for half an hour, once. If you did not ask, ignore this mail: nothing happens.",
            },
            Self::PasswordChanged => say(
                "your password was changed and all other sessions were ended. If that was not you, reset your \
                 password at once and tell us.",
            ),
            Self::EmailProof => Words {
                before: "somebody wants this address for a login with us.".to_owned(),
                link: Some(("Confirm the address", format!("/email-change#token={token}"))),
                after: "It is good for three days. If you did not ask for it, ignore this mail: nothing happens.",
            },
            Self::EmailWish => Words {
                before: "somebody with your password and your second factor wants another e-mail address for your \
                         login. If that was you, agree, and it is done as soon as the new address is confirmed; \
                         otherwise it is done a day after that."
                    .to_owned(),
                link: Some(("Agree, or stop it", format!("/email-change#token={token}"))),
                after: "If it was not you, stop it at once, change your password and tell us.",
            },
            Self::EmailChanged => say(
                "the e-mail address of your login was changed, and all sessions were ended. From now on we write to \
                 the new address only. If that was not you, tell us at once.",
            ),
            Self::DataExported => say(
                "a copy of everything that we know of you was taken just now, in your name. If that was not you, change \
                 your password at once and tell us.",
            ),
            Self::LoginClosed => say(
                "your login is closed, as you wished, and what we knew of you is erased, except for what the law asks \
                 us to keep of the accounts: numbers, amounts and days. If that was not you, tell us at once.",
            ),
            Self::NewDevice => Words {
                before: format!(
                    "somebody logged in as you on a device that we had not seen before: {detail}. If that was you, \
                     there is nothing to do."
                ),
                link: None,
                after: "If it was not you, change your password at once, end that session and tell us.",
            },
            Self::SessionStolen => say(
                "a token of one of your sessions was used twice, as a thief would. The session was ended. Log in \
                 again; if you see anything that you did not do, tell us at once.",
            ),
            Self::StepUpFailures => say(
                "in one of your sessions somebody tried to prove to be you and failed five times. The session was \
                 ended. If that was not you, change your password at once and tell us.",
            ),
            Self::FactorChanged => say(
                "the second factor of your login, or the codes for the day it is lost, were changed just now. For a \
                 day a new factor approves no large payment. If that was not you, tell us at once.",
            ),
            Self::FactorReset => say(
                "the bank took away the second factors of your login, as somebody who said to be you wished, and ended \
                 all sessions. Log in and bind a new one. If that was not you, tell us at once.",
            ),
            Self::RecoveryUsed => say(
                "one of your recovery codes was used in place of your second factor. It lets somebody bind a new \
                 factor and nothing else. If that was not you, change your password at once and tell us.",
            ),
            Self::ApiKeyMade => say(
                "a key was made just now with which a program can act in your name, within the bounds that it was \
                 made with. If that was not you, take the key away, change your password and tell us.",
            ),
            Self::PayeeAdded => say(
                "somebody was put on your list of payees just now. Little is paid to them for the first days. If that \
                 was not you, take them off the list, change your password and tell us.",
            ),
            Self::ReviewStarted => Words {
                before: detail.clone(),
                link: None,
                after: "Its money is reserved meanwhile. If you did not send it, take it back and tell us at once.",
            },
            Self::MoneyReceived
            | Self::MoneySent
            | Self::PaymentSettled
            | Self::PaymentReturned
            | Self::HoldPlaced
            | Self::ReviewEnded
            | Self::LimitsChanged => Words {
                before: detail.clone(),
                link: None,
                after: "If you do not know of this, change your password at once and tell us.",
            },
            Self::BreakGlass => say(
                "an operator was added on the command line without the approval of another operator. If you do \
                 not know why, act now.",
            ),
            Self::SecurityAlert => Words {
                before: format!("the bank noticed something that you should see. {detail}"),
                link: None,
                after: "The list of alerts has what was counted; the runbook of incidents says what can be done.",
            },
            Self::GuessWish | Self::LoginGuessed => say(
                "somebody tried to log in as you, from a device that we do not know or on one of yours, and was \
                 wrong five times. Further tries from there have to wait, longer each time; your other devices are \
                 not affected. If that was you: wait a quarter of an hour, or reset your password. If not: your \
                 password held; make sure that you use it nowhere else.",
            ),
            Self::PasswordStopped => say(
                "a hundred tries to log in as you have failed. Your password is no longer accepted from devices \
                 that we do not know; those that we know are not affected. Reset your password to log in on a new \
                 device.",
            ),
        }
    }
}
