-- People and their keys. Everything personal is sealed under the person's own data key.
CREATE TABLE bank (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  country TEXT NOT NULL,
  code TEXT NOT NULL,
  time_zone TEXT NOT NULL,
  log_origin TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE TRIGGER bank_fixed BEFORE UPDATE ON bank BEGIN SELECT RAISE(ABORT, 'the bank is fixed at first start'); END;
CREATE TRIGGER bank_kept BEFORE DELETE ON bank BEGIN SELECT RAISE(ABORT, 'the bank is fixed at first start'); END;

-- Says which keys this database was written with, without telling anything about them.
CREATE TABLE key_checks (
  kid INTEGER PRIMARY KEY,
  purpose TEXT NOT NULL,
  value BLOB NOT NULL CHECK (length(value) = 16)
) STRICT;

CREATE TABLE data_keys (
  person BLOB NOT NULL PRIMARY KEY CHECK (length(person) = 16),
  wrapped BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  email_index BLOB UNIQUE,
  sealed_email BLOB,
  sealed_name BLOB,
  state TEXT NOT NULL CHECK (state IN ('active', 'locked', 'disabled', 'closed')),
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row that every change of rights moves on, and what it was about.
CREATE TABLE auth_epoch (id INTEGER PRIMARY KEY CHECK (id = 1), epoch INTEGER NOT NULL) STRICT;
INSERT INTO auth_epoch (id, epoch) VALUES (1, 1);
CREATE TABLE revocations (
  epoch INTEGER NOT NULL,
  kind TEXT NOT NULL,
  id BLOB NOT NULL,
  PRIMARY KEY (epoch, kind, id)
) STRICT, WITHOUT ROWID;
