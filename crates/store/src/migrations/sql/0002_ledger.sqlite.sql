-- The books. Whatever a posting writes is appended in the order of booking; only account_states is updated in place.
CREATE TABLE accounts (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  owner BLOB REFERENCES users (id),
  kind TEXT NOT NULL CHECK (kind IN ('checking', 'savings', 'cash', 'clearing', 'suspense', 'equity', 'fee_income', 'interest_expense')),
  currency TEXT NOT NULL CHECK (length(currency) = 3),
  number TEXT UNIQUE,
  opened_at INTEGER NOT NULL,
  CHECK ((owner IS NULL) = (number IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX accounts_owner ON accounts (owner, id) WHERE owner IS NOT NULL;
CREATE TRIGGER accounts_fixed BEFORE UPDATE ON accounts BEGIN SELECT RAISE(ABORT, 'an account''s facts are fixed'); END;
CREATE TRIGGER accounts_kept BEFORE DELETE ON accounts BEGIN SELECT RAISE(ABORT, 'accounts are never deleted'); END;

CREATE TABLE account_names (
  account_id BLOB NOT NULL PRIMARY KEY REFERENCES accounts (id),
  sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Narrow on purpose: these are the pages that every batch writes at random places.
CREATE TABLE account_states (
  account_id BLOB NOT NULL PRIMARY KEY REFERENCES accounts (id),
  floor INTEGER,
  freezes INTEGER NOT NULL CHECK (freezes BETWEEN 0 AND 15),
  closed INTEGER NOT NULL CHECK (closed IN (0, 1)),
  balance INTEGER NOT NULL,
  held INTEGER NOT NULL CHECK (held >= 0),
  holds INTEGER NOT NULL CHECK (holds >= 0),
  hold_due INTEGER,
  entries INTEGER NOT NULL CHECK (entries >= 0),
  last_booked_at INTEGER NOT NULL,
  path BLOB NOT NULL,
  CHECK (floor IS NULL OR balance - held >= floor),
  CHECK (holds > 0 OR (held = 0 AND hold_due IS NULL)),
  CHECK (closed = 0 OR (balance = 0 AND held = 0))
) STRICT, WITHOUT ROWID;
CREATE TRIGGER account_states_kept BEFORE DELETE ON account_states BEGIN SELECT RAISE(ABORT, 'accounts are never deleted'); END;

-- A transaction is keyed by its last entry: that makes both directions of the bond between a transaction and its entries
-- a lookup by row id. The transaction comes first and promises its last entry (deferred); every entry names its transaction at once;
-- the last entry closes it, and then the sums must be zero.
CREATE TABLE transactions (
  last_entry INTEGER PRIMARY KEY REFERENCES entries (id) DEFERRABLE INITIALLY DEFERRED,
  id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
  first_entry INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('transfer', 'deposit', 'withdrawal', 'capture', 'payment', 'refund', 'reversal')),
  from_account BLOB NOT NULL,
  to_account BLOB NOT NULL,
  amount INTEGER NOT NULL CHECK (amount > 0),
  currency TEXT NOT NULL,
  booked_at INTEGER NOT NULL,
  value_date INTEGER NOT NULL,
  memo BLOB CHECK (length(memo) = 32),
  salt BLOB NOT NULL CHECK (length(salt) = 16),
  record INTEGER NOT NULL,
  CHECK (first_entry < last_entry AND from_account <> to_account)
) STRICT;

CREATE TABLE entries (
  id INTEGER PRIMARY KEY,
  transaction_entry INTEGER NOT NULL,
  account_id BLOB NOT NULL,
  sequence INTEGER NOT NULL CHECK (sequence > 0),
  amount INTEGER NOT NULL CHECK (amount <> 0),
  currency TEXT NOT NULL,
  balance_after INTEGER NOT NULL,
  booked_at INTEGER NOT NULL,
  prev INTEGER,
  jump INTEGER,
  CHECK (id <= transaction_entry AND prev < id AND jump <= prev)
) STRICT;

-- An entry comes once, within its transaction, in its account's currency. This takes the place of foreign keys, which would look
-- the same rows up once more. That it is new is asked because INSERT OR REPLACE would otherwise delete without asking the triggers
-- below, where a connection does not switch recursive triggers on.
CREATE TRIGGER entries_place BEFORE INSERT ON entries BEGIN
  SELECT CASE
    WHEN EXISTS (SELECT 1 FROM entries WHERE id = NEW.id) THEN RAISE(ABORT, 'entries are append-only')
    WHEN NOT EXISTS (SELECT 1 FROM transactions WHERE last_entry = NEW.transaction_entry AND first_entry <= NEW.id)
      THEN RAISE(ABORT, 'an entry lies within its transaction')
    WHEN NEW.currency IS NOT (SELECT currency FROM accounts WHERE id = NEW.account_id)
      THEN RAISE(ABORT, 'an entry is in its account''s own currency')
  END;
END;
CREATE TRIGGER transactions_place BEFORE INSERT ON transactions BEGIN
  SELECT RAISE(ABORT, 'transactions are append-only') WHERE EXISTS (SELECT 1 FROM transactions WHERE last_entry = NEW.last_entry);
END;
CREATE TRIGGER entries_balance AFTER INSERT ON entries WHEN NEW.id = NEW.transaction_entry BEGIN
  SELECT RAISE(ABORT, 'debits and credits differ') FROM (
    SELECT sum(e.amount) AS total, min(e.currency) AS low, max(e.currency) AS high, count(*) AS lines, t.first_entry
    FROM transactions t JOIN entries e ON e.id BETWEEN t.first_entry AND t.last_entry AND e.transaction_entry = t.last_entry
    WHERE t.last_entry = NEW.id
  ) WHERE lines <> NEW.id - first_entry + 1 OR (low = high AND total <> 0)
    OR (low <> high AND EXISTS (SELECT 1 FROM entries e WHERE e.id BETWEEN first_entry AND NEW.id GROUP BY e.currency HAVING sum(e.amount) <> 0));
END;
CREATE TRIGGER entries_fixed BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END;
CREATE TRIGGER entries_kept BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END;
CREATE TRIGGER transactions_fixed BEFORE UPDATE ON transactions BEGIN SELECT RAISE(ABORT, 'transactions are append-only'); END;
CREATE TRIGGER transactions_kept BEFORE DELETE ON transactions BEGIN SELECT RAISE(ABORT, 'transactions are append-only'); END;

-- Free text beside a transaction, sealed under a person's data key. Not append-only: it goes with the person.
CREATE TABLE memos (
  transaction_id BLOB NOT NULL PRIMARY KEY CHECK (length(transaction_id) = 16),
  person BLOB NOT NULL,
  sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- What became of idempotency keys, in the order of time. The tag is keyed, so a copy of the database tells no keys.
CREATE TABLE idempotency_outcomes (
  id INTEGER PRIMARY KEY,
  tag BLOB NOT NULL CHECK (length(tag) = 16),
  fingerprint BLOB NOT NULL,
  code INTEGER NOT NULL,
  resource BLOB,
  at INTEGER NOT NULL
) STRICT;
CREATE TRIGGER idempotency_outcomes_fixed BEFORE UPDATE ON idempotency_outcomes BEGIN SELECT RAISE(ABORT, 'outcomes are append-only'); END;
-- Keys live at least seven days.
CREATE TRIGGER idempotency_outcomes_kept BEFORE DELETE ON idempotency_outcomes
  WHEN OLD.at > (unixepoch() - 604800) * 1000000 BEGIN SELECT RAISE(ABORT, 'outcomes are kept for seven days'); END;

-- Derived from the table above: sorted runs for looking tags up, each written once from left to right.
CREATE TABLE idempotency_runs (
  run INTEGER NOT NULL,
  tag BLOB NOT NULL,
  outcome INTEGER NOT NULL,
  PRIMARY KEY (run, tag)
) STRICT, WITHOUT ROWID;
CREATE TABLE idempotency_run_heads (
  run INTEGER PRIMARY KEY,
  first_outcome INTEGER NOT NULL,
  last_outcome INTEGER NOT NULL,
  filter BLOB NOT NULL
) STRICT;
