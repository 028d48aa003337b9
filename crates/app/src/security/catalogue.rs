//! The catalogue: everything that is a security event, with class and severity, and the rules that make an alert of
//! some of them. One table of each; `docs/security/events.md` is printed from them.
//!
//! A new event is a line in [`SecurityEventKind`]. Where an audit record stands for it, it is a line of the table in
//! `told.rs` besides; else a call of [`Bank::note`](crate::Bank::note) or
//! [`Bank::note_failure`](crate::Bank::note_failure) where it happens. If people are to be told, it is a line in
//! [`AlertRule`] besides.

use std::fmt::Write as _;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Who somebody is.
    Authentication,
    /// What somebody may do.
    Authorization,
    /// What people of the bank do to it.
    Administration,
    /// Money, and what is known of customers.
    Money,
    /// What looks like an attack.
    Attack,
    /// Whether the books and the log are what they were, and the bank can defend itself.
    Integrity,
    /// What went wrong here.
    Errors,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Authentication,
        Self::Authorization,
        Self::Administration,
        Self::Money,
        Self::Attack,
        Self::Integrity,
        Self::Errors,
    ];

    /// Reads the stable name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::Authorization => "authorization",
            Self::Administration => "administration",
            Self::Money => "money",
            Self::Attack => "attack",
            Self::Integrity => "integrity",
            Self::Errors => "errors",
        }
    }
}

/// How bad it is. What is only information is streamed and not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The day's work.
    Info,
    /// Alone it is nothing.
    Low,
    /// Somebody should see it.
    Medium,
    /// Somebody should act on it today.
    High,
    /// Somebody should act on it now.
    Critical,
}

impl Severity {
    /// All of them, the least first.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// Reads the stable name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.name() == name)
    }

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

macro_rules! events {
    ($($kind:ident = $name:literal, $class:ident, $severity:ident, $means:literal;)*) => {
        /// What happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum SecurityEventKind { $(#[doc = $means] $kind,)* }

        impl SecurityEventKind {
            /// All kinds, in the order of the catalogue.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// The stable name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// What it is about.
            pub const fn class(self) -> Class {
                match self { $(Self::$kind => Class::$class,)* }
            }

            /// How bad it is.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$kind => Severity::$severity,)* }
            }

            /// What it means, in a sentence.
            pub const fn means(self) -> &'static str {
                match self { $(Self::$kind => $means,)* }
            }
        }
    };
}

