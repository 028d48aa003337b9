-- What the limits know of a customer in a currency: own limits, a raise that waits, what was paid today and this month.
-- One row of fixed size, read and written with the accounts (its form is that of the domain's `CustomerLimits`).
CREATE TABLE customer_limits (
  owner uuid NOT NULL REFERENCES users (id),
  currency text NOT NULL,
  state bytea NOT NULL CHECK (octet_length(state) BETWEEN 1 AND 512),
  PRIMARY KEY (owner, currency)
);
CREATE TRIGGER customer_limits_kept BEFORE DELETE OR TRUNCATE ON customer_limits EXECUTE FUNCTION refuse_change();
INSERT INTO customer_limits (owner, currency, state)
  SELECT DISTINCT owner, currency, decode('01' || repeat('ff', 24) || repeat('00', 8) || repeat('ff', 24) || repeat('00', 128), 'hex') FROM accounts WHERE owner IS NOT NULL;

GRANT SELECT, INSERT ON customer_limits TO strongroom_ledger_writer;
GRANT UPDATE (state) ON customer_limits TO strongroom_ledger_writer;
GRANT SELECT ON customer_limits TO strongroom_app, strongroom_reader, strongroom_auditor;
GRANT UPDATE (state) ON customer_limits TO strongroom_app;
