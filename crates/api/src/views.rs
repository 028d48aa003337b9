//! Who sees which field, and who may set which: the one table.
//!
//! Every field of every answer and of every body belongs to an [`Audience`]. The server writes an answer through the
//! audience of whoever asked and leaves out what is not for them, whatever the policies allow besides; a body with a
//! field that the caller's role does not set is refused. A field that is not in the table is shown to nobody, and a
//! test fails on it.

use std::{collections::HashMap, sync::LazyLock};

/// A set of those who read and write: the person oneself, and the roles of the bank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audience(u8);

impl Audience {
    /// Nobody.
    pub const NOBODY: Self = Self(0);
    /// Whoever asks about own things, and whoever has not logged in yet: the answer is about them.
    pub const SELF: Self = Self(1);
    /// Support.
    pub const SUPPORT: Self = Self(1 << 1);
    /// Tellers.
    pub const TELLER: Self = Self(1 << 2);
    /// Compliance.
    pub const COMPLIANCE: Self = Self(1 << 3);
    /// Auditors.
    pub const AUDITOR: Self = Self(1 << 4);
    /// Administrators.
    pub const ADMIN: Self = Self(1 << 5);

    /// Those of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether somebody is in both.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The audience of a role of the bank, by its stable name; [`Self::SELF`] for customers, nobody for what is no
    /// role.
    pub fn of_role(name: &str) -> Self {
        match name {
            "customer" => Self::SELF,
            "support" => Self::SUPPORT,
            "teller" => Self::TELLER,
            "compliance" => Self::COMPLIANCE,
            "auditor" => Self::AUDITOR,
            "admin" => Self::ADMIN,
            _ => Self::NOBODY,
        }
    }
}

/// Whoever works for the bank.
const OPERATOR: Audience = Audience(0b11_1110);
/// Whoever the policies let ask.
const ALL: Audience = Audience::SELF.and(OPERATOR);
/// Whoever looks after the bank's own books, rules and log.
const INSPECT: Audience = Audience::AUDITOR.and(Audience::ADMIN).and(Audience::COMPLIANCE);
/// Whoever looks after payments to other banks, or into them.
const RAIL: Audience = INSPECT.and(Audience::TELLER);
/// Whoever sets the rules about fraud.
const RULES: Audience = Audience::ADMIN.and(Audience::COMPLIANCE);
/// Of what nobody could place, who sent it and what for.
const PLACE: Audience = Audience::TELLER.and(Audience::COMPLIANCE).and(Audience::ADMIN);
/// Whoever looks after the defence.
const SECURITY: Audience = Audience::AUDITOR.and(Audience::ADMIN);
const ADMIN: Audience = Audience::ADMIN;
const TELLER: Audience = Audience::TELLER;
/// Whoever asks for what takes two people, and decides about it.
const CHECKER: Audience = Audience::ADMIN.and(Audience::TELLER);
/// Whoever sees what waits for a second person: tellers, what is about cash.
const APPROVAL: Audience = INSPECT.and(Audience::TELLER);
/// Names and addresses: not for those who audit the bank and need no person for it.
const PERSON: Audience = Audience::SELF
    .and(Audience::SUPPORT)
    .and(Audience::TELLER)
    .and(Audience::COMPLIANCE)
    .and(Audience::ADMIN);
/// What a customer calls an account.
const LABEL: Audience = Audience::SELF
    .and(Audience::SUPPORT)
    .and(Audience::TELLER)
    .and(Audience::COMPLIANCE);
/// What a customer wrote to a payee.
const MEMO: Audience = Audience::SELF.and(Audience::SUPPORT).and(Audience::COMPLIANCE);
/// What a teller wrote on a slip.
const SLIP: Audience = MEMO.and(Audience::TELLER);

/// The fields of one schema, in the order in which they are written.
#[derive(Debug)]
pub struct Schema {
    /// The name, as in the OpenAPI document; one for all pages.
    pub name: &'static str,
    /// The fields with their audiences.
    pub fields: &'static [(&'static str, Audience)],
}

impl Schema {
    /// The audience of a field; `near` is where it should stand. Nobody's, where it is not in the table.
    pub fn audience(&self, field: &str, near: usize) -> Audience {
        let found = match self.fields.get(near) {
            Some((name, audience)) if *name == field => Some(*audience),
            _ => self
                .fields
                .iter()
                .find(|(name, _)| *name == field)
                .map(|(_, audience)| *audience),
        };
        found.unwrap_or(Audience::NOBODY)
    }