events! {
    LoginSucceeded = "login_succeeded", Authentication, Info, "Somebody logged in.";
    LoginFailed = "login_failed", Authentication, Low, "A login by password, or by an issuer, was refused.";
    FactorFailed = "factor_failed", Authentication, Low, "The second factor of a login was wrong.";
    LoginLocked = "login_locked", Authentication, Medium,
        "Wrong tries at a login have to wait from now on, or are refused until the owner acts.";
    RefreshRefused = "refresh_refused", Authentication, Low, "A refresh token was refused.";
    RefreshReused = "refresh_reused", Authentication, High,
        "A refresh token was used twice, as a thief would; its session was ended.";
    TokenRefused = "token_refused", Authentication, Low, "An access token or the cookie of a session was refused.";
    ApiKeyRefused = "api_key_refused", Authentication, Low, "The key of an integration was refused.";
    ProofRefused = "proof_refused", Authentication, Low,
        "The proof of a key was refused: a signature, a nonce, a bound token without its key.";
    MailTokenRefused = "mail_token_refused", Authentication, Low, "The token of a mail was refused.";
    StepUpFailed = "step_up_failed", Authentication, Low,
        "A factor that was to approve something was wrong; five times end the session.";
    SessionEnded = "session_ended", Authentication, Info, "A session, or all of somebody, ended before its time.";
    PasswordChanged = "password_changed", Authentication, Low, "A password was changed, or set anew.";
    FactorAdded = "factor_added", Authentication, Low, "A second factor was added, or replaced another.";
    FactorRemoved = "factor_removed", Authentication, Medium, "A second factor was taken away by its owner.";
    RecoveryCodesMade = "recovery_codes_made", Authentication, Low, "Somebody had new recovery codes made.";
    RecoveryUsed = "recovery_used", Authentication, Medium, "A recovery code stood in for a lost factor.";
    EmailChangeAsked = "email_change_asked", Authentication, Low, "Somebody wants another address of mail.";
    EmailChanged = "email_changed", Authentication, Medium, "The address of mail of a login was changed.";
    LoginStopped = "login_stopped", Administration, Medium, "The bank stopped a login, or its owner left.";
    LoginOpened = "login_opened", Administration, Medium, "The bank let a stopped login in again.";
    ApiKeyMade = "api_key_made", Administration, Low, "A key of an integration was made, or replaced by another.";
    ApiKeyEnded = "api_key_ended", Administration, Low, "A key of an integration was taken away.";
    AccessDenied = "access_denied", Authorization, Low,
        "Somebody who is known was refused by the policies, or asked for what is somebody else's.";
    OperatorAdded = "operator_added", Administration, High, "An operator was made.";
    OperatorForced = "operator_forced", Administration, Critical,
        "An operator was made on the command line without the approval of another.";
    PolicyWritten = "policy_written", Administration, Low,
        "The text of a policy was written or deleted; nothing follows from it until it is in force.";
    PolicyChanged = "policy_changed", Administration, High, "A policy came in force, or out of it.";
    KeyringChanged = "keyring_changed", Administration, Medium, "A key of the bank was rotated.";
    LogExported = "log_exported", Administration, Medium, "Somebody took a part of the audit log away.";
    ApprovalAsked = "approval_asked", Administration, Low, "Somebody asked for what takes two people.";
    ApprovalDecided = "approval_decided", Administration, Low, "What takes two people was approved, rejected or taken back.";
    RoleGiven = "role_given", Administration, High, "A role was given.";
    RoleTaken = "role_taken", Administration, Medium, "A role was taken away.";
    FactorsReset = "factors_reset", Administration, High, "Somebody's second factors were taken away.";
    FraudRulesChanged = "fraud_rules_changed", Administration, High, "Other rules about fraud came in force.";
    IncidentActed = "incident_acted", Administration, High, "Somebody did something against an incident.";
    IncidentLifted = "incident_lifted", Administration, Medium, "What was done against an incident was taken back.";
    ReadsOutOfPattern = "reads_out_of_pattern", Money, High,
        "An operator read about more people than the work brings along.";
    TransferReversed = "transfer_reversed", Money, Medium, "The bank took back what a movement had moved.";
    AccountFrozen = "account_frozen", Money, Low, "An account was frozen, by its owner or by the bank.";
    AccountUnfrozen = "account_unfrozen", Money, Low, "The freeze of an account was lifted.";
    AccountClosed = "account_closed", Money, Low, "An account was closed.";
    LimitExceeded = "limit_exceeded", Money, Low, "A movement was refused because it went beyond a limit.";
    LimitChanged = "limit_changed", Money, Low, "Somebody changed the own limits.";
    AllowanceChanged = "allowance_changed", Money, Medium, "The bank changed what a customer is allowed to pay.";
    PayeeAdded = "payee_added", Money, Info, "Somebody added a beneficiary.";
    ReviewDecided = "review_decided", Money, Low, "A payment that rules stopped was released, rejected or taken back.";
    ReviewExpired = "review_expired", Money, Medium,
        "A payment that rules stopped waited until its time was over: nobody looked at it.";
    AttackRecognised = "attack_recognised", Attack, Medium, "A request looked like an attack.";
    AddressBlocked = "address_blocked", Attack, Medium,
        "An address behaved so much like a scanner that strangers from it are refused for a while.";
    BlockLifted = "block_lifted", Administration, Low, "Somebody lifted the block of an address.";
    LogUnproven = "log_unproven", Integrity, Critical,
        "The audit log does not continue what was signed, or its head cannot be signed.";
    BooksUnproven = "books_unproven", Integrity, Critical, "The books or the audit log did not verify.";
    LimiterDegraded = "limiter_degraded", Integrity, High,
        "Requests are counted by each node for itself: what nodes share cannot be reached.";
    ExportLost = "export_lost", Integrity, High,
        "Security events no longer leave this node: their collector was away for so long that there is no room for more.";
    CertificateNotRenewed = "certificate_not_renewed", Integrity, Medium,
        "It is time for a new certificate, and the directory gave none; the old one is served meanwhile.";
    CertificateEnding = "certificate_ending", Integrity, High,
        "The certificate of a node ends within six days, and there is no other.";
    RequestFailed = "request_failed", Errors, Medium,
        "A request was answered with an error of ours: of the program, of the database, or unknown.";
}

