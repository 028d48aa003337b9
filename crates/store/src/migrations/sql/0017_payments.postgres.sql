-- Who is paid by customers, and on which account. The name is in a table of its own, sealed under its owner's key.
CREATE TABLE merchants (
  id uuid PRIMARY KEY,
  account_id uuid NOT NULL UNIQUE REFERENCES accounts (id),
  owner uuid NOT NULL,
  created_at bigint NOT NULL
);
CREATE TRIGGER merchants_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON merchants EXECUTE FUNCTION refuse_change();
CREATE TABLE merchant_names (
  merchant_id uuid PRIMARY KEY REFERENCES merchants (id),
  sealed bytea NOT NULL
);
ALTER TABLE merchant_names ENABLE ROW LEVEL SECURITY;
ALTER TABLE merchant_names FORCE ROW LEVEL SECURITY;
CREATE POLICY merchant_names_read ON merchant_names FOR SELECT TO strongroom_reader USING (true);
CREATE POLICY merchant_names_scope ON merchant_names TO strongroom_app
  USING (in_scope((SELECT owner FROM merchants WHERE id = merchant_id)))
  WITH CHECK (in_scope((SELECT owner FROM merchants WHERE id = merchant_id)));

-- What was paid to merchants, and how much of it was given back. Only that changes, upwards, until the bank reverses it.
CREATE TABLE payments (
  id uuid PRIMARY KEY,
  merchant_id uuid NOT NULL REFERENCES merchants (id),
  payer uuid NOT NULL,
  account_id uuid NOT NULL REFERENCES accounts (id),
  to_account uuid NOT NULL REFERENCES accounts (id),
  amount bigint NOT NULL CHECK (amount > 0),
  currency text NOT NULL,
  refunded bigint NOT NULL CHECK (refunded BETWEEN 0 AND amount),
  -- 0 paid, 1 reversed.
  state bigint NOT NULL CHECK (state IN (0, 1)),
  paid_at bigint NOT NULL,
  CHECK (account_id <> to_account),
  CHECK (state = 0 OR refunded < amount)
);
CREATE INDEX payments_alike ON payments (payer, to_account, amount, paid_at);
CREATE INDEX payments_of_payer ON payments (payer, id);
CREATE INDEX payments_of_merchant ON payments (merchant_id, id);
CREATE INDEX payments_to ON payments (to_account, id);
CREATE FUNCTION payments_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state <> 0 OR NEW.refunded < OLD.refunded
    OR (NEW.id, NEW.merchant_id, NEW.payer, NEW.account_id, NEW.to_account, NEW.amount, NEW.currency, NEW.paid_at)
      IS DISTINCT FROM
      (OLD.id, OLD.merchant_id, OLD.payer, OLD.account_id, OLD.to_account, OLD.amount, OLD.currency, OLD.paid_at) THEN
    RAISE EXCEPTION 'a reversed payment is final, and what a payment is about is fixed'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'payments_fixed';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER payments_fixed BEFORE UPDATE ON payments FOR EACH ROW EXECUTE FUNCTION payments_fixed();
CREATE TRIGGER payments_kept BEFORE DELETE OR TRUNCATE ON payments EXECUTE FUNCTION refuse_change();

-- What was given back, and how that left the payment.
CREATE TABLE refunds (
  transaction_id uuid PRIMARY KEY,
  payment_id uuid NOT NULL REFERENCES payments (id),
  amount bigint NOT NULL CHECK (amount > 0),
  refunded bigint NOT NULL CHECK (refunded >= amount),
  at bigint NOT NULL
);
-- Of two refunds that saw the payment alike one cannot be written.
CREATE UNIQUE INDEX refunds_of_payment ON refunds (payment_id, refunded);
CREATE TRIGGER refunds_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON refunds EXECUTE FUNCTION refuse_change();

-- What the bank took back: each transaction once, each by a request of its own.
CREATE TABLE reversals (
  transaction_id uuid PRIMARY KEY,
  reversal_id uuid NOT NULL UNIQUE,
  approval_id uuid NOT NULL UNIQUE
);
CREATE TRIGGER reversals_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON reversals EXECUTE FUNCTION refuse_change();

GRANT SELECT, INSERT ON payments, refunds, reversals TO strongroom_ledger_writer;
GRANT SELECT (id) ON merchants TO strongroom_ledger_writer;
GRANT UPDATE (refunded, state) ON payments TO strongroom_ledger_writer;
-- A reversal closes the request that it was asked by in its own commit; what exactly was asked for stays unread.
GRANT SELECT (id, digest, state, expires_at) ON approvals TO strongroom_ledger_writer;
GRANT UPDATE (state, checker, decided_at, sealed_reason, sealed) ON approvals TO strongroom_ledger_writer;
GRANT SELECT, INSERT ON merchants, merchant_names TO strongroom_app;
GRANT UPDATE, DELETE ON merchant_names TO strongroom_app;
GRANT SELECT ON merchants, merchant_names TO strongroom_reader;
GRANT SELECT ON merchants TO strongroom_auditor;
GRANT SELECT ON payments, refunds, reversals TO strongroom_app, strongroom_reader, strongroom_auditor;
