-- Whose things an operator read and why: the reason is sealed under the operator's key. And a role that looks into things.
ALTER TABLE decisions ADD COLUMN owner uuid;
ALTER TABLE decisions ADD COLUMN sealed_reason bytea;
GRANT SELECT (owner) ON decisions TO strongroom_auditor;

ALTER TABLE grants DROP CONSTRAINT grants_role_check;
ALTER TABLE grants ADD CONSTRAINT grants_role_check
  CHECK (role IN ('customer', 'support', 'teller', 'auditor', 'admin', 'compliance'));
