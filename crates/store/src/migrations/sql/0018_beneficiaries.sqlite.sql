-- Whom customers pay by a name of their own: what the books need to know, without name or number.
CREATE TABLE beneficiaries (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  owner BLOB NOT NULL REFERENCES users (id),
  -- An account of this bank; absent where the money leaves by a rail.
  account_id BLOB REFERENCES accounts (id),
  currency TEXT NOT NULL,
  added_at INTEGER NOT NULL,
  removed_at INTEGER,
  -- Paid since it was added, and the newest payment.
  paid INTEGER NOT NULL DEFAULT 0 CHECK (paid >= 0),
  last_payment BLOB CHECK (last_payment IS NULL OR length(last_payment) = 16),
  last_amount INTEGER,
  last_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX beneficiaries_of_owner ON beneficiaries (owner, id) WHERE removed_at IS NULL;
CREATE TRIGGER beneficiaries_fixed BEFORE UPDATE ON beneficiaries BEGIN
  SELECT RAISE(ABORT, 'who a beneficiary is is fixed, and what was paid only grows')
  WHERE OLD.removed_at IS NOT NULL OR NEW.paid < OLD.paid
    OR NEW.id IS NOT OLD.id OR NEW.owner IS NOT OLD.owner OR NEW.account_id IS NOT OLD.account_id
    OR NEW.currency IS NOT OLD.currency OR NEW.added_at IS NOT OLD.added_at;
END;
CREATE TRIGGER beneficiaries_kept BEFORE DELETE ON beneficiaries BEGIN SELECT RAISE(ABORT, 'beneficiaries are never deleted'); END;

-- Name and number, sealed under the owner's key. They stay when the beneficiary is taken off the list: payments show them.
CREATE TABLE beneficiary_details (
  beneficiary_id BLOB NOT NULL PRIMARY KEY REFERENCES beneficiaries (id),
  owner BLOB NOT NULL,
  -- Blind index of owner, number and currency.
  target_index BLOB NOT NULL CHECK (length(target_index) = 16),
  listed INTEGER NOT NULL CHECK (listed IN (0, 1)),
  sealed BLOB NOT NULL CHECK (length(sealed) <= 4096)
) STRICT, WITHOUT ROWID;
-- Nobody has the same beneficiary twice.
CREATE UNIQUE INDEX beneficiary_details_once ON beneficiary_details (owner, target_index) WHERE listed = 1;
CREATE INDEX beneficiary_details_before ON beneficiary_details (owner, target_index);

-- What was paid to beneficiaries. Those within the bank are settled when they are booked.
CREATE TABLE outgoing_payments (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  beneficiary_id BLOB NOT NULL REFERENCES beneficiaries (id),
  payer BLOB NOT NULL CHECK (length(payer) = 16),
  account_id BLOB NOT NULL REFERENCES accounts (id),
  to_account BLOB REFERENCES accounts (id),
  amount INTEGER NOT NULL CHECK (amount > 0),
  currency TEXT NOT NULL,
  -- 0 pending, 1 settled, 2 returned, 3 cancelled.
  state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3),
  -- Whether the bank's own bank said that it was debited for it.
  debited INTEGER NOT NULL CHECK (debited IN (0, 1)),
  -- The released file that it left in.
  file_id BLOB CHECK (file_id IS NULL OR length(file_id) = 16),
  paid_at INTEGER NOT NULL,
  closed_at INTEGER,
  CHECK ((state = 0) = (closed_at IS NULL)),
  CHECK (state <> 3 OR file_id IS NULL),
  CHECK (to_account IS NULL OR (state = 1 AND file_id IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX outgoing_payments_of_payer ON outgoing_payments (payer, id);
CREATE INDEX outgoing_payments_of_account ON outgoing_payments (account_id) WHERE state = 0;
CREATE INDEX outgoing_payments_waiting ON outgoing_payments (currency, id) WHERE state = 0 AND file_id IS NULL;
CREATE TRIGGER outgoing_payments_fixed BEFORE UPDATE ON outgoing_payments BEGIN
  SELECT RAISE(ABORT, 'what a payment is about is fixed, and it goes one way only')
  WHERE (OLD.state <> NEW.state AND NOT ((OLD.state = 0 AND NEW.state IN (1, 2, 3)) OR (OLD.state = 1 AND NEW.state = 2)))
    OR NEW.debited < OLD.debited OR (OLD.file_id IS NOT NULL AND NEW.file_id IS NOT OLD.file_id)
    OR (OLD.file_id IS NULL AND NEW.file_id IS NOT NULL AND OLD.state <> 0)
    OR (NEW.file_id IS NULL AND NEW.state IN (1, 2) AND OLD.state = 0)
    OR NEW.id IS NOT OLD.id OR NEW.beneficiary_id IS NOT OLD.beneficiary_id OR NEW.payer IS NOT OLD.payer
    OR NEW.account_id IS NOT OLD.account_id OR NEW.to_account IS NOT OLD.to_account OR NEW.amount IS NOT OLD.amount
    OR NEW.currency IS NOT OLD.currency OR NEW.paid_at IS NOT OLD.paid_at;
END;
CREATE TRIGGER outgoing_payments_kept BEFORE DELETE ON outgoing_payments BEGIN SELECT RAISE(ABORT, 'payments are never deleted'); END;
