-- How people prove who they are, what they may do, and where they are logged in. Nothing readable: texts are sealed,
-- tokens and keys are kept as hashes only.
CREATE TABLE passwords (
  person BLOB NOT NULL PRIMARY KEY REFERENCES users (id),
  hash TEXT NOT NULL,
  changed_at INTEGER NOT NULL,
  -- A password that was printed for somebody: good until then, and only to set an own one.
  initial_until INTEGER
) STRICT, WITHOUT ROWID;

-- Why an operator stopped this login, in words, sealed under the person's key.
ALTER TABLE users ADD COLUMN sealed_reason BLOB;

CREATE TABLE grants (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  person BLOB NOT NULL REFERENCES users (id),
  role TEXT NOT NULL CHECK (role IN ('customer', 'support', 'teller', 'auditor', 'admin')),
  granted_at INTEGER NOT NULL,
  UNIQUE (person, role)
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_by_role ON grants (role);

CREATE TABLE totp_factors (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  person BLOB NOT NULL REFERENCES users (id),
  sealed_secret BLOB NOT NULL,
  -- printed: made by somebody else, to be replaced; pending: not confirmed by a code yet
  state TEXT NOT NULL CHECK (state IN ('printed', 'pending', 'active')),
  last_step INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  UNIQUE (person, state)
) STRICT, WITHOUT ROWID;

CREATE TABLE registrations (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  email_index BLOB NOT NULL,
  sealed BLOB NOT NULL,
  password_hash TEXT NOT NULL,
  -- Until a job gave it a token and wrote the mail there is none.
  token_hash BLOB UNIQUE,
  failures INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX registrations_by_email ON registrations (email_index);
CREATE INDEX registrations_by_end ON registrations (expires_at);
CREATE INDEX registrations_waiting ON registrations (created_at) WHERE token_hash IS NULL;

CREATE TABLE devices (
  person BLOB NOT NULL REFERENCES users (id),
  hash BLOB NOT NULL CHECK (length(hash) = 32),
  created_at INTEGER NOT NULL,
  PRIMARY KEY (person, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  person BLOB NOT NULL REFERENCES users (id),
  assurance INTEGER NOT NULL CHECK (assurance IN (1, 2)),
  methods TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  last_seen_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  ended_at INTEGER,
  end_reason TEXT,
  device_hash BLOB,
  sealed_client BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_person ON sessions (person, id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- Every refresh token that a living session ever had, by hash: the used ones tell a thief from a lost answer.
CREATE TABLE refresh_tokens (
  hash BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
  session BLOB NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  generation INTEGER NOT NULL,
  used_at INTEGER,
  child_hash BLOB,
  UNIQUE (session, generation)
) STRICT, WITHOUT ROWID;

-- What continues a login that is not complete: after the password, after the printed code, after the new password.
CREATE TABLE tickets (
  hash BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
  person BLOB NOT NULL REFERENCES users (id),
  subject BLOB NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('mfa', 'change', 'enrol', 'reset')),
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tickets_by_end ON tickets (expires_at);
CREATE INDEX tickets_by_person ON tickets (person);

-- Tries at a secret, counted before it is looked at. The subject is a keyed digest, also of what does not exist.
CREATE TABLE guesses (
  subject BLOB NOT NULL PRIMARY KEY CHECK (length(subject) = 16),
  failures INTEGER NOT NULL,
  blocked_until INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX guesses_by_age ON guesses (updated_at);

CREATE TABLE api_keys (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  owner BLOB NOT NULL REFERENCES users (id),
  sealed_name BLOB NOT NULL,
  scopes TEXT NOT NULL,
  hash BLOB NOT NULL CHECK (length(hash) = 32),
  hash_key INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  revoked_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX api_keys_by_owner ON api_keys (owner, id);

-- Mails, sealed, until they are sent; afterwards only that they were.
CREATE TABLE mails (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  kind TEXT NOT NULL,
  recipient BLOB NOT NULL,
  sealed BLOB,
  attempts INTEGER NOT NULL DEFAULT 0,
  next_attempt_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX mails_waiting ON mails (next_attempt_at) WHERE sealed IS NOT NULL;
CREATE INDEX mails_by_recipient ON mails (recipient, kind, created_at);
CREATE INDEX mails_by_end ON mails (expires_at);

-- What somebody asked for and somebody else has to decide.
CREATE TABLE approvals (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  action TEXT NOT NULL,
  maker_kind INTEGER NOT NULL,
  maker BLOB NOT NULL CHECK (length(maker) = 16),
  sealed BLOB NOT NULL,
  digest BLOB NOT NULL CHECK (length(digest) = 32),
  state TEXT NOT NULL CHECK (state IN ('open', 'approved', 'rejected', 'expired')),
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
