-- How people prove who they are, what they may do, and where they are logged in. Nothing readable: texts are sealed,
-- tokens and keys are kept as hashes only.
CREATE TABLE passwords (
  person uuid NOT NULL PRIMARY KEY REFERENCES users (id),
  hash text NOT NULL,
  changed_at bigint NOT NULL,
  -- A password that was printed for somebody: good until then, and only to set an own one.
  initial_until bigint
);

-- Why an operator stopped this login, in words, sealed under the person's key.
ALTER TABLE users ADD COLUMN sealed_reason bytea;

CREATE TABLE grants (
  id uuid NOT NULL PRIMARY KEY,
  person uuid NOT NULL REFERENCES users (id),
  role text NOT NULL CHECK (role IN ('customer', 'support', 'teller', 'auditor', 'admin')),
  granted_at bigint NOT NULL,
  UNIQUE (person, role)
);
CREATE INDEX grants_by_role ON grants (role);

CREATE TABLE totp_factors (
  id uuid NOT NULL PRIMARY KEY,
  person uuid NOT NULL REFERENCES users (id),
  sealed_secret bytea NOT NULL,
  -- printed: made by somebody else, to be replaced; pending: not confirmed by a code yet
  state text NOT NULL CHECK (state IN ('printed', 'pending', 'active')),
  last_step bigint NOT NULL DEFAULT 0,
  created_at bigint NOT NULL,
  expires_at bigint,
  UNIQUE (person, state)
);

CREATE TABLE registrations (
  id uuid NOT NULL PRIMARY KEY,
  email_index bytea NOT NULL,
  sealed bytea NOT NULL,
  password_hash text NOT NULL,
  -- Until a job gave it a token and wrote the mail there is none.
  token_hash bytea UNIQUE,
  failures bigint NOT NULL DEFAULT 0,
  created_at bigint NOT NULL,
  expires_at bigint NOT NULL
);
CREATE INDEX registrations_by_email ON registrations (email_index);
CREATE INDEX registrations_by_end ON registrations (expires_at);
CREATE INDEX registrations_waiting ON registrations (created_at) WHERE token_hash IS NULL;

CREATE TABLE devices (
  person uuid NOT NULL REFERENCES users (id),
  hash bytea NOT NULL CHECK (length(hash) = 32),
  created_at bigint NOT NULL,
  PRIMARY KEY (person, hash)
);

