//! One row at a time of the tables of people's credentials and of what lies beside transactions, as the owner of the
//! database with triggers and constraints out of the way.

use crate::{
    on_both_engines,
    place::Kind,
    tamper::{Case, case, each_is_found},
};

/// As the cases of authority: every table has an edit, a row slipped in and a row deleted.
const CASES: &[Case] = &[
    case(
        "delete a policy",
        "DELETE FROM policies",
        "policies",
        "row_missing",
    ),
    case(
        "forget what was put in force",
        "DELETE FROM policy_sets",
        "policy_sets",
        "row_missing",
    ),
    case(
        "put another text in force",
        "UPDATE policy_set_members SET number = number + 5",
        "policy_set_members",
        "row_changed",
    ),
    case(
        "put a text out of force",
        "DELETE FROM policy_set_members",
        "policy_set_members",
        "row_missing",
    ),
    case(
        "rewrite rules about fraud",
        "UPDATE fraud_rule_sets SET rules = 'none'",
        "fraud_rule_sets",
        "row_changed",
    ),
    case(
        "say that somebody else agreed to rules about fraud",
        "UPDATE fraud_rule_sets SET checker = {newid}",
        "fraud_rule_sets",
        "row_changed",
    ),
    case(
        "forget rules about fraud",
        "DELETE FROM fraud_rule_sets",
        "fraud_rule_sets",
        "row_missing",
    ),
    case(
        "let a key of the ring count sooner",
        "UPDATE key_rotations SET active_from = 1",
        "key_rotations",
        "row_changed",
    ),
    case(
        "forget a key of the ring",
        "DELETE FROM key_rotations",
        "key_rotations",
        "row_missing",
    ),
    case(
        "let a payee be an account here",
        "UPDATE beneficiaries SET account_id = {account}",
        "beneficiaries",
        "row_changed",
    ),
    case(
        "let a payee have another number",
        "UPDATE beneficiary_details SET sealed = {hash}",
        "beneficiaries",
        "row_changed",
    ),
    case(
        "take whom somebody pays off the list",
        "UPDATE beneficiaries SET removed_at = 1",
        "beneficiaries",
        "row_changed",
    ),
    case(
        "forget whom somebody pays",
        "DELETE FROM beneficiaries",
        "beneficiaries",
        "row_missing",
    ),
    case(
        "close a request before its time",
        "UPDATE approvals SET state = 'expired' WHERE state = 'open'",
        "approvals",
        "row_changed",
    ),
    case(
        "open a request again",
        "UPDATE approvals SET state = 'open' WHERE state = 'approved'",
        "approvals",
        "row_changed",
    ),
    case(
        "let a request live longer",
        "UPDATE approvals SET expires_at = expires_at + 1",
        "approvals",
        "row_changed",
    ),
    case(
        "let a customer have limits that nobody set",
        "INSERT INTO customer_limits (owner, currency, state) SELECT {newid}, currency, state FROM customer_limits WHERE accounts IS NOT NULL",
        "customer_limits",
        "row_changed",
    ),
    case(
        "let an account have other limits",
        "UPDATE customer_limits SET accounts = {hash} WHERE accounts IS NOT NULL",
        "customer_limits",
        "unreadable",
    ),
    case(
        "forget the limits of an account",
        "UPDATE customer_limits SET accounts = NULL",
        "customer_limits",
        "row_missing",
    ),
    case(
        "give the limits of an account to somebody else",
        "INSERT INTO customer_limits (owner, currency, state, accounts) SELECT {newid}, 'USD', \
         {hash}, accounts FROM customer_limits WHERE accounts IS NOT NULL",
        "customer_limits",
        "row_unrecorded",
    ),
    case(
        "let somebody decide at once",
        "UPDATE users SET approves_from = 1 WHERE id IN (SELECT person FROM passkeys)",
        "users",
        "row_changed",
    ),
    case(
        "let somebody log in by another address",
        "UPDATE users SET email_index = {zeros} WHERE email_index IS NOT NULL AND id IN (SELECT \
         person FROM passkeys)",
        "users",
        "row_changed",
    ),
    case(
        "give somebody another password",
        "UPDATE passwords SET hash = 'another' WHERE person IN (SELECT person FROM passkeys)",
        "passwords",
        "row_changed",
    ),
    case(
        "slip a password in",
        "INSERT INTO passwords (person, hash, changed_at) SELECT owner, 'another', 1 FROM api_keys",
        "passwords",
        "row_unrecorded",
    ),
    case(
        "delete a password",
        "DELETE FROM passwords",
        "passwords",
        "row_missing",
    ),
    case(
        "give somebody other codes by time",
        "UPDATE totp_factors SET sealed_secret = {hash}",
        "totp_factors",
        "row_changed",
    ),
    case(
        "slip codes by time in",
        "INSERT INTO totp_factors (id, person, sealed_secret, state, created_at) SELECT {newid}, \
         owner, {hash}, 'active', 1 FROM api_keys",
        "totp_factors",
        "row_unrecorded",
    ),
    case(
        "slip codes by time in beside the printed ones",
        "INSERT INTO totp_factors (id, person, sealed_secret, state, created_at) SELECT {newid}, \
         person, {hash}, 'active', 1 FROM passkeys LIMIT 1",
        "totp_factors",
        "row_changed",
    ),
    case(
        "delete codes by time",
        "DELETE FROM totp_factors",
        "totp_factors",
        "row_missing",
    ),
    case(
        "put another key in a passkey's place",
        "UPDATE passkeys SET sealed = {hash}",
        "passkeys",
        "row_changed",
    ),
    case(
        "slip a passkey in",
        "INSERT INTO passkeys (id, person, credential, sealed, sealed_name, counter, created_at) \
         SELECT {newid}, person, {hash}, sealed, sealed_name, 0, 1 FROM passkeys LIMIT 1",
        "passkeys",
        "row_changed",
    ),
    case(
        "slip a first passkey in",
        "INSERT INTO passkeys (id, person, credential, sealed, sealed_name, counter, created_at) \
         SELECT {newid}, k.owner, {hash}, p.sealed, p.sealed_name, 0, 1 FROM passkeys p, api_keys k \
         LIMIT 1",
        "passkeys",
        "row_unrecorded",
    ),
    case(
        "delete one passkey",
        "DELETE FROM passkeys WHERE id = (SELECT id FROM passkeys ORDER BY id LIMIT 1)",
        "passkeys",
        "row_changed",
    ),
    case(
        "delete all passkeys",
        "DELETE FROM passkeys",
        "passkeys",
        "row_missing",
    ),
    case(
        "use up a recovery code",
        "UPDATE recovery_codes SET used_at = 1 WHERE hash = (SELECT hash FROM recovery_codes ORDER BY hash LIMIT 1)",
        "recovery_codes",
        "row_changed",
    ),
    case(
        "slip a recovery code in",
        "INSERT INTO recovery_codes (person, hash, created_at) SELECT person, {hash}, 1 FROM \
         recovery_codes LIMIT 1",
        "recovery_codes",
        "row_changed",
    ),
    case(
        "slip a first recovery code in",
        "INSERT INTO recovery_codes (person, hash, created_at) SELECT owner, {hash}, 1 FROM api_keys",
        "recovery_codes",
        "row_unrecorded",
    ),
    case(
        "delete recovery codes",
        "DELETE FROM recovery_codes",
        "recovery_codes",
        "row_missing",
    ),
    case(
        "let another issuer vouch",
        "UPDATE external_logins SET subject_index = {zeros}",
        "external_logins",
        "row_changed",
    ),
    case(
        "let an issuer vouch",
        "INSERT INTO external_logins (id, person, provider, subject_index, sealed, created_at) SELECT \
         {newid}, owner, 'issuer', {zeros}, {hash}, 1 FROM api_keys",
        "external_logins",
        "row_unrecorded",
    ),
    case(
        "delete a login by an issuer",
        "DELETE FROM external_logins",
        "external_logins",
        "row_missing",
    ),
    case(
        "pay a merchant elsewhere",
        "UPDATE merchants SET account_id = {newid}",
        "merchants",
        "row_changed",
    ),
    case(
        "slip a merchant in",
        "INSERT INTO merchants (id, account_id, owner, created_at) SELECT {newid}, {newid}, owner, 1 \
         FROM merchants",
        "merchants",
        "row_unrecorded",
    ),
    case(
        "delete a merchant",
        "DELETE FROM merchants",
        "merchants",
        "row_missing",
    ),
    case(
        "say that a hold was given back",
        "UPDATE holds SET state = 2 WHERE state = 1",
        "holds",
        "row_changed",
    ),
    case(
        "say that less was paid out of a hold",
        "UPDATE holds SET captured = captured - 1 WHERE state = 1",
        "holds",
        "row_changed",
    ),
    case(
        "open a hold again",
        "UPDATE holds SET state = 0, closed_at = NULL WHERE state = 2",
        "holds",
        "row_missing",
    ),
    case(
        "open a hold again",
        "UPDATE holds SET state = 0, closed_at = NULL WHERE state = 2",
        "holds",
        "hold_changed",
    ),
    case(
        "end a hold",
        "UPDATE holds SET state = 3, closed_at = expires_at WHERE state = 0",
        "holds",
        "row_unrecorded",
    ),
    case(
        "end a hold",
        "UPDATE holds SET state = 3, closed_at = expires_at WHERE state = 0",
        "holds",
        "hold_missing",
    ),
    case(
        "slip a hold in that has ended",
        "INSERT INTO holds (id, account_id, to_account, amount, currency, captured, state, placed_at, \
         expires_at, closed_at) SELECT {newid}, account_id, to_account, amount, currency, captured, \
         state, placed_at, expires_at, closed_at FROM holds WHERE state = 2",
        "holds",
        "row_unrecorded",
    ),
    case(
        "delete a hold that has ended",
        "DELETE FROM holds WHERE state = 1",
        "holds",
        "row_missing",
    ),
    case(
        "say that more had been paid out of a hold",
        "UPDATE hold_captures SET captured = captured + 1",
        "hold_captures",
        "row_changed",
    ),
    case(
        "slip in what was paid out of a hold",
        "INSERT INTO hold_captures (transaction_id, hold_id, captured, state) SELECT {newid}, \
         hold_id, captured, state FROM hold_captures LIMIT 1",
        "hold_captures",
        "row_unrecorded",
    ),
    case(
        "delete what was paid out of a hold",
        "DELETE FROM hold_captures",
        "hold_captures",
        "row_missing",
    ),
    case(
        "say that more was given back",
        "UPDATE refunds SET amount = amount + 1",
        "refunds",
        "row_changed",
    ),
    case(
        "slip in what was given back",
        "INSERT INTO refunds (transaction_id, payment_id, amount, refunded, at) SELECT {newid}, \
         payment_id, amount, refunded + 1, at FROM refunds LIMIT 1",
        "refunds",
        "row_unrecorded",
    ),
    case(
        "delete what was given back",
        "DELETE FROM refunds",
        "refunds",
        "row_missing",
    ),
    case(
        "say that it was taken back by another approval",
        "UPDATE reversals SET approval_id = {newid}",
        "reversals",
        "row_changed",
    ),
    case(
        "slip in what the bank took back",
        "INSERT INTO reversals (transaction_id, reversal_id, approval_id) VALUES ({newid}, {newid}, \
         {newid})",
        "reversals",
        "row_unrecorded",
    ),
    case(
        "forget what the bank took back",
        "DELETE FROM reversals",
        "reversals",
        "row_missing",
    ),
    case(
        "say that a payment left",
        "UPDATE outgoing_payments SET file_id = {newid} WHERE state = 0",
        "outgoing_payments",
        "row_changed",
    ),
    case(
        "let a payment that came back wait again",
        "UPDATE outgoing_payments SET state = 0, closed_at = NULL WHERE state = 3",
        "outgoing_payments",
        "row_changed",
    ),
    case(
        "let a payment be to somebody else",
        "UPDATE outgoing_payments SET beneficiary_id = {newid}",
        "outgoing_payments",
        "row_changed",
    ),
    case(
        "slip a payment in",
        "INSERT INTO outgoing_payments (id, beneficiary_id, payer, account_id, amount, currency, \
         state, debited, paid_at) SELECT {newid}, beneficiary_id, payer, account_id, amount, \
         currency, state, debited, paid_at FROM outgoing_payments WHERE state = 0",
        "outgoing_payments",
        "row_unrecorded",
    ),
    case(
        "delete payments",
        "DELETE FROM outgoing_payments",
        "outgoing_payments",
        "row_missing",
    ),
    case(
        "slip a released file in",
        "INSERT INTO rail_files (id, approval_id, currency, payments, total, digest, sealed, \
         released_at) VALUES ({newid}, {newid}, 'EUR', 1, 1, {hash}, {hash}, 1)",
        "rail_files",
        "row_unrecorded",
    ),
    case(
        "slip in what the bank's own bank said",
        "INSERT INTO rail_entries (tag, outcome, transaction_id, at) VALUES ({newid}, 3, {newid}, 1)",
        "rail_entries",
        "row_unrecorded",
    ),
    case(
        "slip in what nobody can place",
        "INSERT INTO suspense_items (id, tag, direction, amount, currency, reason, sealed, opened_at) \
         VALUES ({newid}, {newid}, 0, 1, 'EUR', 0, {hash}, 1)",
        "suspense_items",
        "row_unrecorded",
    ),
    case(
        "lift what was done against an incident",
        "UPDATE incident_actions SET lifted_at = 1",
        "incident_actions",
        "row_changed",
    ),
    case(
        "slip in what nobody did against an incident",
        "INSERT INTO incident_actions (id, action, sealed_reason, taken_at, taken_by) VALUES \
         ({newid}, 'read_only', {hash}, 1, 'cli:0')",
        "incident_actions",
        "row_unrecorded",
    ),
    case(
        "forget what was done against an incident",
        "DELETE FROM incident_actions",
        "incident_actions",
        "row_missing",
    ),
];

async fn every_change_of_credentials_and_beside_the_books_is_found_in_its_row(kind: Kind) {
    each_is_found(kind, CASES).await;
}

on_both_engines!(every_change_of_credentials_and_beside_the_books_is_found_in_its_row);
