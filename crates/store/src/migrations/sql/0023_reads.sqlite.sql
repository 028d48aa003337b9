-- Whose things an operator read and why: the reason is sealed under the operator's key. And a role that looks into things.
ALTER TABLE decisions ADD COLUMN owner BLOB CHECK (owner IS NULL OR length(owner) = 16);
ALTER TABLE decisions ADD COLUMN sealed_reason BLOB;

CREATE TABLE grants_anew (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  person BLOB NOT NULL REFERENCES users (id),
  role TEXT NOT NULL CHECK (role IN ('customer', 'support', 'teller', 'auditor', 'admin', 'compliance')),
  granted_at INTEGER NOT NULL,
  expires_at INTEGER,
  granted_by BLOB,
  UNIQUE (person, role)
) STRICT, WITHOUT ROWID;
INSERT INTO grants_anew SELECT id, person, role, granted_at, expires_at, granted_by FROM grants;
DROP TABLE grants;
ALTER TABLE grants_anew RENAME TO grants;
CREATE INDEX grants_by_role ON grants (role);