impl SecurityEventKind {
    /// Reads the stable name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Whether it is written into the database; all are streamed.
    pub fn is_stored(self) -> bool {
        self.severity() > Severity::Info
    }
}

macro_rules! rules {
    ($($rule:ident = $name:literal, [$($kind:ident),*], $threshold:literal in $window:expr, once $quiet:expr,
        $severity:ident, $mailed:literal, $says:literal;)*) => {
        /// What people are told of.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum AlertRule { $(#[doc = $says] $rule,)* }

        impl AlertRule {
            /// All rules, in the order of the catalogue.
            pub const ALL: &'static [Self] = &[$(Self::$rule,)*];

            /// The stable name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$rule => $name,)* }
            }

            /// Which events are counted together.
            pub const fn kinds(self) -> &'static [SecurityEventKind] {
                match self { $(Self::$rule => &[$(SecurityEventKind::$kind),*],)* }
            }

            /// How many of them within how many seconds make an alert.
            pub const fn threshold(self) -> (u32, i64) {
                match self { $(Self::$rule => ($threshold, $window),)* }
            }

            /// Within so many seconds the same is said once.
            pub const fn quiet_secs(self) -> i64 {
                match self { $(Self::$rule => $quiet,)* }
            }

            /// How bad it is.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$rule => Severity::$severity,)* }
            }

            /// Whether administrators get a mail of it; of the rest they have one already.
            pub const fn is_mailed(self) -> bool {
                match self { $(Self::$rule => $mailed,)* }
            }

            /// What it says, in a sentence.
            pub const fn says(self) -> &'static str {
                match self { $(Self::$rule => $says,)* }
            }
        }
    };
}

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

rules! {
    FailedLogins = "failed_logins", [LoginFailed, FactorFailed], 20 in 5 * MINUTE, once 15 * MINUTE, Medium, true,
        "Many logins failed within a few minutes.";
    Lockouts = "lockouts", [LoginLocked], 3 in 15 * MINUTE, once HOUR, High, true,
        "Several logins were stopped by wrong tries.";
    RefreshReuse = "refresh_reuse", [RefreshReused], 1 in MINUTE, once 15 * MINUTE, High, true,
        "A refresh token was used twice, as a thief would.";
    RefusedCredentials = "refused_credentials", [TokenRefused, ApiKeyRefused, ProofRefused], 200 in 5 * MINUTE,
        once HOUR, Medium, true, "Many tokens, keys or signatures were refused within a few minutes.";
    DetectionBurst = "detection_burst", [AttackRecognised], 10 in 5 * MINUTE, once 15 * MINUTE, High, true,
        "Many requests looked like attacks within a few minutes.";
    DeniedBurst = "denied_burst", [AccessDenied], 30 in 5 * MINUTE, once 15 * MINUTE, Medium, true,
        "People who are known were refused many times within a few minutes.";
    PrivilegeChange = "privilege_change", [OperatorAdded, RoleGiven, FactorsReset], 1 in MINUTE, once MINUTE, High,
        true, "Somebody was given power over the bank.";
    PolicyChange = "policy_change", [PolicyChanged], 1 in MINUTE, once MINUTE, High, true,
        "A policy came in force, or out of it.";
    FraudRules = "fraud_rules", [FraudRulesChanged], 1 in MINUTE, once MINUTE, High, true,
        "Other rules about fraud came in force.";
    BreakGlass = "break_glass", [OperatorForced], 1 in MINUTE, once MINUTE, Critical, false,
        "An operator was made without the approval of another.";
    IncidentAction = "incident_action", [IncidentActed], 1 in MINUTE, once MINUTE, High, true,
        "Somebody did something against an incident: stopped money, ended sessions, blocked a network.";
    MassReading = "mass_reading", [ReadsOutOfPattern], 1 in MINUTE, once 15 * MINUTE, High, true,
        "An operator read far more than the work asks for.";
    ChainBreak = "chain_break", [LogUnproven, BooksUnproven], 1 in MINUTE, once 15 * MINUTE, Critical, true,
        "The books or the audit log do not prove what they should.";
    LimiterAway = "limiter_away", [LimiterDegraded], 1 in MINUTE, once 15 * MINUTE, High, true,
        "Nodes do not share their counts of requests.";
    ExportFull = "export_full", [ExportLost], 1 in MINUTE, once 15 * MINUTE, High, true,
        "Security events do not reach their collector, and new ones are not kept for it.";
    CertificateOverdue = "certificate_overdue", [CertificateNotRenewed], 3 in DAY, once DAY, High, true,
        "The certificate of a node cannot be renewed; when it ends nobody can connect.";
    CertificateEnds = "certificate_ends", [CertificateEnding], 1 in MINUTE, once DAY, Critical, true,
        "The certificate of a node ends within six days; then nobody can connect.";
    FailingRequests = "failing_requests", [RequestFailed], 20 in 5 * MINUTE, once 15 * MINUTE, High, true,
        "Many requests were answered with errors of ours within a few minutes.";
}

