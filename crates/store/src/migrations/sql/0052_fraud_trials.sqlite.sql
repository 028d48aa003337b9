-- Drafts of the rules about fraud that run beside the set in force, one at a time: what they would have asked for is counted, and
-- where it is another thing than what was asked for, kept for a while.
CREATE TABLE fraud_trials (
  trial INTEGER NOT NULL PRIMARY KEY CHECK (trial > 0),
  -- The set in force beside which it runs; it ends with it.
  base INTEGER NOT NULL CHECK (base >= 0),
  rules TEXT NOT NULL CHECK (length(rules) BETWEEN 1 AND 32768),
  digest BLOB NOT NULL CHECK (length(digest) = 32),
  -- Who began it; zeros for whoever holds the data directory.
  maker BLOB NOT NULL CHECK (length(maker) = 16),
  -- Why, sealed.
  sealed_reason BLOB NOT NULL CHECK (length(sealed_reason) <= 4096),
  started_at INTEGER NOT NULL,
  ended_at INTEGER CHECK (ended_at >= started_at),
  -- Movements that both sets were asked about, those of them with another answer, and those kept below.
  judged INTEGER NOT NULL DEFAULT 0 CHECK (judged >= 0),
  differing INTEGER NOT NULL DEFAULT 0 CHECK (differing BETWEEN 0 AND judged),
  kept INTEGER NOT NULL DEFAULT 0 CHECK (kept BETWEEN 0 AND differing)
) STRICT;
CREATE UNIQUE INDEX fraud_trials_running ON fraud_trials ((ended_at IS NULL)) WHERE ended_at IS NULL;
CREATE TRIGGER fraud_trials_fixed BEFORE UPDATE ON fraud_trials
WHEN NEW.trial <> OLD.trial OR NEW.base <> OLD.base OR NEW.rules <> OLD.rules OR NEW.digest <> OLD.digest
  OR NEW.maker <> OLD.maker OR NEW.sealed_reason <> OLD.sealed_reason OR NEW.started_at <> OLD.started_at
  OR (OLD.ended_at IS NOT NULL AND NEW.ended_at IS NOT OLD.ended_at)
  OR NEW.judged < OLD.judged OR NEW.differing < OLD.differing OR NEW.kept < OLD.kept BEGIN
  SELECT RAISE(ABORT, 'a trial ends once, and what it is of is fixed');
END;
CREATE TRIGGER fraud_trials_kept BEFORE DELETE ON fraud_trials BEGIN SELECT RAISE(ABORT, 'trials are kept'); END;

-- How often what was asked for (`allow>review`), and how often each rule was met (`in_force:velocity/1`, `draft:velocity/2`).
CREATE TABLE fraud_trial_counts (
  trial INTEGER NOT NULL REFERENCES fraud_trials (trial),
  what TEXT NOT NULL CHECK (length(what) BETWEEN 1 AND 64),
  times INTEGER NOT NULL CHECK (times > 0),
  PRIMARY KEY (trial, what)
) STRICT, WITHOUT ROWID;

-- Movements of which something else would have followed.
CREATE TABLE fraud_trial_differences (
  trial INTEGER NOT NULL REFERENCES fraud_trials (trial),
  id BLOB NOT NULL CHECK (length(id) = 16),
  at INTEGER NOT NULL,
  in_force INTEGER NOT NULL CHECK (in_force BETWEEN 0 AND 3),
  draft INTEGER NOT NULL CHECK (draft BETWEEN 0 AND 3 AND draft <> in_force),
  in_force_rules TEXT NOT NULL CHECK (length(in_force_rules) <= 4096),
  draft_rules TEXT NOT NULL CHECK (length(draft_rules) <= 4096),
  PRIMARY KEY (trial, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX fraud_trial_differences_at ON fraud_trial_differences (at);
