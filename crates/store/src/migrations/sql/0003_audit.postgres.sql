-- The audit log: records in the order of commit (transaction id, then id), sealed into leaves by one elected node.
CREATE TABLE audit_records (
  id bigint PRIMARY KEY,
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  at bigint NOT NULL,
  request uuid NOT NULL,
  principal_kind bigint NOT NULL,
  principal_id uuid NOT NULL,
  session uuid NOT NULL,
  origin bigint NOT NULL,
  action text NOT NULL,
  object_kind text NOT NULL,
  object_id uuid NOT NULL,
  outcome text NOT NULL,
  policy bigint NOT NULL,
  details bytea NOT NULL,
  mac_key bigint NOT NULL,
  mac bytea NOT NULL CHECK (length(mac) = 32)
);
CREATE INDEX audit_records_sealing ON audit_records (xid, id);
CREATE TABLE audit_leaves (
  leaf bigint PRIMARY KEY,
  record_id bigint NOT NULL UNIQUE,
  hash bytea NOT NULL CHECK (length(hash) = 32)
);
CREATE TABLE audit_nodes (
  level bigint NOT NULL CHECK (level > 0),
  position bigint NOT NULL,
  hash bytea NOT NULL CHECK (length(hash) = 32),
  PRIMARY KEY (level, position)
);
-- Where the sealer stands; the term fences an old sealer out.
CREATE TABLE audit_head (
  id bigint PRIMARY KEY CHECK (id = 1),
  term bigint NOT NULL,
  size bigint NOT NULL,
  last_xid xid8 NOT NULL,
  last_record bigint NOT NULL
);
INSERT INTO audit_head (id, term, size, last_xid, last_record) VALUES (1, 0, 0, '0', 0);
CREATE TRIGGER audit_records_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_records EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_leaves_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_leaves EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_nodes_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_nodes EXECUTE FUNCTION refuse_change();

GRANT SELECT, INSERT ON audit_records TO strongroom_ledger_writer, strongroom_app;
GRANT SELECT, INSERT ON audit_leaves, audit_nodes TO strongroom_ledger_writer;
GRANT SELECT, UPDATE ON audit_head TO strongroom_ledger_writer;
GRANT SELECT ON audit_leaves, audit_nodes, audit_head TO strongroom_app;
GRANT SELECT ON audit_records, audit_leaves, audit_nodes, audit_head TO strongroom_auditor;
