//! One row of the tables of authority and rules at a time, as the owner of the database with triggers and constraints
//! out of the way.

use crate::{
    on_both_engines,
    place::Kind,
    tamper::{Case, case, each_is_found},
};

/// As the cases of the books: `{account}` is that of one customer, `{newid}` an id that nothing has.
const CASES: &[Case] = &[
    case(
        "make somebody an administrator",
        "INSERT INTO grants (id, person, role, granted_at) SELECT {newid}, owner, 'admin', 1 FROM accounts WHERE id = {account}",
        "grants",
        "row_unrecorded",
    ),
    case(
        "give a role under another name",
        "UPDATE grants SET role = 'compliance' WHERE role = 'admin'",
        "grants",
        "row_unrecorded",
    ),
    case(
        "give a role under another name",
        "UPDATE grants SET role = 'compliance' WHERE role = 'admin'",
        "grants",
        "row_missing",
    ),
    case(
        "let a role end",
        "UPDATE grants SET expires_at = 1 WHERE role = 'admin'",
        "grants",
        "row_changed",
    ),
    case(
        "bind a role to a department",
        "UPDATE grants SET department = 'north' WHERE role = 'teller'",
        "grants",
        "row_changed",
    ),
    case(
        "take a role away",
        "DELETE FROM grants WHERE role = 'admin'",
        "grants",
        "row_missing",
    ),
    case(
        "lock somebody out",
        "UPDATE users SET state = 'locked' WHERE id = (SELECT owner FROM accounts WHERE id = {account})",
        "users",
        "row_changed",
    ),
    case(
        "place somebody in a department",
        "UPDATE users SET department = 'north' WHERE id = (SELECT owner FROM accounts WHERE id = {account})",
        "users",
        "row_changed",
    ),
    case(
        "slip a login in",
        "INSERT INTO users (id, state, created_at) VALUES ({newid}, 'active', 1)",
        "users",
        "row_unrecorded",
    ),
    case(
        "delete a login",
        "DELETE FROM users WHERE id = (SELECT owner FROM accounts WHERE id = {account})",
        "users",
        "row_missing",
    ),
    case(
        "let a key do more",
        "UPDATE api_keys SET scopes = 'accounts:read accounts:write'",
        "api_keys",
        "row_changed",
    ),
    case(
        "let a key move more",
        "UPDATE api_keys SET max_amount = max_amount + 1",
        "api_keys",
        "row_changed",
    ),
    case(
        "put another secret in a key's place",
        "UPDATE api_keys SET hash = {hash}",
        "api_keys",
        "row_changed",
    ),
    case(
        "let a key live longer",
        "UPDATE api_keys SET expires_at = NULL",
        "api_keys",
        "row_changed",
    ),
    case(
        "take a key away",
        "UPDATE api_keys SET revoked_at = 1",
        "api_keys",
        "row_changed",
    ),
    case("delete a key", "DELETE FROM api_keys", "api_keys", "row_missing"),
    case(
        "slip a key in",
        "INSERT INTO api_keys (id, owner, integration, sealed_name, scopes, hash, hash_key, created_at, schemes) \
         SELECT {newid}, owner, integration, sealed_name, scopes, hash, hash_key, created_at, schemes FROM api_keys",
        "api_keys",
        "row_unrecorded",
    ),
    case(
        "rename a policy",
        "UPDATE policies SET name = 'another' WHERE name = 'support-reads'",
        "policies",
        "row_changed",
    ),
    case(
        "take a policy out of sight",
        "UPDATE policies SET deleted_at = 1",
        "policies",
        "row_changed",
    ),
    case(
        "slip a policy in",
        "INSERT INTO policies (id, name, created_at) VALUES ({newid}, 'another', 1)",
        "policies",
        "row_unrecorded",
    ),
    case(
        "rewrite a policy",
        "UPDATE policy_revisions SET text = 'permit (principal, action, resource);'",
        "policy_revisions",
        "row_changed",
    ),
    case(
        "rewrite a policy's digest",
        "UPDATE policy_revisions SET digest = {hash}",
        "policy_revisions",
        "row_changed",
    ),
    case(
        "delete a text of a policy",
        "DELETE FROM policy_revisions",
        "policy_revisions",
        "row_missing",
    ),
    case(
        "slip a text of a policy in",
        "INSERT INTO policy_revisions (policy, number, text, tests, digest, maker, created_at) \
         SELECT policy, number + 5, text, tests, digest, maker, created_at FROM policy_revisions",
        "policy_revisions",
        "row_unrecorded",
    ),
    case(
        "put policies in force",
        "INSERT INTO policy_sets (version, at, builtin) VALUES (9, 1, {hash})",
        "policy_sets",
        "row_unrecorded",
    ),
    case(
        "put a text in force",
        "INSERT INTO policy_set_members (version, policy, number) SELECT 9, policy, number FROM policy_revisions",
        "policy_set_members",
        "row_unrecorded",
    ),
    case(
        "put rules about fraud in force",
        "INSERT INTO fraud_rule_sets (revision, rules, digest, maker, checker, approval, sealed_reason, at) \
         VALUES (7, 'none', {hash}, {zero}, {newid}, {newid}, {hash}, 1)",
        "fraud_rule_sets",
        "row_unrecorded",
    ),
    case(
        "let a key of the ring count",
        "INSERT INTO key_rotations (kid, created_at, active_from) VALUES (77, 1, 1)",
        "key_rotations",
        "row_unrecorded",
    ),
    case(
        "pay somebody new as if known for long",
        "INSERT INTO beneficiaries (id, owner, currency, added_at, paid) SELECT {newid}, owner, 'EUR', 1, 0 FROM accounts WHERE id = {account}",
        "beneficiaries",
        "row_unrecorded",
    ),
    case(
        "approve what nobody approved",
        "UPDATE approvals SET state = 'approved'",
        "approvals",
        "row_changed",
    ),
    case(
        "let somebody else have asked",
        "UPDATE approvals SET maker_kind = 1",
        "approvals",
        "row_changed",
    ),
    case(
        "ask for something else",
        "UPDATE approvals SET digest = {hash}",
        "approvals",
        "row_changed",
    ),
    case(
        "ask under another rule",
        "UPDATE approvals SET rule = '{}'",
        "approvals",
        "row_changed",
    ),
    case(
        "delete a request",
        "DELETE FROM approvals",
        "approvals",
        "row_missing",
    ),
    case(
        "slip a request in",
        "INSERT INTO approvals (id, action, maker_kind, maker, sealed, digest, state, created_at, expires_at, rule) \
         SELECT {newid}, action, maker_kind, maker, sealed, digest, state, created_at, expires_at, rule FROM approvals LIMIT 1",
        "approvals",
        "row_unrecorded",
    ),
    case(
        "set what a customer allows oneself to nothing known",
        "UPDATE customer_limits SET state = {hash}",
        "customer_limits",
        "row_changed",
    ),
    case(
        "forget a customer's limits",
        "DELETE FROM customer_limits",
        "customer_limits",
        "row_missing",
    ),
];

async fn every_change_of_authority_by_the_owner_is_found_in_its_row(kind: Kind) {
    each_is_found(kind, CASES).await;
}

on_both_engines!(every_change_of_authority_by_the_owner_is_found_in_its_row);
