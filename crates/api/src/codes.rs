//! The table of stable error codes. The error reference, the problem documents and the typed client all
//! read it; a code that is not here does not exist.

/// What sort of refusal a code is. `web` holds the one translation into status codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request itself is wrong: fix it.
    Invalid,
    /// Nobody, or nobody any more, is logged in.
    Unauthenticated,
    /// Logged in, but this needs a fresh factor.
    StepUp,
    /// A puzzle has to be solved first.
    Puzzle,
    /// Logged in and not allowed.
    Forbidden,
    /// Not there, or not yours: the two look the same.
    NotFound,
    /// The resource exists and does not know this method.
    MethodNotAllowed,
    /// The state of the resource is in the way.
    Conflict,
    /// The body is larger than this route takes.
    TooLarge,
    /// The address of the request is too long.
    TargetTooLong,
    /// The request is not for this server.
    Misdirected,
    /// The body is not in a form that this route reads.
    UnsupportedMedia,
    /// A well-formed request that the bank's rules decide against.
    Rejected,
    /// Too many requests.
    Throttled,
    /// Not now.
    Unavailable,
    /// Our fault.
    Internal,
}

/// One stable error code.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// The name on the wire.
    pub name: &'static str,
    /// What sort of refusal it is.
    pub kind: Kind,
    /// The title of its problem documents.
    pub title: &'static str,
    /// What the client should do, for the error reference.
    pub action: &'static str,
}

impl Code {
    /// The `type` member of its problem documents.
    pub fn urn(&self) -> String {
        format!("urn:strongroom:error:{}", self.name)
    }
}

/// The code of that name, or `None` where the table has no such code.
pub fn find(name: &str) -> Option<&'static Code> {
    ALL.iter().copied().find(|code| code.name == name)
}

macro_rules! codes {
    ($($ident:ident = $name:literal, $kind:ident, $title:literal, $action:literal;)*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $title, ".")]
            pub static $ident: Code =
                Code { name: $name, kind: Kind::$kind, title: $title, action: $action };
        )*
        /// Every code, in the order of the error reference.
        pub static ALL: &[&Code] = &[$(&$ident),*];
    };
}

