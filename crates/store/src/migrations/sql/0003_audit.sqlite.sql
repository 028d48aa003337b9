-- The audit log: records, the leaves over them in their final order, and the roots of full subtrees.
CREATE TABLE audit_records (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  request BLOB NOT NULL CHECK (length(request) = 16),
  principal_kind INTEGER NOT NULL,
  principal_id BLOB NOT NULL CHECK (length(principal_id) = 16),
  session BLOB NOT NULL CHECK (length(session) = 16),
  origin INTEGER NOT NULL,
  action TEXT NOT NULL,
  object_kind TEXT NOT NULL,
  object_id BLOB NOT NULL CHECK (length(object_id) = 16),
  outcome TEXT NOT NULL,
  policy INTEGER NOT NULL,
  details BLOB NOT NULL,
  mac_key INTEGER NOT NULL,
  mac BLOB NOT NULL CHECK (length(mac) = 32)
) STRICT;
CREATE TABLE audit_leaves (
  leaf INTEGER PRIMARY KEY,
  record_id INTEGER NOT NULL UNIQUE REFERENCES audit_records (id),
  hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE TABLE audit_nodes (
  level INTEGER NOT NULL CHECK (level > 0),
  position INTEGER NOT NULL,
  hash BLOB NOT NULL CHECK (length(hash) = 32),
  PRIMARY KEY (level, position)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER audit_records_fixed BEFORE UPDATE ON audit_records BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_records_kept BEFORE DELETE ON audit_records BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_leaves_fixed BEFORE UPDATE ON audit_leaves BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_leaves_kept BEFORE DELETE ON audit_leaves BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_nodes_fixed BEFORE UPDATE ON audit_nodes BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_nodes_kept BEFORE DELETE ON audit_nodes BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
