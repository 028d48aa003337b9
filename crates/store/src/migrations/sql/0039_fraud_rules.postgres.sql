-- Rules about fraud as the bank has set them: whole sets, of which the newest is in force. Set 0 is the program's own and is
-- not here. Nothing is ever changed: going back is an earlier set under the next number.
CREATE TABLE fraud_rule_sets (
  revision bigint NOT NULL PRIMARY KEY CHECK (revision > 0),
  rules text NOT NULL CHECK (length(rules) BETWEEN 1 AND 32768),
  digest bytea NOT NULL CHECK (length(digest) = 32),
  -- Who asked for it; zeros for whoever holds the data directory.
  maker uuid NOT NULL,
  -- Who approved it, never the same.
  checker uuid NOT NULL CHECK (checker <> maker),
  approval uuid NOT NULL UNIQUE REFERENCES approvals (id),
  -- The earlier set that was brought back, where it is one.
  restores bigint CHECK (restores >= 0 AND restores < revision),
  -- Why, sealed.
  sealed_reason bytea NOT NULL CHECK (length(sealed_reason) <= 4096),
  at bigint NOT NULL
);
CREATE FUNCTION fraud_rule_sets_next() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.revision IS DISTINCT FROM (SELECT coalesce(max(revision), 0) + 1 FROM fraud_rule_sets) THEN
    RAISE EXCEPTION 'revisions have no gaps' USING ERRCODE = 'check_violation', CONSTRAINT = 'fraud_rule_sets_next';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER fraud_rule_sets_next BEFORE INSERT ON fraud_rule_sets FOR EACH ROW EXECUTE FUNCTION fraud_rule_sets_next();
CREATE TRIGGER fraud_rule_sets_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON fraud_rule_sets EXECUTE FUNCTION refuse_change();

GRANT SELECT, INSERT ON fraud_rule_sets TO strongroom_app;
-- Auditors read which rules were in force and who decided so, and not what somebody wrote about it.
GRANT SELECT (revision, rules, digest, maker, checker, approval, restores, at) ON fraud_rule_sets TO strongroom_auditor;

-- Which rules a movement was held against.
ALTER TABLE reviews ADD COLUMN revision bigint NOT NULL DEFAULT 0 CHECK (revision >= 0);
CREATE TRIGGER reviews_revision_fixed BEFORE UPDATE OF revision ON reviews EXECUTE FUNCTION refuse_change();
GRANT SELECT (revision) ON reviews TO strongroom_auditor;