codes! {
    VALIDATION_FAILED = "validation_failed", Invalid, "The request is not valid",
        "Correct the fields that `errors` names.";
    IDEMPOTENCY_KEY_MISSING = "idempotency_key_missing", Invalid, "An idempotency key is needed",
        "Send `Idempotency-Key` with 1 to 255 printable characters, new for each intent.";

    UNAUTHENTICATED = "unauthenticated", Unauthenticated, "Authentication is needed",
        "Log in and send the access token.";
    INVALID_CREDENTIALS = "invalid_credentials", Unauthenticated, "The credentials are not valid",
        "Ask for the credentials again; nothing says which part was wrong.";
    EXTERNAL_LOGIN_REFUSED = "external_login_refused", Unauthenticated, "The login elsewhere does not count",
        "Begin again at `/api/v1/auth/oidc/{provider}/start`; nothing says what was wrong.";
    TOKEN_EXPIRED = "token_expired", Unauthenticated, "The token has expired",
        "Refresh the token set, else log in.";
    TOKEN_INVALID = "token_invalid", Unauthenticated, "The token is not valid",
        "Refresh the token set, else log in; a session that ended does not come back.";
    SIGNATURE_REQUIRED = "signature_required", Unauthenticated, "The request must be signed",
        "Sign it (RFC 9421) with the key's secret or key pair, and name the key by its id.";
    SIGNATURE_INVALID = "signature_invalid", Unauthenticated, "The signature is not valid",
        "Compare what you sign with the documentation; nothing says more about the key.";
    SIGNATURE_EXPIRED = "signature_expired", Unauthenticated, "The signature is too old",
        "Set the clock and sign the request when you send it.";
    SIGNATURE_REPLAYED = "signature_replayed", Unauthenticated, "The signed request came before",
        "Sign it anew, with a nonce of its own.";
    INVALID_DPOP_PROOF = "invalid_dpop_proof", Unauthenticated, "The proof of possession does not count",
        "Make a new proof (RFC 9449) with the token's key for this method and address, and send it in `DPoP`.";
    USE_DPOP_NONCE = "use_dpop_nonce", Unauthenticated, "The proof needs a nonce of this server",
        "Make the proof anew with the nonce of `DPoP-Nonce`; each answer to a proof has the next one.";
    STEP_UP_REQUIRED = "step_up_required", StepUp, "A fresh factor is needed",
        "Prove a factor for `challenge` at `/api/v1/auth/step-up`, then repeat the same request.";

    PUZZLE_REQUIRED = "puzzle_required", Puzzle, "A puzzle has to be solved first",
        "Solve `challenge` (see docs/integrators/puzzle.md) and repeat the login with `puzzle`, or log in with a passkey or \
         on a device that is known.";

    FORBIDDEN = "forbidden", Forbidden, "Not allowed",
        "Ask an administrator for the right.";
    ATTACK_SUSPECTED = "attack_suspected", Forbidden, "It looks like an attack",
        "Write it differently, or tell the bank the number in `incident_id`.";
    FACTOR_TOO_NEW = "factor_too_new", Forbidden, "The factor is too new for this",
        "Use an older factor, or wait until this one is a day old.";
    CHECKER_TOO_NEW = "checker_too_new", Forbidden, "Power given lately decides nothing yet",
        "Let somebody else decide, or wait until a day has passed.";
    REASON_REQUIRED = "reason_required", Forbidden, "A reason is needed",
        "Send `X-Access-Reason` with why this has to be read, 1 to 200 characters; it is kept.";
    MAKER_IS_CHECKER = "maker_is_checker", Forbidden, "Maker and checker must be two people",
        "Let somebody else decide.";

    NOT_FOUND = "not_found", NotFound, "There is nothing here",
        "Check the address and the id; what belongs to somebody else looks the same.";
    ACCOUNT_NOT_FOUND = "account_not_found", NotFound, "There is no such account",
        "Check the id; an account of somebody else looks the same.";
    HOLD_NOT_FOUND = "hold_not_found", NotFound, "There is no such hold",
        "Check the id; a hold of others looks the same.";
    PAYMENT_NOT_FOUND = "payment_not_found", NotFound, "There is no such payment",
        "Check the id; a payment of others looks the same.";
    BENEFICIARY_NOT_FOUND = "beneficiary_not_found", NotFound, "There is no such beneficiary",
        "Check the id; a beneficiary of others looks the same.";
    SUSPENSE_ITEM_NOT_FOUND = "suspense_item_not_found", NotFound, "Nothing lies in suspense here",
        "Check the id; `GET /api/v1/admin/suspense` lists what does.";
    REVIEW_NOT_FOUND = "review_not_found", NotFound, "Nothing waits for a look here",
        "Check the id; a transfer of others, and one that did not wait, look the same.";
    METHOD_NOT_ALLOWED = "method_not_allowed", MethodNotAllowed, "This method is not known here",
        "Use one of the methods in `Allow`.";

    ACCOUNT_NOT_EMPTY = "account_not_empty", Conflict, "The account is not at zero",
        "Move the money away, wait for holds, then close it.";
    REVIEW_CLOSED = "review_closed", Conflict, "It is decided, or its time is over",
        "Read the transfer: its state tells what became of it.";
    EMAIL_TAKEN = "email_taken", Conflict, "Somebody has this address",
        "Use another address.";
    NO_SECOND_FACTOR = "no_second_factor", Conflict, "There is no second factor",
        "Bind one first.";
    PASSKEYS_FULL = "passkeys_full", Conflict, "There are as many passkeys as can be",
        "Take one away first.";
    LINK_REQUIRED = "link_required", Conflict, "There is a login with this address",
        "Log in to it and add the issuer with `POST /api/v1/me/external-logins`.";
    EXTERNAL_LOGIN_TAKEN = "external_login_taken", Conflict, "This identity is a way into another login",
        "Log in with it, or take it away there first.";
    EXTERNAL_LOGINS_FULL = "external_logins_full", Conflict, "There are as many issuers as can be",
        "Take one away first.";
    LAST_CREDENTIAL = "last_credential", Conflict, "There would be no way in any more",
        "Set a password or bind a passkey first.";
    NOT_FROZEN_BY_YOU = "not_frozen_by_you", Conflict, "There is no freeze of yours",
        "A freeze is lifted by the side that set it.";
    IDEMPOTENCY_IN_PROGRESS = "idempotency_in_progress", Conflict, "The first request still runs",
        "Wait a moment and repeat with the same key.";
    DUPLICATE_SUSPECTED = "duplicate_suspected", Conflict, "This looks like a payment made before",
        "Ask the customer; repeat with `X-Confirm-Duplicate: <confirmation>` if it is meant.";
    API_KEY_REPLACED = "api_key_replaced", Conflict, "Another key took the place of this one",
        "Use the new key, or replace that one.";
    TOO_MANY_API_KEYS = "too_many_api_keys", Conflict, "There are as many keys as there can be",
        "Take away a key that you do not need.";
    HOLD_NOT_OPEN = "hold_not_open", Conflict, "The hold is no longer open",
        "Read the hold.";
    ALREADY_REVERSED = "already_reversed", Conflict, "It was reversed before",
        "Read the transfer.";
    ACCOUNTS_OPEN = "accounts_open", Conflict, "There are accounts that are not closed",
        "Move the money away and close each account first.";
    PAYMENTS_WAITING = "payments_waiting", Conflict, "There are payments on their way",
        "Cancel them, or wait until they are settled or back.";
    PAYMENT_CLOSED = "payment_closed", Conflict, "Nothing of the payment is left to give back",
        "Read the payment.";
    PAYMENT_LEFT = "payment_left", Conflict, "The payment has left the bank, or is over",
        "Read the payment.";
    ENTRY_KNOWN = "entry_known", Conflict, "The entry of a statement was read before",
        "Nothing; every entry counts once.";
    SUSPENSE_ITEM_CLOSED = "suspense_item_closed", Conflict, "It was taken from suspense before",
        "Read the item.";
    NOTHING_TO_RELEASE = "nothing_to_release", Conflict, "No payment waits to leave",
        "Ask again when there is one.";
    RAIL_NOT_CONFIGURED = "rail_not_configured", Conflict, "The bank has no account at another bank",
        "Set `rail.account` and the folders.";
    BENEFICIARY_EXISTS = "beneficiary_exists", Conflict, "There is a beneficiary with this number",
        "Use the one that is on the list.";
    TOO_MANY_BENEFICIARIES = "too_many_beneficiaries", Conflict, "There are as many beneficiaries as there can be",
        "Take one off the list first: it holds 200.";
    TOO_MANY_LIMITS = "too_many_limits", Conflict, "As many accounts have limits of their own as may",
        "Take the limits of another account away first: 32 of a currency have some.";
    MERCHANT_EXISTS = "merchant_exists", Conflict, "There is a merchant with this account",
        "Use another account of the customer's.";
    USER_STATE = "user_state", Conflict, "The login is in another state",
        "Read the user; only some changes fit each state.";
    APPROVAL_STALE = "approval_stale", Conflict, "What the request is about changed meanwhile",
        "Reject it and let it be asked for anew.";
    SECOND_PERSON_NEEDED = "second_person_needed", Conflict, "It takes a second person",
        "Send the same request again: it is filed for somebody else's decision.";
    APPROVAL_CLOSED = "approval_closed", Conflict, "The approval is decided or expired",
        "Read the approval.";
    LAST_ADMINISTRATOR = "last_administrator", Conflict, "Nobody else administrates for good",
        "Give the role to another operator before.";
    NOT_AN_OPERATOR = "not_an_operator", Conflict, "The user works not for the bank",
        "Make an operator; customers are given no roles of the bank.";
    POLICY_NAME_TAKEN = "policy_name_taken", Conflict, "There is a policy of this name",
        "Choose another name, or write a further text of that policy.";
    POLICY_ACTIVE = "policy_active", Conflict, "The policy is in force",
        "Put it out of force before it is deleted.";
    KEY_NOT_ROTATABLE = "key_not_rotatable", Conflict, "Keys of this purpose are not rotated here",
        "Read why in the detail; docs/security/cryptography.md says what to do instead.";
    FRAUD_RULES_MOVED = "fraud_rules_moved", Conflict, "Other rules about fraud came in force meanwhile",
        "Read them and draft the change anew.";
    FRAUD_RULES_UNCHANGED = "fraud_rules_unchanged", Conflict, "The rules about fraud are so already",
        "Read the rules in force.";
    FRAUD_RULES_UNTRIED = "fraud_rules_untried", Conflict, "This draft of the rules about fraud was not tried for long enough",
        "Let it run beside the rules in force, or say with `untried_reason` why it cannot wait.";
    FRAUD_RULES_UNREADABLE = "fraud_rules_unreadable", Conflict, "The rules about fraud cannot be read",
        "Bring an earlier set back, or the program's own (revision 0).";
    POLICY_NOT_ACTIVE = "policy_not_active", Conflict, "The policy is not in force",
        "Read the policy.";

    BODY_TOO_LARGE = "body_too_large", TooLarge, "The body is too large",
        "Send less: 64 KiB, for batches 512 KiB.";
    TARGET_TOO_LONG = "target_too_long", TargetTooLong, "The address of the request is too long",
        "Send what is long in the body; path and query have 8 KiB.";
    MISDIRECTED = "misdirected", Misdirected, "This server does not answer to that name",
        "Use the address that the bank gave you.";
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type", UnsupportedMedia, "The body is in an unknown form",
        "Send JSON with `Content-Type: application/json` and no content encoding.";

    POLICY_INVALID = "policy_invalid", Rejected, "The policies do not fit together",
        "Validate the text; the answer tells why.";
    POLICY_TESTS_FAILED = "policy_tests_failed", Rejected, "A test case does not come out as written",
        "Correct the policy or its test case.";
    POLICY_BREAKS_GUARDRAIL = "policy_breaks_guardrail", Rejected, "A guardrail would not hold",
        "Narrow what the policy permits.";
    POLICY_LOCKS_OUT = "policy_locks_out", Rejected, "The policies could not be taken back",
        "Leave administrators the right to administer policies.";
    TOO_MANY_POLICIES = "too_many_policies", Rejected, "There are as many policies as there may be",
        "Delete what is not needed any more.";
    INSUFFICIENT_FUNDS = "insufficient_funds", Rejected, "The available balance does not suffice",
        "Tell the customer.";
    TRANSFER_DECLINED = "transfer_declined", Rejected, "The bank does not do this",
        "Do not try again; whoever meant it talks to the bank. Nothing says more.";
    EXCEEDS_HOLD = "exceeds_hold", Rejected, "The hold reserves less",
        "Capture at most what remains of the hold.";
    EXCEEDS_PAYMENT = "exceeds_payment", Rejected, "Less is left of the payment",
        "Give back at most what remains of the payment.";
    NOT_REVERSIBLE = "not_reversible", Rejected, "This is not reversed",
        "Refunds and reversals stand; book what is owed as a movement of its own.";
    BATCH_REFUSED = "batch_refused", Rejected, "Another item of the batch was refused",
        "Correct the item that has another code; nothing of the batch was done.";
    TOO_MANY_HOLDS = "too_many_holds", Rejected, "The account has as many holds as it may have",
        "Capture or void some first: an account has at most 1,000.";
    LIMIT_EXCEEDED = "limit_exceeded", Rejected, "A limit would be exceeded",
        "Tell the customer; `GET /api/v1/limits` shows the limits.";
    BANK_LIMIT_EXCEEDED = "bank_limit_exceeded", Rejected, "The bank moves no more of this currency today",
        "Send it again tomorrow, with a new key.";
    ACCOUNT_FROZEN = "account_frozen", Rejected, "The account is frozen",
        "Tell the customer.";
    ACCOUNT_CLOSED = "account_closed", Rejected, "The account is closed",
        "Use another account.";
    SAME_ACCOUNT = "same_account", Rejected, "Both sides are the same account",
        "Choose two accounts.";
    CURRENCY_MISMATCH = "currency_mismatch", Rejected, "The currencies differ",
        "Use accounts and an amount of one currency.";
    BALANCE_OVERFLOW = "balance_overflow", Rejected, "The account cannot hold that much",
        "Use another account.";
    BENEFICIARY_TOO_NEW = "beneficiary_too_new", Rejected, "The beneficiary is too new",
        "Wait; the beneficiary's `new_until` says how long little is paid.";
    PAYEE_UNAVAILABLE = "payee_unavailable", Rejected, "The payee cannot be paid",
        "Check the account with the payee; nothing says more about it.";
    PAYEE_NOT_ALLOWED = "payee_not_allowed", Rejected, "The key may not pay this account",
        "Use a key whose `caveats.allowed_beneficiaries` names the account.";
    ADDRESS_UNVERIFIED = "address_unverified", Rejected, "The issuer does not vouch for an address",
        "Verify the address there, or register here.";
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused", Rejected, "The key was used for something else",
        "Take a new key for a new intent; `errors` names the fields that differ.";

    ALREADY_IN_FORCE = "already_in_force", Conflict, "It is in force already",
        "List `/api/v1/admin/incident-actions`.";

    RATE_LIMITED = "rate_limited", Throttled, "Too many requests",
        "Wait as long as `Retry-After` says.";

    READ_ONLY = "read_only", Unavailable, "The bank moves no money for the moment",
        "Repeat later, with the same idempotency key; reading goes on.";
    OVERLOADED = "overloaded", Unavailable, "Too much at once",
        "Repeat after `Retry-After`, with the same idempotency key.";
    TIMED_OUT = "timed_out", Unavailable, "It took too long",
        "Repeat with the same idempotency key: the outcome is not known.";
    COMMIT_UNKNOWN = "commit_unknown", Unavailable, "The outcome is not known",
        "Repeat with the same idempotency key: it happens once at most.";
    RECEIPT_PENDING = "receipt_pending", Unavailable, "The receipt is not sealed yet",
        "Ask again after `Retry-After`.";
    UNAVAILABLE = "unavailable", Unavailable, "Not available at the moment",
        "Repeat after `Retry-After`, with the same idempotency key.";

    INTERNAL = "internal", Internal, "Something went wrong here",
        "Report it with `request_id`; repeating needs the same idempotency key.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_in_snake_case() {
        let names: BTreeSet<_> = ALL.iter().map(|code| code.name).collect();
        assert_eq!(names.len(), ALL.len());
        for name in names {
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{name}"
            );
        }
    }

    #[test]
    fn every_code_of_the_contract_is_in_the_table() {
        let contract = "validation_failed invalid_credentials token_expired step_up_required forbidden \
             rate_limited insufficient_funds limit_exceeded account_frozen account_closed same_account \
             currency_mismatch idempotency_key_missing idempotency_key_reused idempotency_in_progress \
             duplicate_suspected payee_unavailable receipt_pending hold_not_open already_reversed \
             approval_closed maker_is_checker overloaded commit_unknown";
        for name in contract.split_whitespace() {
            assert_eq!(find(name).map(|code| code.name), Some(name));
        }
        assert_eq!(find("no_such_code"), None);
    }
}
