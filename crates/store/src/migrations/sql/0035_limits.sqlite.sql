-- Limits of single accounts of a customer (the domain's `LimitsOfAccounts`), read and written with the customer's row.
ALTER TABLE customer_limits ADD COLUMN accounts BLOB CHECK (length(accounts) BETWEEN 1 AND 4096);

-- What was leased of what all customers together may pay on a day. It only grows: what a writer lost counts as spent.
CREATE TABLE bank_leases (
  currency TEXT NOT NULL,
  -- Days since 1970, in the bank's time zone.
  day INTEGER NOT NULL,
  leased INTEGER NOT NULL CHECK (leased >= 0),
  -- What was granted last.
  granted INTEGER NOT NULL CHECK (granted >= 0),
  PRIMARY KEY (currency, day)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER bank_leases_grow BEFORE UPDATE ON bank_leases BEGIN
  SELECT RAISE(ABORT, 'what was leased is not given back') WHERE NEW.leased < OLD.leased
    OR NEW.currency IS NOT OLD.currency OR NEW.day IS NOT OLD.day;
END;
CREATE TRIGGER bank_leases_kept BEFORE DELETE ON bank_leases BEGIN SELECT RAISE(ABORT, 'leases are never deleted'); END;
