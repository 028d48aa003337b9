-- Entries of statements of the bank's own bank that were read: each once, whatever file it comes in.
CREATE TABLE rail_entries (
  tag BLOB NOT NULL PRIMARY KEY CHECK (length(tag) = 16),
  -- 0 a payment went, 1 a payment came back, 2 money for an account, 3 nobody could place it.
  outcome INTEGER NOT NULL CHECK (outcome BETWEEN 0 AND 3),
  payment_id BLOB REFERENCES outgoing_payments (id),
  transaction_id BLOB UNIQUE CHECK (transaction_id IS NULL OR length(transaction_id) = 16),
  at INTEGER NOT NULL,
  CHECK ((outcome IN (0, 1)) = (payment_id IS NOT NULL)),
  CHECK ((outcome = 0) = (transaction_id IS NULL))
) STRICT, WITHOUT ROWID;
-- A payment goes once and comes back once.
CREATE UNIQUE INDEX rail_entries_of_payment ON rail_entries (payment_id, outcome) WHERE payment_id IS NOT NULL;
CREATE TRIGGER rail_entries_fixed BEFORE UPDATE ON rail_entries BEGIN SELECT RAISE(ABORT, 'entries that were read are append-only'); END;
CREATE TRIGGER rail_entries_kept BEFORE DELETE ON rail_entries BEGIN SELECT RAISE(ABORT, 'entries that were read are append-only'); END;

-- What nobody could place: its money lies on the suspense account. It has the bytes of the transaction that put it there.
CREATE TABLE suspense_items (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  tag BLOB NOT NULL UNIQUE CHECK (length(tag) = 16),
  -- 0 to the bank, 1 from the bank.
  direction INTEGER NOT NULL CHECK (direction IN (0, 1)),
  amount INTEGER NOT NULL CHECK (amount > 0),
  currency TEXT NOT NULL,
  reason INTEGER NOT NULL CHECK (reason BETWEEN 0 AND 4),
  -- What the statement says, sealed by the ring.
  sealed BLOB NOT NULL CHECK (length(sealed) <= 16384),
  opened_at INTEGER NOT NULL,
  resolution BLOB UNIQUE CHECK (resolution IS NULL OR length(resolution) = 16),
  approval_id BLOB UNIQUE REFERENCES approvals (id),
  resolved_at INTEGER,
  CHECK ((resolution IS NULL) = (approval_id IS NULL) AND (resolution IS NULL) = (resolved_at IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX suspense_items_open ON suspense_items (id) WHERE resolution IS NULL;
CREATE TRIGGER suspense_items_fixed BEFORE UPDATE ON suspense_items BEGIN
  SELECT RAISE(ABORT, 'what lies in suspense is fixed, and taken from there once')
  WHERE OLD.resolution IS NOT NULL OR NEW.id IS NOT OLD.id OR NEW.tag IS NOT OLD.tag OR NEW.direction IS NOT OLD.direction
    OR NEW.amount IS NOT OLD.amount OR NEW.currency IS NOT OLD.currency OR NEW.reason IS NOT OLD.reason
    OR NEW.sealed IS NOT OLD.sealed OR NEW.opened_at IS NOT OLD.opened_at;
END;
CREATE TRIGGER suspense_items_kept BEFORE DELETE ON suspense_items BEGIN SELECT RAISE(ABORT, 'suspense items are never deleted'); END;

-- Files of payments that were released. The bytes stay, sealed by the ring, until they lie where they are fetched.
CREATE TABLE rail_files (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  approval_id BLOB NOT NULL UNIQUE REFERENCES approvals (id),
  currency TEXT NOT NULL,
  payments INTEGER NOT NULL CHECK (payments > 0),
  total INTEGER NOT NULL CHECK (total > 0),
  digest BLOB NOT NULL CHECK (length(digest) = 32),
  sealed BLOB,
  released_at INTEGER NOT NULL,
  delivered_at INTEGER,
  CHECK ((sealed IS NULL) = (delivered_at IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX rail_files_waiting ON rail_files (id) WHERE delivered_at IS NULL;
CREATE TRIGGER rail_files_fixed BEFORE UPDATE ON rail_files BEGIN
  SELECT RAISE(ABORT, 'a released file is fixed, and delivered once')
  WHERE OLD.delivered_at IS NOT NULL OR NEW.id IS NOT OLD.id OR NEW.approval_id IS NOT OLD.approval_id
    OR NEW.currency IS NOT OLD.currency OR NEW.payments IS NOT OLD.payments OR NEW.total IS NOT OLD.total
    OR NEW.digest IS NOT OLD.digest OR NEW.released_at IS NOT OLD.released_at;
END;
CREATE TRIGGER rail_files_kept BEFORE DELETE ON rail_files BEGIN SELECT RAISE(ABORT, 'released files are never deleted'); END;

-- Statements that were read to their end, in the order of reading; amounts as the other bank says them, positive for a credit.
CREATE TABLE rail_statements (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  -- Of the file's bytes and the place of the statement in it.
  digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
  message TEXT NOT NULL CHECK (length(message) <= 64),
  currency TEXT NOT NULL,
  opening INTEGER,
  closing INTEGER,
  -- Days since 1970 of the balance after.
  day INTEGER,
  entries INTEGER NOT NULL,
  -- Sum of its entries.
  moved INTEGER NOT NULL,
  read_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER rail_statements_fixed BEFORE UPDATE ON rail_statements BEGIN SELECT RAISE(ABORT, 'statements are append-only'); END;
CREATE TRIGGER rail_statements_kept BEFORE DELETE ON rail_statements BEGIN SELECT RAISE(ABORT, 'statements are append-only'); END;
CREATE INDEX outgoing_payments_not_debited ON outgoing_payments (currency, id) WHERE debited = 0 AND to_account IS NULL AND state <> 3;