impl AlertRule {
    /// Reads the stable name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|rule| rule.name() == name)
    }
}

/// The catalogue for people, in Markdown.
pub fn reference() -> String {
    let mut text = String::from(
        "<!-- Written by `cargo xtask gen` from `crates/app/src/security/catalogue.rs`. Do not edit. -->\n\n\
         # Security events and alerts\n\n\
         What is worth knowing to whoever defends the bank. Every event is a line of the log with the target `security` as it\n\
         happens and stands in the feed (`GET /api/v1/admin/security/events`); from `low` on it is counted in the database besides\n\
         (`GET /api/v1/admin/security-events`). What a line holds and where alerts go is told in [edge.md](edge.md).\n\n\
         ## Events\n\n| event | class | severity | what happened |\n|---|---|---|---|\n",
    );
    for kind in SecurityEventKind::ALL {
        let (class, severity) = (kind.class().name(), kind.severity().name());
        let _ = writeln!(
            text,
            "| `{}` | {class} | {severity} | {} |",
            kind.name(),
            kind.means()
        );
    }
    text.push_str(
        "\n## Alerts\n\n| alert | severity | events | said once in | what it says |\n|---|---|---|---|---|\n",
    );
    for rule in AlertRule::ALL {
        let names: Vec<String> = rule
            .kinds()
            .iter()
            .map(|kind| format!("`{}`", kind.name()))
            .collect();
        let (number, window) = rule.threshold();
        let when = match number {
            1 => String::new(),
            _ => format!("{number} within {}: ", span(window)),
        };
        let _ = writeln!(
            text,
            "| `{}` | {} | {when}{} | {} | {} |",
            rule.name(),
            rule.severity().name(),
            names.join(", "),
            span(rule.quiet_secs()),
            rule.says()
        );
    }
    text
}

fn span(seconds: i64) -> String {
    match seconds {
        DAY => "a day".to_owned(),
        HOUR => "an hour".to_owned(),
        MINUTE => "a minute".to_owned(),
        _ => format!("{} minutes", seconds / MINUTE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_read_back() {
        let mut names: Vec<&str> = SecurityEventKind::ALL.iter().map(|kind| kind.name()).collect();
        names.extend(AlertRule::ALL.iter().map(|rule| rule.name()));
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        assert!(
            SecurityEventKind::ALL
                .iter()
                .all(|kind| SecurityEventKind::parse(kind.name()) == Some(*kind))
        );
        assert!(
            AlertRule::ALL
                .iter()
                .all(|rule| AlertRule::parse(rule.name()) == Some(*rule))
        );
    }

    #[test]
    fn every_event_that_somebody_should_act_on_has_an_alert() {
        for kind in SecurityEventKind::ALL
            .iter()
            .filter(|kind| kind.severity() >= Severity::High)
        {
            let told = AlertRule::ALL.iter().any(|rule| rule.kinds().contains(kind));
            assert!(told, "nobody is told of {}", kind.name());
        }
    }

    #[test]
    fn a_rule_can_be_met_and_is_quiet_at_least_as_long_as_it_counts() {
        for rule in AlertRule::ALL {
            let (number, window) = rule.threshold();
            assert!(
                number >= 1 && window > 0 && rule.quiet_secs() >= window,
                "{}",
                rule.name()
            );
        }
    }
}
