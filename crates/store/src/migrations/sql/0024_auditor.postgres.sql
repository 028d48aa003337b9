-- What an auditor's login may read: no names, addresses, numbers of accounts, texts or salts of their commitments, and
-- nothing that can be written. Give a login the role `strongroom_auditor`; the views run with its rights, not with their owner's.
REVOKE SELECT ON accounts, transactions FROM strongroom_auditor;
GRANT SELECT (id, owner, kind, currency, opened_at) ON accounts TO strongroom_auditor;
GRANT SELECT (last_entry, id, first_entry, kind, from_account, to_account, amount, currency, booked_at, value_date, record)
  ON transactions TO strongroom_auditor;
GRANT SELECT (id, state, created_at) ON users TO strongroom_auditor;
CREATE POLICY users_audited ON users FOR SELECT TO strongroom_auditor USING (true);
GRANT SELECT (id, person, role, granted_at, expires_at, granted_by) ON grants TO strongroom_auditor;
CREATE POLICY grants_audited ON grants FOR SELECT TO strongroom_auditor USING (true);
GRANT SELECT (id, action, maker_kind, maker, digest, state, created_at, expires_at, checker, decided_at)
  ON approvals TO strongroom_auditor;

CREATE VIEW auditor_people WITH (security_invoker = true) AS SELECT id, state, created_at FROM users;
CREATE VIEW auditor_grants WITH (security_invoker = true) AS
  SELECT id, person, role, granted_at, expires_at, granted_by FROM grants;
CREATE VIEW auditor_approvals WITH (security_invoker = true) AS
  SELECT id, action, maker_kind, maker, digest, state, created_at, expires_at, checker, decided_at FROM approvals;
CREATE VIEW auditor_accounts WITH (security_invoker = true) AS
  SELECT a.id, a.owner, a.kind, a.currency, a.opened_at, s.balance, s.held, s.floor, s.freezes, s.closed, s.entries
  FROM accounts a JOIN account_states s ON s.account_id = a.id;
CREATE VIEW auditor_transactions WITH (security_invoker = true) AS
  SELECT id, kind, from_account, to_account, amount, currency, booked_at, value_date, record FROM transactions;
CREATE VIEW auditor_entries WITH (security_invoker = true) AS
  SELECT id, account_id, sequence, amount, currency, balance_after, booked_at FROM entries;
CREATE VIEW auditor_log WITH (security_invoker = true) AS
  SELECT l.leaf, l.hash, r.id, r.at, r.request, r.principal_kind, r.principal_id, r.origin, r.action, r.object_kind,
    r.object_id, r.outcome, r.policy, r.details
  FROM audit_records r LEFT JOIN audit_leaves l ON l.record_id = r.id;
CREATE VIEW auditor_decisions WITH (security_invoker = true) AS
  SELECT id, at, request, principal_kind, principal_id, owner, action, allowed, version FROM decisions;

GRANT SELECT ON auditor_people, auditor_grants, auditor_approvals, auditor_accounts, auditor_transactions, auditor_entries,
  auditor_log, auditor_decisions TO strongroom_auditor;
