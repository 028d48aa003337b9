-- Logins by an issuer elsewhere (OpenID Connect), and sessions of browsers.

-- Whose an identity of an issuer is: by a keyed index of issuer and subject, never by an address.
CREATE TABLE external_logins (
  id uuid NOT NULL PRIMARY KEY,
  person uuid NOT NULL REFERENCES users (id),
  provider text NOT NULL,
  subject_index bytea NOT NULL UNIQUE CHECK (length(subject_index) = 16),
  -- Issuer, subject and the address that the issuer named.
  sealed bytea NOT NULL,
  created_at bigint NOT NULL,
  last_used_at bigint
);
CREATE INDEX external_logins_by_person ON external_logins (person, id);

-- What must be remembered while somebody is at an issuer: found by the state, bound to the browser, good once.
CREATE TABLE external_starts (
  hash bytea NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
  provider text NOT NULL,
  browser bytea NOT NULL CHECK (length(browser) = 32),
  -- Set where somebody who is logged in adds the issuer to an own login.
  person uuid REFERENCES users (id),
  session uuid,
  sealed bytea NOT NULL,
  created_at bigint NOT NULL,
  expires_at bigint NOT NULL
);
CREATE INDEX external_starts_by_end ON external_starts (expires_at);

-- The cookie of a session that lives in a browser, by its digest.
CREATE TABLE browser_sessions (
  hash bytea NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
  session uuid NOT NULL UNIQUE REFERENCES sessions (id) ON DELETE CASCADE
);

-- Whether the first half of a login was a password or an issuer.
ALTER TABLE tickets ADD COLUMN external bigint NOT NULL DEFAULT 0 CHECK (external IN (0, 1));

GRANT SELECT, INSERT, UPDATE, DELETE ON external_logins, external_starts, browser_sessions TO strongroom_app;

ALTER TABLE external_logins ENABLE ROW LEVEL SECURITY;
ALTER TABLE external_logins FORCE ROW LEVEL SECURITY;
CREATE POLICY external_logins_scope ON external_logins TO strongroom_app USING (in_scope(person)) WITH CHECK (in_scope(person));
