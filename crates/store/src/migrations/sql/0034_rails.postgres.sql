-- Entries of statements of the bank's own bank that were read: each once, whatever file it comes in.
CREATE TABLE rail_entries (
  tag uuid PRIMARY KEY,
  -- 0 a payment went, 1 a payment came back, 2 money for an account, 3 nobody could place it.
  outcome bigint NOT NULL CHECK (outcome BETWEEN 0 AND 3),
  payment_id uuid REFERENCES outgoing_payments (id),
  transaction_id uuid UNIQUE,
  at bigint NOT NULL,
  CHECK ((outcome IN (0, 1)) = (payment_id IS NOT NULL)),
  CHECK ((outcome = 0) = (transaction_id IS NULL))
);
-- A payment goes once and comes back once.
CREATE UNIQUE INDEX rail_entries_of_payment ON rail_entries (payment_id, outcome) WHERE payment_id IS NOT NULL;
CREATE TRIGGER rail_entries_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON rail_entries EXECUTE FUNCTION refuse_change();

-- What nobody could place: its money lies on the suspense account. It has the bytes of the transaction that put it there.
CREATE TABLE suspense_items (
  id uuid PRIMARY KEY,
  tag uuid NOT NULL UNIQUE,
  -- 0 to the bank, 1 from the bank.
  direction bigint NOT NULL CHECK (direction IN (0, 1)),
  amount bigint NOT NULL CHECK (amount > 0),
  currency text NOT NULL,
  reason bigint NOT NULL CHECK (reason BETWEEN 0 AND 4),
  -- What the statement says, sealed by the ring.
  sealed bytea NOT NULL CHECK (length(sealed) <= 16384),
  opened_at bigint NOT NULL,
  resolution uuid UNIQUE,
  approval_id uuid UNIQUE,
  resolved_at bigint,
  CHECK ((resolution IS NULL) = (approval_id IS NULL) AND (resolution IS NULL) = (resolved_at IS NULL))
);
CREATE INDEX suspense_items_open ON suspense_items (id) WHERE resolution IS NULL;
CREATE FUNCTION suspense_items_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.resolution IS NOT NULL
    OR (NEW.id, NEW.tag, NEW.direction, NEW.amount, NEW.currency, NEW.reason, NEW.sealed, NEW.opened_at) IS DISTINCT FROM
      (OLD.id, OLD.tag, OLD.direction, OLD.amount, OLD.currency, OLD.reason, OLD.sealed, OLD.opened_at) THEN
    RAISE EXCEPTION 'what lies in suspense is fixed, and taken from there once'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'suspense_items_fixed';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER suspense_items_fixed BEFORE UPDATE ON suspense_items FOR EACH ROW EXECUTE FUNCTION suspense_items_fixed();
CREATE TRIGGER suspense_items_kept BEFORE DELETE OR TRUNCATE ON suspense_items EXECUTE FUNCTION refuse_change();

-- Files of payments that were released. The bytes stay, sealed by the ring, until they lie where they are fetched.
CREATE TABLE rail_files (
  id uuid PRIMARY KEY,
  approval_id uuid NOT NULL UNIQUE REFERENCES approvals (id),
  currency text NOT NULL,
  payments bigint NOT NULL CHECK (payments > 0),
  total bigint NOT NULL CHECK (total > 0),
  digest bytea NOT NULL CHECK (length(digest) = 32),
  sealed bytea,
  released_at bigint NOT NULL,
  delivered_at bigint,
  CHECK ((sealed IS NULL) = (delivered_at IS NOT NULL))
);
CREATE INDEX rail_files_waiting ON rail_files (id) WHERE delivered_at IS NULL;
CREATE FUNCTION rail_files_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.delivered_at IS NOT NULL
    OR (NEW.id, NEW.approval_id, NEW.currency, NEW.payments, NEW.total, NEW.digest, NEW.released_at) IS DISTINCT FROM
      (OLD.id, OLD.approval_id, OLD.currency, OLD.payments, OLD.total, OLD.digest, OLD.released_at) THEN
    RAISE EXCEPTION 'a released file is fixed, and delivered once'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'rail_files_fixed';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER rail_files_fixed BEFORE UPDATE ON rail_files FOR EACH ROW EXECUTE FUNCTION rail_files_fixed();
CREATE TRIGGER rail_files_kept BEFORE DELETE OR TRUNCATE ON rail_files EXECUTE FUNCTION refuse_change();

-- Statements that were read to their end, in the order of reading; amounts as the other bank says them, positive for a credit.
CREATE TABLE rail_statements (
  id uuid PRIMARY KEY,
  -- Of the file's bytes and the place of the statement in it.
  digest bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
  message text NOT NULL CHECK (length(message) <= 64),
  currency text NOT NULL,
  opening bigint,
  closing bigint,
  -- Days since 1970 of the balance after.
  day bigint,
  entries bigint NOT NULL,
  -- Sum of its entries.
  moved bigint NOT NULL,
  read_at bigint NOT NULL
);
CREATE TRIGGER rail_statements_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON rail_statements EXECUTE FUNCTION refuse_change();
CREATE INDEX outgoing_payments_not_debited ON outgoing_payments (currency, id)
  WHERE NOT debited AND to_account IS NULL AND state <> 3;

GRANT SELECT, INSERT ON rail_entries TO strongroom_ledger_writer;
GRANT INSERT ON suspense_items TO strongroom_ledger_writer;
GRANT SELECT (id, direction, amount, currency, reason, opened_at, resolution) ON suspense_items TO strongroom_ledger_writer, strongroom_reader;
GRANT UPDATE (resolution, approval_id, resolved_at) ON suspense_items TO strongroom_ledger_writer;
GRANT SELECT ON rail_entries, suspense_items, rail_files, rail_statements TO strongroom_app;
GRANT INSERT ON rail_files, rail_statements TO strongroom_app;
GRANT UPDATE (sealed, delivered_at) ON rail_files TO strongroom_app;
GRANT SELECT ON rail_entries, rail_statements TO strongroom_reader, strongroom_auditor;
GRANT SELECT (id, direction, amount, currency, reason, opened_at, resolution, approval_id, resolved_at)
  ON suspense_items TO strongroom_auditor;
GRANT SELECT (id, approval_id, currency, payments, total, digest, released_at, delivered_at) ON rail_files TO strongroom_auditor;