CREATE TABLE sessions (
  id uuid NOT NULL PRIMARY KEY,
  person uuid NOT NULL REFERENCES users (id),
  assurance bigint NOT NULL CHECK (assurance IN (1, 2)),
  methods text NOT NULL,
  created_at bigint NOT NULL,
  last_seen_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  ended_at bigint,
  end_reason text,
  device_hash bytea,
  sealed_client bytea NOT NULL
);
CREATE INDEX sessions_by_person ON sessions (person, id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- Every refresh token that a living session ever had, by hash: the used ones tell a thief from a lost answer.
CREATE TABLE refresh_tokens (
  hash bytea NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
  session uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  generation bigint NOT NULL,
  used_at bigint,
  child_hash bytea,
  UNIQUE (session, generation)
);

-- What continues a login that is not complete: after the password, after the printed code, after the new password.
CREATE TABLE tickets (
  hash bytea NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
  person uuid NOT NULL REFERENCES users (id),
  subject bytea NOT NULL,
  kind text NOT NULL CHECK (kind IN ('mfa', 'change', 'enrol', 'reset')),
  created_at bigint NOT NULL,
  expires_at bigint NOT NULL
);
CREATE INDEX tickets_by_end ON tickets (expires_at);
CREATE INDEX tickets_by_person ON tickets (person);

-- Tries at a secret, counted before it is looked at. The subject is a keyed digest, also of what does not exist.
CREATE TABLE guesses (
  subject bytea NOT NULL PRIMARY KEY CHECK (length(subject) = 16),
  failures bigint NOT NULL,
  blocked_until bigint NOT NULL,
  updated_at bigint NOT NULL
);
CREATE INDEX guesses_by_age ON guesses (updated_at);

CREATE TABLE api_keys (
  id uuid NOT NULL PRIMARY KEY,
  owner uuid NOT NULL REFERENCES users (id),
  sealed_name bytea NOT NULL,
  scopes text NOT NULL,
  hash bytea NOT NULL CHECK (length(hash) = 32),
  hash_key bigint NOT NULL,
  created_at bigint NOT NULL,
  expires_at bigint,
  revoked_at bigint
);
CREATE INDEX api_keys_by_owner ON api_keys (owner, id);

-- Mails, sealed, until they are sent; afterwards only that they were.
CREATE TABLE mails (
  id uuid NOT NULL PRIMARY KEY,
  kind text NOT NULL,
  recipient bytea NOT NULL,
  sealed bytea,
  attempts bigint NOT NULL DEFAULT 0,
  next_attempt_at bigint NOT NULL,
  created_at bigint NOT NULL,
  expires_at bigint NOT NULL
);
CREATE INDEX mails_waiting ON mails (next_attempt_at) WHERE sealed IS NOT NULL;
CREATE INDEX mails_by_recipient ON mails (recipient, kind, created_at);
CREATE INDEX mails_by_end ON mails (expires_at);

-- What somebody asked for and somebody else has to decide.
CREATE TABLE approvals (
  id uuid NOT NULL PRIMARY KEY,
  action text NOT NULL,
  maker_kind bigint NOT NULL,
  maker uuid NOT NULL,
  sealed bytea NOT NULL,
  digest bytea NOT NULL CHECK (length(digest) = 32),
  state text NOT NULL CHECK (state IN ('open', 'approved', 'rejected', 'expired')),
  created_at bigint NOT NULL,
  expires_at bigint NOT NULL
);

GRANT SELECT, INSERT, UPDATE, DELETE ON passwords, grants, totp_factors, registrations, devices, sessions, refresh_tokens,
  tickets, guesses, api_keys, mails, approvals TO strongroom_app;

-- The application asks for one person's rows on behalf of that person; the database holds it to that.
ALTER TABLE passwords ENABLE ROW LEVEL SECURITY;
ALTER TABLE passwords FORCE ROW LEVEL SECURITY;
CREATE POLICY passwords_scope ON passwords TO strongroom_app USING (in_scope(person)) WITH CHECK (in_scope(person));
ALTER TABLE grants ENABLE ROW LEVEL SECURITY;
ALTER TABLE grants FORCE ROW LEVEL SECURITY;
CREATE POLICY grants_scope ON grants TO strongroom_app USING (in_scope(person)) WITH CHECK (in_scope(person));
ALTER TABLE totp_factors ENABLE ROW LEVEL SECURITY;
ALTER TABLE totp_factors FORCE ROW LEVEL SECURITY;
CREATE POLICY totp_factors_scope ON totp_factors TO strongroom_app USING (in_scope(person)) WITH CHECK (in_scope(person));
ALTER TABLE devices ENABLE ROW LEVEL SECURITY;
ALTER TABLE devices FORCE ROW LEVEL SECURITY;
CREATE POLICY devices_scope ON devices TO strongroom_app USING (in_scope(person)) WITH CHECK (in_scope(person));
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE sessions FORCE ROW LEVEL SECURITY;
CREATE POLICY sessions_scope ON sessions TO strongroom_app USING (in_scope(person)) WITH CHECK (in_scope(person));
ALTER TABLE tickets ENABLE ROW LEVEL SECURITY;
ALTER TABLE tickets FORCE ROW LEVEL SECURITY;
CREATE POLICY tickets_scope ON tickets TO strongroom_app USING (in_scope(person)) WITH CHECK (in_scope(person));
ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY api_keys_scope ON api_keys TO strongroom_app USING (in_scope(owner)) WITH CHECK (in_scope(owner));