    /// Whether a field is this writer's to set; what is no field at all is for others to refuse.
    pub fn is_set_by(&self, field: &str, writer: Audience) -> bool {
        let mut fields = self.fields.iter();
        fields
            .find(|(name, _)| *name == field)
            .is_none_or(|(_, audience)| audience.meets(writer))
    }
}

macro_rules! audience {
    ($all:ident) => {
        $all
    };
    ($all:ident $own:ident) => {
        $own
    };
}

macro_rules! schemas {
    ($($name:ident ($all:ident) { $($field:ident $(: $own:ident)?),* })*) => {
        /// Every schema with fields, by name.
        pub static SCHEMAS: &[Schema] = &[$(
            Schema {
                name: stringify!($name),
                fields: &[$((stringify!($field), audience!($all $($own)?))),*],
            },
        )*];
    };
}

static BY_NAME: LazyLock<HashMap<&'static str, &'static Schema>> =
    LazyLock::new(|| SCHEMAS.iter().map(|schema| (schema.name, schema)).collect());

/// The schema of that name.
pub fn schema(name: &str) -> Option<&'static Schema> {
    BY_NAME.get(name).copied()
}

// In parentheses who sees all fields that do not say otherwise.
schemas! {
    Account (ALL) {
        id, number, kind, currency, name: LABEL, state, balance, overdraft, customer_id: OPERATOR,
        opened_at
    }
    AccountLimits (ALL) { currency, per_transfer, daily, monthly, spent_today, spent_this_month, pending }
    Activation (ADMIN) { revision }
    AddBeneficiary (ALL) { name, account_number, currency }
    AddExternalLogin (ALL) { provider }
    Alert (SECURITY) {
        id, rule, severity, says, count, first_at, last_at, request_id, told_at, acknowledged_at,
        acknowledged_by
    }
    AllowLimits (OPERATOR) { per_transfer, daily, monthly, reason }
    ApiKey (ALL) {
        id, name, scopes, created_at, expires_at, last_used_at, allowed_ips, caveats, public_key,
        signature_schemes, certificate_thumbprint, replaced_by
    }
    ApiKeyMade (ALL) { id, key, signing_secret }
    Applicable (INSPECT) { name, effect }
    Approval (APPROVAL) {
        id, action, state, maker_id, rule, request, digest, created_at, expires_at, checker_id,
        decided_at, reason
    }
    ApprovalRequested (ALL) { approval_id }
    ApprovalRule (APPROVAL) { makers, checkers, over }
    Approved (ADMIN) { operator, api_key, transfer_id: CHECKER }
    Asker (ALL) { kind, roles, scopes }
    AskForPasskey (ALL) { mfa_token, challenge }
    AuditExportEnd (INSPECT) { records, next_cursor }
    AuditExportHead (INSPECT) { format, checkpoint, size, consistency, filtered, exported_at }
    AuditRecord (INSPECT) {
        id, leaf, at, request_id, principal_kind, principal, session_id, origin, action,
        object_kind, object, outcome, policy, details
    }
    Balance (ALL) { posted, held, available }
    BalanceAt (ALL) { account_id, currency, at, posted, held, available }
    Batch (ALL) { results }
    BatchResult (ALL) { status, transfer, problem }
    Beneficiary (ALL) { id, name, account_number, currency, bank, new_until, available, created_at }
    BindPasskey (ALL) { credential, name }
    Block (SECURITY) { address, seconds_left, score, signals, count }
    Blocks (SECURITY) { enforced, data }
    BrokenRule (ALL) { code, detail }
    Budget (ALL) { amount, window_secs }
    Caps (ALL) { per_transfer, daily, monthly }
    CaptureHold (ALL) { amount, final }
    CaptureHolds (ALL) { mode, captures }
    CaptureOf (ALL) { hold_id, amount, final }
    Case (ALL) { name, question, allowed }
    CaseOutcome (INSPECT) { name, passed }
    CashMovement (ALL) { id, state, account_id, amount, reference: SLIP, value_date, created_at }
    Caveats (ALL) { max_amount, allowed_beneficiaries, budget }
    ChangedDecision (INSPECT) { decision_id, before, after }
    ChangeMe (ALL) { full_name }
    ChangePassword (ALL) { current_password, change_token, new_password }
    CheckName (ALL) { name, account_number }
    CheckResult (ALL) { name, ok }
    Circumstances (ALL) {
        assurance, reason, origin, at, department, resource_department, address, amount, currency,
        account_state
    }
    ConfirmTotp (ALL) { code }
    ConsistencyProof (INSPECT) { from_size, from_root, to_size, to_root, proof, checkpoint }
    CreateApiKey (ALL) {
        name, scopes, expires_at, allowed_ips, caveats, public_key, signature_schemes, certificate_thumbprint
    }
    CreateBatch (ALL) { mode, transfers }
    CreateMerchant (OPERATOR) { account_id, name }
    CreatePayment (ALL) { from_account_id, merchant_id, beneficiary_id, amount, reference }
    CreateTransfer (ALL) { from_account_id, to_account_id, to_account_number, amount, description }
    DecidedAgain (INSPECT) { recorded, decision, same, complete, reasons, applicable, facts }
    Decision (CHECKER) { reason, digest }
    Departure (ALL) { authorization_url }
    Device (ALL) { id, name, named, current, created_at, last_login_at }
    Devices (ALL) { data }
    Difference (INSPECT) { examined, changed }
    EmailAsked (ALL) { status }
    EmailProved (ALL) { status, effective_at }
    EmailToken (ALL) { token }
    EventFeed (SECURITY) { data, next_cursor, caught_up, missed }
    Exception (ALL) { per_transfer, daily, monthly, until }
    ExceptionRequest (CHECKER) { per_transfer, daily, monthly, until, reason }
    Export (ALL) { exported_at, you, sessions, passkeys, external_logins, beneficiaries, api_keys, notice_preferences,
        notices, accounts }
    ExportedAccount (ALL) { account, transactions }
    ExportedRecord (INSPECT) { leaf, record, bytes, mac_key, mac, proof }
    ExternalLogin (ALL) { id, provider, email, created_at, last_used_at }
    ExternalLogins (ALL) { data }
    Factors (ALL) { totp, passkeys }
    FeedEvent (SECURITY) {
        id, kind, class, severity, at, outcome, reason, request_id, principal, session_id, incident_id, address,
        user_agent, subject, object, policy, token
    }
    FieldError (ALL) { pointer, code, detail }
    Finding (INSPECT) { table, row, code, detail }
    ForgotPassword (ALL) { email }
    FraudParameter (INSPECT) { name, is, value, unit, min, max, default }
    FraudRule (INSPECT) { rule, version, mode, verdict, score, relied_on, conditions, parameters }
    FraudRuleChange (INSPECT) { rule, field, before, after, weaker }
    FraudRules (INSPECT) { bank_mode, rules }
    FraudRulesDifference (INSPECT) { base_revision, digest, changes }
    FraudRulesDraft (INSPECT) { rules }
    FraudRulesProposal (RULES) { base_revision, reason, rules, untried_reason }
    FraudRulesRevision (INSPECT) { rules, changes }
    FraudRulesSummary (INSPECT) {
        revision, digest, maker_id, checker_id, approval_id, restores, reason, in_force_since
    }
    FraudTrial (INSPECT) {
        trial, base_revision, digest, state, maker_id, reason, started_at, ended_at, tried_from, tried, judged,
        differing, kept
    }
    FraudTrialDifference (INSPECT) { transaction_id, at, in_force, draft, in_force_rules, draft_rules }
    FraudTrialReport (INSPECT) { changes, verdicts, rules }
    FraudTrialRule (INSPECT) { rule, in_force, draft }
    FraudTrialVerdict (INSPECT) { in_force, draft, times }
    Freeze (ALL) { scope }
    GeneratedPassword (ALL) { password }
    Grant (INSPECT) { id, role, granted_at, expires_at, department, granted_by }
    Grants (INSPECT) { data }
    Health (ALL) { status, checks }
    HistoryLine (ALL) {
        transaction_id, sequence, kind, amount, balance_after, from_account_id, to_account_id,
        description: MEMO, value_date, booked_at
    }
    Hold (ALL) { id, state, account_id, to_account_id, amount, captured, remaining, created_at, expires_at }
    HoldBatch (ALL) { results }
    HoldBatchResult (ALL) { status, hold, problem }
    Incident (SECURITY) { request_id, route, principal, attack, score, rules, refused }
    IncidentAction (SECURITY) {
        id, action, target, reason, taken_at, taken_by, ends_at, lifted_at, lifted_by
    }
    LedgerCheck (INSPECT) { state, started_at, records, result }
    Limits (ALL) {
        currency, per_transfer, daily, monthly, spent_today, spent_this_month, own, allowed: OPERATOR, pending,
        exception, lowered_until
    }
    LogCheckpoint (INSPECT) { checkpoint, size, keys, cosigned }
    Login (ALL) { email, password, puzzle }
    LoginMfa (ALL) { mfa_token, method, code, credential }
    LoginStep (ALL) { mfa_token, methods, status, rebind_token, change_token, otpauth_uri, qr_svg }
    MeasurePassword (ALL) { password, email, full_name }
    Merchant (ALL) { id, name, currency, account_id, created_at }
    Money (ALL) { amount, currency }
    MoveCash (OPERATOR) { account_id, amount, reference, value_date }
    NameChecked (ALL) { result }
    NameDevice (ALL) { name }
    NewAuditExport (INSPECT) {
        action, object, principal, outcome, refused, from, to, limit, cursor
    }
    NewEmail (ALL) { new_email }
    NewGrant (ADMIN) { role, expires_at, department }
    NewIncidentAction (ADMIN) { action, reason, account_id, api_key_id, network, ends_at }
    NewOperator (ADMIN) { email, full_name, role }
    NewPolicy (ADMIN) { name, text, tests }
    NewRevision (ADMIN) { text, tests }
    NewTechnicalKey (ADMIN) {
        name, role, scopes, expires_at, allowed_ips, caveats, public_key, signature_schemes, certificate_thumbprint
    }
    NextHead (ALL) { checkpoint, consistency }
    Notice (ALL) { id, event, says, amount, subject_id, at, read_at }
    NoticePreferences (ALL) { events }
    NoticeWays (ALL) { event, app, mail }
    Notices (ALL) { data, next_cursor, unread }
    OpenAccount (ALL) { kind, currency, name }
    OpenAccountFor (OPERATOR) { customer_id, kind, currency, name, overdraft: TELLER }
    Page (ALL) { data, next_cursor }
    Passkey (ALL) { id, name, created_at, last_used_at }
    PasskeyLogin (ALL) { credential }
    Passkeys (ALL) { data }
    PasswordClasses (ALL) { lower_case, upper_case, digit, special }
    PasswordStrength (ALL) { score, acceptable, broken, advice, classes }
    Payment (ALL) {
        id, state, from_account_id, merchant_id, beneficiary_id, beneficiary_name: MEMO, transfer_id,
        amount, refunded, remaining, returned_by, reference: MEMO, created_at
    }
    PendingLimits (ALL) { per_transfer, daily, monthly, effective_at }
    Place (ADMIN) { department }
    PlaceHold (ALL) { account_id, to_account_id, to_account_number, amount, expires_at }
    PlaceHolds (ALL) { mode, holds }
    Policy (INSPECT) { revisions }
    PolicySummary (INSPECT) { id, name, state, active_revision, newest_revision, created_at }
    PrintedSecrets (ADMIN) { id, email, password, totp_uri }
    Problem (ALL) {
        type, title, status, detail, code, request_id, errors, challenge, confirmation, resource,
        incident_id
    }
    Question (ALL) { principal, action, resource, context }
    Reason (OPERATOR) { reason }
    RailDifference (RAIL) { kind, message, expected, found }
    RailFile (RAIL) { id, name, approval_id, payments, total, digest, released_at, delivered_at }
    Receipt (ALL) { format, transaction, entries_digest, record, caller, leaf, proof, checkpoint }
    ReceiptFacts (ALL) { id, kind, from_account_id, to_account_id, amount, booked_at, value_date, memo }
    Reconciliation (RAIL) {
        currency, expected, message, closing, clearing, suspense, open_items, under_way, under_way_total,
        differences
    }
    RecordedDecision (INSPECT) {
        id, at, request_id, principal_kind, principal, about, action, decision, reason, policy_version
    }
    RecordProof (INSPECT) { record_id, record, caller, leaf, proof, checkpoint }
    RecoveryCodes (ALL) { recovery_codes }
    Refresh (ALL) { refresh_token }
    Refund (ALL) { id, payment_id, payment_state, amount, refunded, remaining, created_at }
    RefundPayment (ALL) { amount }
    Register (ALL) { email, password, full_name }
    Registered (ALL) { status }
    RenameAccount (ALL) { name }
    ResetPassword (ALL) { token, new_password }
    ResetRequested (ALL) { status }
    ResolveSuspense (OPERATOR) { account_id, reason }
    RestoreFraudRules (RULES) { reason }
    ReversalRequest (OPERATOR) { reason }
    Review (OPERATOR) {
        id, state, verdict, score, rules, rules_revision, customer_id, from_account_id, to_account_id, amount,
        created_at, expires_at, first_released_by, decided_by, decided_at, forgotten_at
    }
    ReviewDecision (OPERATOR) { reason }
    Revision (INSPECT) { number, text, tests, digest, maker_id, created_at }
    RingKey (INSPECT) { kid, purpose, algorithm, state, created_at, active_from, rotatable }
    RingKeys (INSPECT) { data }
    Role (INSPECT) { name, operator, actions }
    Roles (INSPECT) { data }
    RotateApiKey (ALL) { overlap_secs, public_key, certificate_thumbprint }
    RotateKey (OPERATOR) { reason }
    SecurityEvent (SECURITY) { id, kind, count, first_at, last_at, address, subject, incident }
    Session (ALL) {
        id, current, assurance, created_at, last_seen_at, expires_at, address, user_agent,
        device_name, device_id
    }
    SessionClock (ALL) { idle_seconds, left_seconds }
    SetFraudParameter (INSPECT) { name, value }
    SetFraudRule (INSPECT) { rule, mode, verdict, score, parameters }
    SetLimits (ALL) { per_transfer, daily, monthly, currency }
    Simulated (INSPECT) { allowed, reasons, failed, policy_version, applicable, facts }
    Simulation (ALL) { principal, action, resource, context, draft }
    SolvedPuzzle (ALL) { challenge, answer }
    StartFraudTrial (RULES) { base_revision, reason, rules }
    StepUp (ALL) { method, code, credential, challenge }
    SuspenseItem (RAIL) {
        id, state, direction, amount, reason, reference, end_to_end_id, account_number: PLACE, name: PLACE,
        remittance: PLACE, created_at, resolved_by, approval_id, resolved_at
    }
    TechnicalKey (SECURITY) { owner_id, roles }
    Thing (ALL) { owner }
    TokenSet (ALL) { access_token, token_type, expires_in, refresh_token, session_id }
    Totp (ALL) { secret, otpauth_uri, qr_svg }
    Transfer (ALL) {
        id, state, from_account_id, to_account_id, amount, description: MEMO, created_at, dry_run,
        reversed_by, reverses
    }
    TrialBalance (INSPECT) { balanced, lines, totals }
    TrialBalanceLine (INSPECT) { kind, ledger_code, class, currency, accounts, debit, credit }
    TrialBalanceTotal (INSPECT) { currency, debit, credit }
    User (ALL) { id, email: PERSON, full_name: PERSON, state, roles, department, mfa, created_at }
    Validation (INSPECT) { valid, errors, tests }
    Verification (INSPECT) {
        clean, size, root, records, transactions, entries, accounts, unsealed, checkpoints,
        findings_count, findings
    }
    VerifyEmail (ALL) { token, password }
    VoidHolds (ALL) { mode, hold_ids }
    WitnessedHead (ALL) { cosigned }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_stands_once_and_so_does_a_field_of_it() {
        assert_eq!(BY_NAME.len(), SCHEMAS.len());
        for schema in SCHEMAS {
            for (place, (field, audience)) in schema.fields.iter().enumerate() {
                assert_ne!(*audience, Audience::NOBODY, "{}.{field}", schema.name);
                let first = schema.fields.iter().position(|(name, _)| name == field);
                assert_eq!(first, Some(place), "{}.{field}", schema.name);
            }
        }
    }

    #[test]
    fn who_audits_sees_no_person_and_who_administers_no_memo() {
        let sees = |schema_name: &str, field: &str, who: Audience| {
            schema(schema_name).is_some_and(|schema| schema.audience(field, usize::MAX).meets(who))
        };
        for (name, field) in [
            ("User", "email"),
            ("User", "full_name"),
            ("Transfer", "description"),
        ] {
            assert!(
                sees(name, field, Audience::SELF) && !sees(name, field, Audience::AUDITOR),
                "{name}.{field}"
            );
        }
        assert!(sees("User", "email", Audience::ADMIN) && !sees("Transfer", "description", Audience::ADMIN));
        assert!(!sees("Account", "customer_id", Audience::SELF));
        assert!(!sees("Account", "no_such_field", ALL));
    }
}
