-- Rules about fraud as the bank has set them: whole sets, of which the newest is in force. Set 0 is the program's own and is
-- not here. Nothing is ever changed: going back is an earlier set under the next number.
CREATE TABLE fraud_rule_sets (
  revision INTEGER NOT NULL PRIMARY KEY CHECK (revision > 0),
  rules TEXT NOT NULL CHECK (length(rules) BETWEEN 1 AND 32768),
  digest BLOB NOT NULL CHECK (length(digest) = 32),
  -- Who asked for it; zeros for whoever holds the data directory.
  maker BLOB NOT NULL CHECK (length(maker) = 16),
  -- Who approved it, never the same.
  checker BLOB NOT NULL CHECK (length(checker) = 16 AND checker <> maker),
  approval BLOB NOT NULL UNIQUE REFERENCES approvals (id),
  -- The earlier set that was brought back, where it is one.
  restores INTEGER CHECK (restores >= 0 AND restores < revision),
  -- Why, sealed.
  sealed_reason BLOB NOT NULL CHECK (length(sealed_reason) <= 4096),
  at INTEGER NOT NULL
) STRICT;
CREATE TRIGGER fraud_rule_sets_next BEFORE INSERT ON fraud_rule_sets BEGIN
  SELECT RAISE(ABORT, 'revisions have no gaps')
  WHERE NEW.revision IS NOT (SELECT coalesce(max(revision), 0) + 1 FROM fraud_rule_sets);
END;
CREATE TRIGGER fraud_rule_sets_fixed BEFORE UPDATE ON fraud_rule_sets BEGIN SELECT RAISE(ABORT, 'sets are append-only'); END;
CREATE TRIGGER fraud_rule_sets_kept BEFORE DELETE ON fraud_rule_sets BEGIN SELECT RAISE(ABORT, 'sets are append-only'); END;

-- Which rules a movement was held against.
ALTER TABLE reviews ADD COLUMN revision INTEGER NOT NULL DEFAULT 0 CHECK (revision >= 0);
CREATE TRIGGER reviews_revision_fixed BEFORE UPDATE OF revision ON reviews BEGIN
  SELECT RAISE(ABORT, 'a review is decided once, and what it is about is fixed');
END;
