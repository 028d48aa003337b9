-- What rules about fraud know of a customer in a currency: one row of fixed size (its form is that of the domain's
-- `Features`), read and written with what the limits know. All zeros behind the form is a customer of whom nothing was
-- seen; a row that is missing or cannot be read makes the next payment wait for a look.
ALTER TABLE customer_limits ADD COLUMN features bytea CHECK (octet_length(features) BETWEEN 1 AND 1024);
UPDATE customer_limits SET features = decode('01' || repeat('00', 596), 'hex');
GRANT UPDATE (features) ON customer_limits TO strongroom_ledger_writer;

-- Money of a transfer that waits for a look is reserved by a hold of the same id, which no verb of holds moves.
ALTER TABLE holds ADD COLUMN review boolean NOT NULL DEFAULT false;

-- What rules found about a movement, and what became of it. A request that comes again with its approval has the same id.
CREATE TABLE reviews (
  id uuid NOT NULL,
  customer uuid NOT NULL,
  account_id uuid NOT NULL REFERENCES accounts (id),
  to_account uuid NOT NULL REFERENCES accounts (id),
  amount bigint NOT NULL CHECK (amount > 0),
  currency text NOT NULL,
  -- 1 a fresh factor, 2 a look, 3 no.
  verdict bigint NOT NULL CHECK (verdict BETWEEN 1 AND 3),
  score bigint NOT NULL,
  rules text NOT NULL CHECK (length(rules) <= 4096),
  at bigint NOT NULL,
  -- Until when it waits; null where nothing waits.
  expires_at bigint,
  memo bytea CHECK (octet_length(memo) = 32),
  value_date bigint,
  -- 0 open, 1 released, 2 rejected, 3 cancelled, 4 nothing waits.
  state bigint NOT NULL CHECK (state BETWEEN 0 AND 4),
  -- Who released it first, where it takes two.
  first_by uuid,
  first_at bigint,
  decided_by uuid,
  decided_at bigint,
  sealed_reason bytea,
  PRIMARY KEY (id, verdict),
  CHECK ((state = 4) = (expires_at IS NULL) AND (state = 4 OR verdict = 2)),
  CHECK ((state IN (1, 2, 3)) = (decided_at IS NOT NULL)),
  CHECK (first_by IS DISTINCT FROM decided_by OR first_by IS NULL OR state <> 1)
);
CREATE INDEX reviews_open ON reviews (id) WHERE state = 0;
CREATE FUNCTION reviews_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state <> 0 OR (OLD.first_by IS NOT NULL AND NEW.first_by IS DISTINCT FROM OLD.first_by)
    OR (NEW.id, NEW.customer, NEW.account_id, NEW.to_account, NEW.amount, NEW.currency, NEW.verdict, NEW.score, NEW.rules, NEW.at, NEW.expires_at, NEW.memo, NEW.value_date)
      IS DISTINCT FROM (OLD.id, OLD.customer, OLD.account_id, OLD.to_account, OLD.amount, OLD.currency, OLD.verdict, OLD.score, OLD.rules, OLD.at, OLD.expires_at, OLD.memo, OLD.value_date) THEN
    RAISE EXCEPTION 'a review is decided once, and what it is about is fixed' USING ERRCODE = 'check_violation', CONSTRAINT = 'reviews_fixed';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER reviews_fixed BEFORE UPDATE ON reviews FOR EACH ROW EXECUTE FUNCTION reviews_fixed();
CREATE TRIGGER reviews_kept BEFORE DELETE OR TRUNCATE ON reviews EXECUTE FUNCTION refuse_change();

GRANT SELECT, INSERT ON reviews TO strongroom_ledger_writer;
GRANT UPDATE (state, decided_by, decided_at, sealed_reason) ON reviews TO strongroom_ledger_writer;
GRANT SELECT ON reviews TO strongroom_app, strongroom_reader;
-- Auditors read neither what the memo is bound to nor what was written about a person.
GRANT SELECT (id, customer, account_id, to_account, amount, currency, verdict, score, rules, at, expires_at, value_date,
  state, first_by, first_at, decided_by, decided_at) ON reviews TO strongroom_auditor;
GRANT UPDATE (first_by, first_at) ON reviews TO strongroom_app;
