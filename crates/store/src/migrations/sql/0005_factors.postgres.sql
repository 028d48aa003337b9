-- Second factors of everybody, and fresh proofs of them: what a factor approved, codes for the day it is lost, passkeys.

-- When a factor was last proved in this session for a change of settings; wrong proofs, which end it at last.
ALTER TABLE sessions ADD COLUMN proved_at bigint;
ALTER TABLE sessions ADD COLUMN step_up_failures bigint NOT NULL DEFAULT 0;

-- When a factor was put into use: a new one approves no money for a while.
ALTER TABLE totp_factors ADD COLUMN activated_at bigint;
UPDATE totp_factors SET activated_at = created_at WHERE state <> 'pending';

-- What a fresh factor approved: one request of one session, by digest, once. Spent in the commit of the request.
CREATE TABLE step_ups (
  id uuid NOT NULL PRIMARY KEY,
  session uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  request bytea NOT NULL CHECK (length(request) = 32),
  approved_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  spent_at bigint
);
CREATE INDEX step_ups_by_request ON step_ups (session, request);
CREATE INDEX step_ups_by_end ON step_ups (expires_at);

-- A ticket may also be that of somebody who lost a factor and may bind a new one, nothing else.
ALTER TABLE tickets DROP CONSTRAINT tickets_kind_check;
ALTER TABLE tickets ADD CONSTRAINT tickets_kind_check CHECK (kind IN ('mfa', 'change', 'enrol', 'reset', 'rebind'));

-- Codes for the day a factor is lost: keyed digests, each good once.
CREATE TABLE recovery_codes (
  person uuid NOT NULL REFERENCES users (id),
  hash bytea NOT NULL CHECK (length(hash) = 32),
  created_at bigint NOT NULL,
  used_at bigint,
  PRIMARY KEY (person, hash)
);

CREATE TABLE passkeys (
  id uuid NOT NULL PRIMARY KEY,
  person uuid NOT NULL REFERENCES users (id),
  -- SHA-256 of the credential's id: one credential is one person's.
  credential bytea NOT NULL UNIQUE CHECK (length(credential) = 32),
  -- Public key, flags and counter; the name its owner gave it.
  sealed bytea NOT NULL,
  sealed_name bytea NOT NULL,
  counter bigint NOT NULL,
  created_at bigint NOT NULL,
  last_used_at bigint
);
CREATE INDEX passkeys_by_person ON passkeys (person, id);

-- What the server must remember between options and answer: sealed, good once, for minutes.
CREATE TABLE passkey_ceremonies (
  hash bytea NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
  kind text NOT NULL CHECK (kind IN ('register', 'login', 'second', 'step_up')),
  person uuid REFERENCES users (id),
  session uuid,
  sealed bytea NOT NULL,
  created_at bigint NOT NULL,
  expires_at bigint NOT NULL
);
CREATE INDEX passkey_ceremonies_by_end ON passkey_ceremonies (expires_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON recovery_codes, passkeys, passkey_ceremonies TO strongroom_app;
-- The application approves, the books spend: an approval that the books have spent cannot be made unspent.
GRANT SELECT, INSERT, DELETE ON step_ups TO strongroom_app;
GRANT SELECT ON step_ups TO strongroom_ledger_writer;
GRANT UPDATE (spent_at) ON step_ups TO strongroom_ledger_writer;

ALTER TABLE recovery_codes ENABLE ROW LEVEL SECURITY;
ALTER TABLE recovery_codes FORCE ROW LEVEL SECURITY;
CREATE POLICY recovery_codes_scope ON recovery_codes TO strongroom_app USING (in_scope(person)) WITH CHECK (in_scope(person));
ALTER TABLE passkeys ENABLE ROW LEVEL SECURITY;
ALTER TABLE passkeys FORCE ROW LEVEL SECURITY;
CREATE POLICY passkeys_scope ON passkeys TO strongroom_app USING (in_scope(person)) WITH CHECK (in_scope(person));
