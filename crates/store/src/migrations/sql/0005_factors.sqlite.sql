-- Second factors of everybody, and fresh proofs of them: what a factor approved, codes for the day it is lost, passkeys.

-- When a factor was last proved in this session for a change of settings; wrong proofs, which end it at last.
ALTER TABLE sessions ADD COLUMN proved_at INTEGER;
ALTER TABLE sessions ADD COLUMN step_up_failures INTEGER NOT NULL DEFAULT 0;

-- When a factor was put into use: a new one approves no money for a while.
ALTER TABLE totp_factors ADD COLUMN activated_at INTEGER;
UPDATE totp_factors SET activated_at = created_at WHERE state <> 'pending';

-- What a fresh factor approved: one request of one session, by digest, once. Spent in the commit of the request.
CREATE TABLE step_ups (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  session BLOB NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  request BLOB NOT NULL CHECK (length(request) = 32),
  approved_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  spent_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX step_ups_by_request ON step_ups (session, request);
CREATE INDEX step_ups_by_end ON step_ups (expires_at);

-- A ticket may also be that of somebody who lost a factor and may bind a new one, nothing else.
CREATE TABLE tickets_with_rebind (
  hash BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
  person BLOB NOT NULL REFERENCES users (id),
  subject BLOB NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('mfa', 'change', 'enrol', 'reset', 'rebind')),
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO tickets_with_rebind SELECT hash, person, subject, kind, created_at, expires_at FROM tickets;
DROP TABLE tickets;
ALTER TABLE tickets_with_rebind RENAME TO tickets;
CREATE INDEX tickets_by_end ON tickets (expires_at);
CREATE INDEX tickets_by_person ON tickets (person);

-- Codes for the day a factor is lost: keyed digests, each good once.
CREATE TABLE recovery_codes (
  person BLOB NOT NULL REFERENCES users (id),
  hash BLOB NOT NULL CHECK (length(hash) = 32),
  created_at INTEGER NOT NULL,
  used_at INTEGER,
  PRIMARY KEY (person, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE passkeys (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  person BLOB NOT NULL REFERENCES users (id),
  -- SHA-256 of the credential's id: one credential is one person's.
  credential BLOB NOT NULL UNIQUE CHECK (length(credential) = 32),
  -- Public key, flags and counter; the name its owner gave it.
  sealed BLOB NOT NULL,
  sealed_name BLOB NOT NULL,
  counter INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  last_used_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX passkeys_by_person ON passkeys (person, id);

-- What the server must remember between options and answer: sealed, good once, for minutes.
CREATE TABLE passkey_ceremonies (
  hash BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
  kind TEXT NOT NULL CHECK (kind IN ('register', 'login', 'second', 'step_up')),
  person BLOB REFERENCES users (id),
  session BLOB,
  sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX passkey_ceremonies_by_end ON passkey_ceremonies (expires_at);
