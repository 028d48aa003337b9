-- Whom customers pay by a name of their own: what the books need to know, without name or number.
CREATE TABLE beneficiaries (
  id uuid PRIMARY KEY,
  owner uuid NOT NULL REFERENCES users (id),
  -- An account of this bank; absent where the money leaves by a rail.
  account_id uuid REFERENCES accounts (id),
  currency text NOT NULL,
  added_at bigint NOT NULL,
  removed_at bigint,
  -- Paid since it was added, and the newest payment.
  paid bigint NOT NULL DEFAULT 0 CHECK (paid >= 0),
  last_payment uuid,
  last_amount bigint,
  last_at bigint
);
CREATE INDEX beneficiaries_of_owner ON beneficiaries (owner, id) WHERE removed_at IS NULL;
CREATE FUNCTION beneficiaries_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.removed_at IS NOT NULL OR NEW.paid < OLD.paid
    OR (NEW.id, NEW.owner, NEW.account_id, NEW.currency, NEW.added_at)
      IS DISTINCT FROM (OLD.id, OLD.owner, OLD.account_id, OLD.currency, OLD.added_at) THEN
    RAISE EXCEPTION 'who a beneficiary is is fixed, and what was paid only grows'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'beneficiaries_fixed';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER beneficiaries_fixed BEFORE UPDATE ON beneficiaries FOR EACH ROW EXECUTE FUNCTION beneficiaries_fixed();
CREATE TRIGGER beneficiaries_kept BEFORE DELETE OR TRUNCATE ON beneficiaries EXECUTE FUNCTION refuse_change();

-- Name and number, sealed under the owner's key. They stay when the beneficiary is taken off the list: payments show them.
CREATE TABLE beneficiary_details (
  beneficiary_id uuid PRIMARY KEY REFERENCES beneficiaries (id),
  owner uuid NOT NULL,
  -- Blind index of owner, number and currency.
  target_index bytea NOT NULL CHECK (length(target_index) = 16),
  listed boolean NOT NULL,
  sealed bytea NOT NULL CHECK (length(sealed) <= 4096)
);
-- Nobody has the same beneficiary twice.
CREATE UNIQUE INDEX beneficiary_details_once ON beneficiary_details (owner, target_index) WHERE listed;
CREATE INDEX beneficiary_details_before ON beneficiary_details (owner, target_index);
ALTER TABLE beneficiary_details ENABLE ROW LEVEL SECURITY;
ALTER TABLE beneficiary_details FORCE ROW LEVEL SECURITY;
CREATE POLICY beneficiary_details_scope ON beneficiary_details TO strongroom_app USING (in_scope(owner)) WITH CHECK (in_scope(owner));

-- What was paid to beneficiaries. Those within the bank are settled when they are booked.
CREATE TABLE outgoing_payments (
  id uuid PRIMARY KEY,
  beneficiary_id uuid NOT NULL REFERENCES beneficiaries (id),
  payer uuid NOT NULL,
  account_id uuid NOT NULL REFERENCES accounts (id),
  to_account uuid REFERENCES accounts (id),
  amount bigint NOT NULL CHECK (amount > 0),
  currency text NOT NULL,
  -- 0 pending, 1 settled, 2 returned, 3 cancelled.
  state bigint NOT NULL CHECK (state BETWEEN 0 AND 3),
  -- Whether the bank's own bank said that it was debited for it.
  debited boolean NOT NULL,
  -- The released file that it left in.
  file_id uuid,
  paid_at bigint NOT NULL,
  closed_at bigint,
  CHECK ((state = 0) = (closed_at IS NULL)),
  CHECK (state <> 3 OR file_id IS NULL),
  CHECK (to_account IS NULL OR (state = 1 AND file_id IS NULL))
);
CREATE INDEX outgoing_payments_of_payer ON outgoing_payments (payer, id);
CREATE INDEX outgoing_payments_of_account ON outgoing_payments (account_id) WHERE state = 0;
CREATE INDEX outgoing_payments_waiting ON outgoing_payments (currency, id) WHERE state = 0 AND file_id IS NULL;
CREATE FUNCTION outgoing_payments_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (OLD.state <> NEW.state AND NOT ((OLD.state = 0 AND NEW.state IN (1, 2, 3)) OR (OLD.state = 1 AND NEW.state = 2)))
    OR (OLD.debited AND NOT NEW.debited) OR (OLD.file_id IS NOT NULL AND NEW.file_id IS DISTINCT FROM OLD.file_id)
    OR (OLD.file_id IS NULL AND NEW.file_id IS NOT NULL AND OLD.state <> 0)
    OR (NEW.file_id IS NULL AND NEW.state IN (1, 2) AND OLD.state = 0)
    OR (NEW.id, NEW.beneficiary_id, NEW.payer, NEW.account_id, NEW.to_account, NEW.amount, NEW.currency, NEW.paid_at)
      IS DISTINCT FROM
      (OLD.id, OLD.beneficiary_id, OLD.payer, OLD.account_id, OLD.to_account, OLD.amount, OLD.currency, OLD.paid_at) THEN
    RAISE EXCEPTION 'what a payment is about is fixed, and it goes one way only'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'outgoing_payments_fixed';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER outgoing_payments_fixed BEFORE UPDATE ON outgoing_payments FOR EACH ROW EXECUTE FUNCTION outgoing_payments_fixed();
CREATE TRIGGER outgoing_payments_kept BEFORE DELETE OR TRUNCATE ON outgoing_payments EXECUTE FUNCTION refuse_change();

GRANT SELECT ON beneficiaries TO strongroom_ledger_writer, strongroom_app, strongroom_reader, strongroom_auditor;
GRANT UPDATE (paid, last_payment, last_amount, last_at) ON beneficiaries TO strongroom_ledger_writer;
GRANT INSERT ON beneficiaries TO strongroom_app;
GRANT UPDATE (removed_at) ON beneficiaries TO strongroom_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON beneficiary_details TO strongroom_app;
GRANT SELECT, INSERT ON outgoing_payments TO strongroom_ledger_writer;
GRANT UPDATE (state, debited, closed_at) ON outgoing_payments TO strongroom_ledger_writer;
GRANT SELECT ON outgoing_payments TO strongroom_app, strongroom_reader, strongroom_auditor;
GRANT UPDATE (file_id) ON outgoing_payments TO strongroom_app;
GRANT UPDATE (spent_at) ON step_ups TO strongroom_app;
