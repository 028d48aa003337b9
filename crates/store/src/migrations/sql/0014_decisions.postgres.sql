-- What was decided: who asked for what, the number of the set that decided, and the facts. Facts that many decisions share
-- are kept once, sealed, under a keyed digest; what is somebody's (the address) is sealed under that person's key.
CREATE TABLE decision_inputs (
  digest bytea NOT NULL PRIMARY KEY CHECK (length(digest) = 16),
  sealed bytea NOT NULL
);
CREATE TABLE decisions (
  id uuid NOT NULL PRIMARY KEY,
  at bigint NOT NULL,
  request uuid NOT NULL,
  principal_kind bigint NOT NULL,
  principal_id uuid NOT NULL,
  action text NOT NULL,
  allowed boolean NOT NULL,
  version bigint NOT NULL CHECK (version > 0),
  inputs bytea NOT NULL CHECK (length(inputs) = 16),
  -- Whose key the address is sealed under.
  person uuid,
  sealed_address bytea,
  mac_key bigint NOT NULL,
  mac bytea NOT NULL CHECK (length(mac) = 32)
);
CREATE INDEX decisions_by_principal ON decisions (principal_id, id);
CREATE TRIGGER decision_inputs_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON decision_inputs EXECUTE FUNCTION refuse_change();
CREATE TRIGGER decisions_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON decisions EXECUTE FUNCTION refuse_change();

GRANT SELECT, INSERT ON decisions, decision_inputs TO strongroom_app;
GRANT SELECT (id, at, request, principal_kind, principal_id, action, allowed, version, inputs, mac_key, mac)
  ON decisions TO strongroom_auditor;
