-- What was decided: who asked for what, the number of the set that decided, and the facts. Facts that many decisions share
-- are kept once, sealed, under a keyed digest; what is somebody's (the address) is sealed under that person's key.
CREATE TABLE decision_inputs (
  digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 16),
  sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE decisions (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  at INTEGER NOT NULL,
  request BLOB NOT NULL CHECK (length(request) = 16),
  principal_kind INTEGER NOT NULL,
  principal_id BLOB NOT NULL CHECK (length(principal_id) = 16),
  action TEXT NOT NULL,
  allowed INTEGER NOT NULL CHECK (allowed IN (0, 1)),
  version INTEGER NOT NULL CHECK (version > 0),
  inputs BLOB NOT NULL CHECK (length(inputs) = 16),
  -- Whose key the address is sealed under.
  person BLOB,
  sealed_address BLOB,
  mac_key INTEGER NOT NULL,
  mac BLOB NOT NULL CHECK (length(mac) = 32)
) STRICT, WITHOUT ROWID;
CREATE INDEX decisions_by_principal ON decisions (principal_id, id);
CREATE TRIGGER decision_inputs_fixed BEFORE UPDATE ON decision_inputs BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
CREATE TRIGGER decision_inputs_kept BEFORE DELETE ON decision_inputs BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
CREATE TRIGGER decisions_fixed BEFORE UPDATE ON decisions BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
CREATE TRIGGER decisions_kept BEFORE DELETE ON decisions BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
