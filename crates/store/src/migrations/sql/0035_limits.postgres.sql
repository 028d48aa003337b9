-- Limits of single accounts of a customer (the domain's `LimitsOfAccounts`), read and written with the customer's row.
ALTER TABLE customer_limits ADD COLUMN accounts bytea CHECK (octet_length(accounts) BETWEEN 1 AND 4096);
GRANT UPDATE (accounts) ON customer_limits TO strongroom_ledger_writer;

-- What was leased of what all customers together may pay on a day. It only grows: what a writer lost counts as spent.
CREATE TABLE bank_leases (
  currency text NOT NULL,
  -- Days since 1970, in the bank's time zone.
  day bigint NOT NULL,
  leased bigint NOT NULL CHECK (leased >= 0),
  -- What was granted last.
  granted bigint NOT NULL CHECK (granted >= 0),
  PRIMARY KEY (currency, day)
);
CREATE FUNCTION bank_leases_grow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.leased < OLD.leased OR NEW.currency <> OLD.currency OR NEW.day <> OLD.day THEN
    RAISE EXCEPTION 'what was leased is not given back';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER bank_leases_grow BEFORE UPDATE ON bank_leases FOR EACH ROW EXECUTE FUNCTION bank_leases_grow();
CREATE TRIGGER bank_leases_kept BEFORE DELETE OR TRUNCATE ON bank_leases EXECUTE FUNCTION refuse_change();

GRANT SELECT, INSERT ON bank_leases TO strongroom_ledger_writer;
GRANT UPDATE (leased, granted) ON bank_leases TO strongroom_ledger_writer;
GRANT SELECT ON bank_leases TO strongroom_app, strongroom_reader, strongroom_auditor;
