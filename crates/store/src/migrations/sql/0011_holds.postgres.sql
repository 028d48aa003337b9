-- Money that is reserved for one payee. Only an open hold changes, and only by ending or by being captured further.
CREATE TABLE holds (
  id uuid PRIMARY KEY,
  account_id uuid NOT NULL REFERENCES accounts (id),
  to_account uuid NOT NULL REFERENCES accounts (id),
  amount bigint NOT NULL CHECK (amount > 0),
  currency text NOT NULL,
  captured bigint NOT NULL CHECK (captured BETWEEN 0 AND amount),
  -- 0 open, 1 captured, 2 voided, 3 expired.
  state bigint NOT NULL CHECK (state BETWEEN 0 AND 3),
  placed_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  closed_at bigint,
  CHECK (expires_at > placed_at AND account_id <> to_account),
  CHECK ((state = 0) = (closed_at IS NULL)),
  CHECK (state <> 0 OR captured < amount)
);
CREATE INDEX holds_open ON holds (account_id, expires_at) WHERE state = 0;
CREATE FUNCTION holds_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state <> 0 OR NEW.captured < OLD.captured
    OR (NEW.id, NEW.account_id, NEW.to_account, NEW.amount, NEW.currency, NEW.placed_at, NEW.expires_at)
      IS DISTINCT FROM (OLD.id, OLD.account_id, OLD.to_account, OLD.amount, OLD.currency, OLD.placed_at, OLD.expires_at) THEN
    RAISE EXCEPTION 'an ended hold is final, and what a hold is about is fixed' USING ERRCODE = 'check_violation', CONSTRAINT = 'holds_fixed';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER holds_fixed BEFORE UPDATE ON holds FOR EACH ROW EXECUTE FUNCTION holds_fixed();
CREATE TRIGGER holds_kept BEFORE DELETE OR TRUNCATE ON holds EXECUTE FUNCTION refuse_change();

-- What was paid out of a hold, and how that left the hold.
CREATE TABLE hold_captures (
  transaction_id uuid PRIMARY KEY,
  hold_id uuid NOT NULL REFERENCES holds (id),
  captured bigint NOT NULL CHECK (captured > 0),
  state bigint NOT NULL CHECK (state IN (0, 1))
);
CREATE INDEX hold_captures_by_hold ON hold_captures (hold_id, captured);
CREATE TRIGGER hold_captures_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON hold_captures EXECUTE FUNCTION refuse_change();

GRANT SELECT, INSERT ON holds, hold_captures TO strongroom_ledger_writer;
GRANT UPDATE (captured, state, closed_at) ON holds TO strongroom_ledger_writer;
GRANT SELECT ON holds, hold_captures TO strongroom_app, strongroom_reader, strongroom_auditor;
