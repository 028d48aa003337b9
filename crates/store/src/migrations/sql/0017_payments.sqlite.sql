-- Who is paid by customers, and on which account. The name is in a table of its own, sealed under its owner's key.
CREATE TABLE merchants (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  account_id BLOB NOT NULL UNIQUE REFERENCES accounts (id),
  owner BLOB NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER merchants_fixed BEFORE UPDATE ON merchants BEGIN SELECT RAISE(ABORT, 'a merchant''s facts are fixed'); END;
CREATE TRIGGER merchants_kept BEFORE DELETE ON merchants BEGIN SELECT RAISE(ABORT, 'merchants are never deleted'); END;
CREATE TABLE merchant_names (
  merchant_id BLOB NOT NULL PRIMARY KEY REFERENCES merchants (id),
  sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- What was paid to merchants, and how much of it was given back. Only that changes, upwards, until the bank reverses it.
CREATE TABLE payments (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  merchant_id BLOB NOT NULL REFERENCES merchants (id),
  payer BLOB NOT NULL CHECK (length(payer) = 16),
  account_id BLOB NOT NULL REFERENCES accounts (id),
  to_account BLOB NOT NULL REFERENCES accounts (id),
  amount INTEGER NOT NULL CHECK (amount > 0),
  currency TEXT NOT NULL,
  refunded INTEGER NOT NULL CHECK (refunded BETWEEN 0 AND amount),
  -- 0 paid, 1 reversed.
  state INTEGER NOT NULL CHECK (state IN (0, 1)),
  paid_at INTEGER NOT NULL,
  CHECK (account_id <> to_account),
  CHECK (state = 0 OR refunded < amount)
) STRICT, WITHOUT ROWID;
CREATE INDEX payments_alike ON payments (payer, to_account, amount, paid_at);
CREATE INDEX payments_of_payer ON payments (payer, id);
CREATE INDEX payments_of_merchant ON payments (merchant_id, id);
CREATE INDEX payments_to ON payments (to_account, id);
CREATE TRIGGER payments_fixed BEFORE UPDATE ON payments BEGIN
  SELECT RAISE(ABORT, 'a reversed payment is final, and what a payment is about is fixed')
  WHERE OLD.state <> 0 OR NEW.refunded < OLD.refunded
    OR NEW.id IS NOT OLD.id OR NEW.merchant_id IS NOT OLD.merchant_id OR NEW.payer IS NOT OLD.payer
    OR NEW.account_id IS NOT OLD.account_id OR NEW.to_account IS NOT OLD.to_account OR NEW.amount IS NOT OLD.amount
    OR NEW.currency IS NOT OLD.currency OR NEW.paid_at IS NOT OLD.paid_at;
END;
CREATE TRIGGER payments_kept BEFORE DELETE ON payments BEGIN SELECT RAISE(ABORT, 'payments are never deleted'); END;

-- What was given back, and how that left the payment.
CREATE TABLE refunds (
  transaction_id BLOB NOT NULL PRIMARY KEY CHECK (length(transaction_id) = 16),
  payment_id BLOB NOT NULL REFERENCES payments (id),
  amount INTEGER NOT NULL CHECK (amount > 0),
  refunded INTEGER NOT NULL CHECK (refunded >= amount),
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Of two refunds that saw the payment alike one cannot be written.
CREATE UNIQUE INDEX refunds_of_payment ON refunds (payment_id, refunded);
CREATE TRIGGER refunds_fixed BEFORE UPDATE ON refunds BEGIN SELECT RAISE(ABORT, 'refunds are append-only'); END;
CREATE TRIGGER refunds_kept BEFORE DELETE ON refunds BEGIN SELECT RAISE(ABORT, 'refunds are append-only'); END;

-- What the bank took back: each transaction once, each by a request of its own.
CREATE TABLE reversals (
  transaction_id BLOB NOT NULL PRIMARY KEY CHECK (length(transaction_id) = 16),
  reversal_id BLOB NOT NULL UNIQUE CHECK (length(reversal_id) = 16),
  approval_id BLOB NOT NULL UNIQUE REFERENCES approvals (id)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER reversals_fixed BEFORE UPDATE ON reversals BEGIN SELECT RAISE(ABORT, 'reversals are append-only'); END;
CREATE TRIGGER reversals_kept BEFORE DELETE ON reversals BEGIN SELECT RAISE(ABORT, 'reversals are append-only'); END;
