-- Money that is reserved for one payee. Only an open hold changes, and only by ending or by being captured further.
CREATE TABLE holds (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  account_id BLOB NOT NULL REFERENCES accounts (id),
  to_account BLOB NOT NULL REFERENCES accounts (id),
  amount INTEGER NOT NULL CHECK (amount > 0),
  currency TEXT NOT NULL,
  captured INTEGER NOT NULL CHECK (captured BETWEEN 0 AND amount),
  -- 0 open, 1 captured, 2 voided, 3 expired.
  state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3),
  placed_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  closed_at INTEGER,
  CHECK (expires_at > placed_at AND account_id <> to_account),
  CHECK ((state = 0) = (closed_at IS NULL)),
  CHECK (state <> 0 OR captured < amount)
) STRICT, WITHOUT ROWID;
CREATE INDEX holds_open ON holds (account_id, expires_at) WHERE state = 0;
CREATE TRIGGER holds_fixed BEFORE UPDATE ON holds BEGIN
  SELECT RAISE(ABORT, 'an ended hold is final, and what a hold is about is fixed')
  WHERE OLD.state <> 0 OR NEW.captured < OLD.captured OR NEW.id IS NOT OLD.id OR NEW.account_id IS NOT OLD.account_id
    OR NEW.to_account IS NOT OLD.to_account OR NEW.amount IS NOT OLD.amount OR NEW.currency IS NOT OLD.currency
    OR NEW.placed_at IS NOT OLD.placed_at OR NEW.expires_at IS NOT OLD.expires_at;
END;
CREATE TRIGGER holds_kept BEFORE DELETE ON holds BEGIN SELECT RAISE(ABORT, 'holds are never deleted'); END;

-- What was paid out of a hold, and how that left the hold.
CREATE TABLE hold_captures (
  transaction_id BLOB NOT NULL PRIMARY KEY CHECK (length(transaction_id) = 16),
  hold_id BLOB NOT NULL REFERENCES holds (id),
  captured INTEGER NOT NULL CHECK (captured > 0),
  state INTEGER NOT NULL CHECK (state IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE INDEX hold_captures_by_hold ON hold_captures (hold_id, captured);
CREATE TRIGGER hold_captures_fixed BEFORE UPDATE ON hold_captures BEGIN SELECT RAISE(ABORT, 'captures are append-only'); END;
CREATE TRIGGER hold_captures_kept BEFORE DELETE ON hold_captures BEGIN SELECT RAISE(ABORT, 'captures are append-only'); END;
