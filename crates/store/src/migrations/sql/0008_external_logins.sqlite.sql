-- Logins by an issuer elsewhere (OpenID Connect), and sessions of browsers.

-- Whose an identity of an issuer is: by a keyed index of issuer and subject, never by an address.
CREATE TABLE external_logins (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  person BLOB NOT NULL REFERENCES users (id),
  provider TEXT NOT NULL,
  subject_index BLOB NOT NULL UNIQUE CHECK (length(subject_index) = 16),
  -- Issuer, subject and the address that the issuer named.
  sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  last_used_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX external_logins_by_person ON external_logins (person, id);

-- What must be remembered while somebody is at an issuer: found by the state, bound to the browser, good once.
CREATE TABLE external_starts (
  hash BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
  provider TEXT NOT NULL,
  browser BLOB NOT NULL CHECK (length(browser) = 32),
  -- Set where somebody who is logged in adds the issuer to an own login.
  person BLOB REFERENCES users (id),
  session BLOB,
  sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX external_starts_by_end ON external_starts (expires_at);

-- The cookie of a session that lives in a browser, by its digest.
CREATE TABLE browser_sessions (
  hash BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
  session BLOB NOT NULL UNIQUE REFERENCES sessions (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Whether the first half of a login was a password or an issuer.
ALTER TABLE tickets ADD COLUMN external INTEGER NOT NULL DEFAULT 0 CHECK (external IN (0, 1));
