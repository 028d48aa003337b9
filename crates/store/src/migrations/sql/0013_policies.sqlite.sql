-- Policies of the bank's own. A text is never changed: a new one is a revision, and which revisions are in force together
-- is a set. The newest set counts. What was in force in March can be read for as long as the log can.
CREATE TABLE policies (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  name TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  -- Out of sight and never in force again; the texts stay.
  deleted_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE policy_revisions (
  policy BLOB NOT NULL REFERENCES policies (id),
  number INTEGER NOT NULL CHECK (number > 0),
  text TEXT NOT NULL,
  -- Cases that have to come out as written before the text may be in force (JSON).
  tests TEXT NOT NULL,
  digest BLOB NOT NULL CHECK (length(digest) = 32),
  -- Zeros for whoever holds the data directory.
  maker BLOB NOT NULL CHECK (length(maker) = 16),
  created_at INTEGER NOT NULL,
  PRIMARY KEY (policy, number)
) STRICT, WITHOUT ROWID;
-- Set 1 is that of the policies the program brings along, alone.
CREATE TABLE policy_sets (
  version INTEGER NOT NULL PRIMARY KEY CHECK (version > 1),
  at INTEGER NOT NULL,
  -- What each set was built on: the digest of the program's own policies.
  builtin BLOB NOT NULL CHECK (length(builtin) = 32)
) STRICT;
CREATE TABLE policy_set_members (
  version INTEGER NOT NULL REFERENCES policy_sets (version),
  policy BLOB NOT NULL,
  number INTEGER NOT NULL,
  PRIMARY KEY (version, policy),
  FOREIGN KEY (policy, number) REFERENCES policy_revisions (policy, number)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER policies_kept BEFORE DELETE ON policies BEGIN SELECT RAISE(ABORT, 'policies are kept'); END;
CREATE TRIGGER policies_fixed BEFORE UPDATE OF id, name, created_at ON policies BEGIN SELECT RAISE(ABORT, 'policies are kept'); END;
CREATE TRIGGER policy_revisions_fixed BEFORE UPDATE ON policy_revisions BEGIN SELECT RAISE(ABORT, 'revisions are append-only'); END;
CREATE TRIGGER policy_revisions_kept BEFORE DELETE ON policy_revisions BEGIN SELECT RAISE(ABORT, 'revisions are append-only'); END;
CREATE TRIGGER policy_sets_fixed BEFORE UPDATE ON policy_sets BEGIN SELECT RAISE(ABORT, 'sets are append-only'); END;
CREATE TRIGGER policy_sets_kept BEFORE DELETE ON policy_sets BEGIN SELECT RAISE(ABORT, 'sets are append-only'); END;
CREATE TRIGGER policy_set_members_fixed BEFORE UPDATE ON policy_set_members BEGIN SELECT RAISE(ABORT, 'sets are append-only'); END;
CREATE TRIGGER policy_set_members_kept BEFORE DELETE ON policy_set_members BEGIN SELECT RAISE(ABORT, 'sets are append-only'); END;
