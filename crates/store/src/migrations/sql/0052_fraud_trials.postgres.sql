-- Drafts of the rules about fraud that run beside the set in force, one at a time: what they would have asked for is counted, and
-- where it is another thing than what was asked for, kept for a while.
CREATE TABLE fraud_trials (
  trial bigint NOT NULL PRIMARY KEY CHECK (trial > 0),
  -- The set in force beside which it runs; it ends with it.
  base bigint NOT NULL CHECK (base >= 0),
  rules text NOT NULL CHECK (length(rules) BETWEEN 1 AND 32768),
  digest bytea NOT NULL CHECK (length(digest) = 32),
  -- Who began it; zeros for whoever holds the data directory.
  maker uuid NOT NULL,
  -- Why, sealed.
  sealed_reason bytea NOT NULL CHECK (length(sealed_reason) <= 4096),
  started_at bigint NOT NULL,
  ended_at bigint CHECK (ended_at >= started_at),
  -- Movements that both sets were asked about, those of them with another answer, and those kept below.
  judged bigint NOT NULL DEFAULT 0 CHECK (judged >= 0),
  differing bigint NOT NULL DEFAULT 0 CHECK (differing BETWEEN 0 AND judged),
  kept bigint NOT NULL DEFAULT 0 CHECK (kept BETWEEN 0 AND differing)
);
CREATE UNIQUE INDEX fraud_trials_running ON fraud_trials ((ended_at IS NULL)) WHERE ended_at IS NULL;
CREATE FUNCTION fraud_trials_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.trial, NEW.base, NEW.rules, NEW.digest, NEW.maker, NEW.sealed_reason, NEW.started_at)
      IS DISTINCT FROM (OLD.trial, OLD.base, OLD.rules, OLD.digest, OLD.maker, OLD.sealed_reason, OLD.started_at)
    OR (OLD.ended_at IS NOT NULL AND NEW.ended_at IS DISTINCT FROM OLD.ended_at)
    OR NEW.judged < OLD.judged OR NEW.differing < OLD.differing OR NEW.kept < OLD.kept THEN
    RAISE EXCEPTION 'a trial ends once, and what it is of is fixed' USING ERRCODE = 'check_violation', CONSTRAINT = 'fraud_trials_fixed';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER fraud_trials_fixed BEFORE UPDATE ON fraud_trials FOR EACH ROW EXECUTE FUNCTION fraud_trials_fixed();
CREATE TRIGGER fraud_trials_kept BEFORE DELETE OR TRUNCATE ON fraud_trials EXECUTE FUNCTION refuse_change();

-- How often what was asked for (`allow>review`), and how often each rule was met (`in_force:velocity/1`, `draft:velocity/2`).
CREATE TABLE fraud_trial_counts (
  trial bigint NOT NULL REFERENCES fraud_trials (trial),
  what text NOT NULL CHECK (length(what) BETWEEN 1 AND 64),
  times bigint NOT NULL CHECK (times > 0),
  PRIMARY KEY (trial, what)
);

-- Movements of which something else would have followed.
CREATE TABLE fraud_trial_differences (
  trial bigint NOT NULL REFERENCES fraud_trials (trial),
  id uuid NOT NULL,
  at bigint NOT NULL,
  in_force bigint NOT NULL CHECK (in_force BETWEEN 0 AND 3),
  draft bigint NOT NULL CHECK (draft BETWEEN 0 AND 3 AND draft <> in_force),
  in_force_rules text NOT NULL CHECK (length(in_force_rules) <= 4096),
  draft_rules text NOT NULL CHECK (length(draft_rules) <= 4096),
  PRIMARY KEY (trial, id)
);
CREATE INDEX fraud_trial_differences_at ON fraud_trial_differences (at);

GRANT SELECT, INSERT ON fraud_trials, fraud_trial_counts, fraud_trial_differences TO strongroom_app;
GRANT UPDATE (ended_at, judged, differing, kept) ON fraud_trials TO strongroom_app;
GRANT UPDATE (times) ON fraud_trial_counts TO strongroom_app;
GRANT DELETE ON fraud_trial_differences TO strongroom_app;
-- Auditors read which drafts ran and what came of them, and not what somebody wrote about it.
GRANT SELECT (trial, base, rules, digest, maker, started_at, ended_at, judged, differing, kept) ON fraud_trials TO strongroom_auditor;
GRANT SELECT ON fraud_trial_counts, fraud_trial_differences TO strongroom_auditor;
