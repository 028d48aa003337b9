-- What rules about fraud know of a customer in a currency: one row of fixed size (its form is that of the domain's
-- `Features`), read and written with what the limits know. All zeros behind the form is a customer of whom nothing was
-- seen; a row that is missing or cannot be read makes the next payment wait for a look.
ALTER TABLE customer_limits ADD COLUMN features BLOB CHECK (length(features) BETWEEN 1 AND 1024);
UPDATE customer_limits SET features = unhex('01' || hex(zeroblob(596)));

-- Money of a transfer that waits for a look is reserved by a hold of the same id, which no verb of holds moves.
ALTER TABLE holds ADD COLUMN review INTEGER NOT NULL DEFAULT 0 CHECK (review IN (0, 1));
CREATE TRIGGER holds_review_fixed BEFORE UPDATE OF review ON holds BEGIN SELECT RAISE(ABORT, 'what a hold is about is fixed'); END;

-- What rules found about a movement, and what became of it. A request that comes again with its approval has the same id.
CREATE TABLE reviews (
  id BLOB NOT NULL CHECK (length(id) = 16),
  customer BLOB NOT NULL CHECK (length(customer) = 16),
  account_id BLOB NOT NULL REFERENCES accounts (id),
  to_account BLOB NOT NULL REFERENCES accounts (id),
  amount INTEGER NOT NULL CHECK (amount > 0),
  currency TEXT NOT NULL,
  -- 1 a fresh factor, 2 a look, 3 no.
  verdict INTEGER NOT NULL CHECK (verdict BETWEEN 1 AND 3),
  score INTEGER NOT NULL,
  rules TEXT NOT NULL CHECK (length(rules) <= 4096),
  at INTEGER NOT NULL,
  -- Until when it waits; null where nothing waits.
  expires_at INTEGER,
  memo BLOB CHECK (length(memo) = 32),
  value_date INTEGER,
  -- 0 open, 1 released, 2 rejected, 3 cancelled, 4 nothing waits.
  state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4),
  -- Who released it first, where it takes two.
  first_by BLOB,
  first_at INTEGER,
  decided_by BLOB,
  decided_at INTEGER,
  sealed_reason BLOB,
  PRIMARY KEY (id, verdict),
  CHECK ((state = 4) = (expires_at IS NULL) AND (state = 4 OR verdict = 2)),
  CHECK ((state IN (1, 2, 3)) = (decided_at IS NOT NULL)),
  CHECK (first_by IS NULL OR first_by IS NOT decided_by OR state <> 1)
) STRICT, WITHOUT ROWID;
CREATE INDEX reviews_open ON reviews (id) WHERE state = 0;
CREATE TRIGGER reviews_fixed BEFORE UPDATE ON reviews BEGIN
  SELECT RAISE(ABORT, 'a review is decided once, and what it is about is fixed')
  WHERE OLD.state <> 0 OR (OLD.first_by IS NOT NULL AND NEW.first_by IS NOT OLD.first_by) OR NEW.id IS NOT OLD.id
    OR NEW.customer IS NOT OLD.customer OR NEW.account_id IS NOT OLD.account_id OR NEW.to_account IS NOT OLD.to_account
    OR NEW.amount IS NOT OLD.amount OR NEW.currency IS NOT OLD.currency OR NEW.verdict IS NOT OLD.verdict
    OR NEW.score IS NOT OLD.score OR NEW.rules IS NOT OLD.rules OR NEW.at IS NOT OLD.at
    OR NEW.expires_at IS NOT OLD.expires_at OR NEW.memo IS NOT OLD.memo OR NEW.value_date IS NOT OLD.value_date;
END;
CREATE TRIGGER reviews_kept BEFORE DELETE ON reviews BEGIN SELECT RAISE(ABORT, 'reviews are never deleted'); END;
