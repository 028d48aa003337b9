-- What the limits know of a customer in a currency: own limits, a raise that waits, what was paid today and this month.
-- One row of fixed size, read and written with the accounts (its form is that of the domain's `CustomerLimits`).
CREATE TABLE customer_limits (
  owner BLOB NOT NULL REFERENCES users (id) CHECK (length(owner) = 16),
  currency TEXT NOT NULL,
  state BLOB NOT NULL CHECK (length(state) BETWEEN 1 AND 512),
  PRIMARY KEY (owner, currency)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER customer_limits_kept BEFORE DELETE ON customer_limits BEGIN SELECT RAISE(ABORT, 'limits are never deleted'); END;
INSERT INTO customer_limits (owner, currency, state)
  SELECT DISTINCT owner, currency, unhex('01' || replace(hex(zeroblob(24)), '0', 'f') || hex(zeroblob(8)) || replace(hex(zeroblob(24)), '0', 'f') ||
    hex(zeroblob(128))) FROM accounts WHERE owner IS NOT NULL;
