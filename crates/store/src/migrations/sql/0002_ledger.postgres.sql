-- The books. Whatever a posting writes is appended in the order of booking; only account_states is updated in place.
CREATE TABLE accounts (
  id uuid PRIMARY KEY,
  owner uuid REFERENCES users (id),
  kind text NOT NULL CHECK (kind IN ('checking', 'savings', 'cash', 'clearing', 'suspense', 'equity', 'fee_income', 'interest_expense')),
  currency text NOT NULL CHECK (length(currency) = 3),
  number text UNIQUE,
  opened_at bigint NOT NULL,
  CHECK ((owner IS NULL) = (number IS NULL))
);
CREATE INDEX accounts_owner ON accounts (owner, id) WHERE owner IS NOT NULL;
CREATE TRIGGER accounts_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON accounts EXECUTE FUNCTION refuse_change();

CREATE TABLE account_names (
  account_id uuid PRIMARY KEY REFERENCES accounts (id),
  sealed bytea NOT NULL
);

-- Room is left in each page so that an update stays in it (HOT) and touches no index.
CREATE TABLE account_states (
  account_id uuid PRIMARY KEY REFERENCES accounts (id),
  floor bigint,
  freezes bigint NOT NULL CHECK (freezes BETWEEN 0 AND 15),
  closed boolean NOT NULL,
  balance bigint NOT NULL,
  held bigint NOT NULL CHECK (held >= 0),
  holds bigint NOT NULL CHECK (holds >= 0),
  hold_due bigint,
  entries bigint NOT NULL CHECK (entries >= 0),
  last_booked_at bigint NOT NULL,
  path bytea NOT NULL,
  CHECK (floor IS NULL OR balance - held >= floor),
  CHECK (holds > 0 OR (held = 0 AND hold_due IS NULL)),
  CHECK (NOT closed OR (balance = 0 AND held = 0))
) WITH (fillfactor = 50);
CREATE TRIGGER account_states_kept BEFORE DELETE OR TRUNCATE ON account_states EXECUTE FUNCTION refuse_change();

-- Each batch draws one number and has the block of ids behind it: ids ascend in the order of the locks.
CREATE SEQUENCE entry_blocks INCREMENT BY 4096 MINVALUE 1 START WITH 1 NO CYCLE;
CREATE SEQUENCE record_blocks INCREMENT BY 4096 MINVALUE 1 START WITH 1 NO CYCLE;

CREATE TABLE transactions (
  last_entry bigint PRIMARY KEY,
  id uuid NOT NULL UNIQUE,
  first_entry bigint NOT NULL,
  kind text NOT NULL CHECK (kind IN ('transfer', 'deposit', 'withdrawal', 'capture', 'payment', 'refund', 'reversal')),
  from_account uuid NOT NULL,
  to_account uuid NOT NULL,
  amount bigint NOT NULL CHECK (amount > 0),
  currency text NOT NULL,
  booked_at bigint NOT NULL,
  value_date bigint NOT NULL,
  memo bytea CHECK (length(memo) = 32),
  salt bytea NOT NULL CHECK (length(salt) = 16),
  record bigint NOT NULL,
  CHECK (first_entry < last_entry AND from_account <> to_account)
);

CREATE TABLE entries (
  id bigint PRIMARY KEY,
  transaction_entry bigint NOT NULL,
  account_id uuid NOT NULL,
  sequence bigint NOT NULL CHECK (sequence > 0),
  amount bigint NOT NULL CHECK (amount <> 0),
  currency text NOT NULL,
  balance_after bigint NOT NULL,
  booked_at bigint NOT NULL,
  prev bigint,
  jump bigint,
  CHECK (id <= transaction_entry AND prev < id AND jump <= prev)
);

-- One check per statement, whatever the batch: every transaction of these entries is whole, sums to zero per currency, and its
-- accounts are there. Takes the place of foreign keys, which would run a query per row.
CREATE FUNCTION entries_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM new_entries GROUP BY transaction_entry, currency HAVING sum(amount) <> 0) THEN
    RAISE EXCEPTION 'debits and credits differ' USING ERRCODE = 'check_violation', CONSTRAINT = 'entries_balance';
  END IF;
  IF EXISTS (
    SELECT 1 FROM (SELECT transaction_entry, count(*) AS lines, min(id) AS low, max(id) AS high FROM new_entries GROUP BY transaction_entry) e
    LEFT JOIN transactions t ON t.last_entry = e.transaction_entry
    WHERE t.last_entry IS NULL OR e.low <> t.first_entry OR e.high <> t.last_entry OR e.lines <> t.last_entry - t.first_entry + 1
  ) THEN
    RAISE EXCEPTION 'entries without their transaction' USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'entries_transaction';
  END IF;
  IF EXISTS (
    SELECT 1 FROM (SELECT DISTINCT account_id, currency FROM new_entries) e
    LEFT JOIN accounts a ON a.id = e.account_id WHERE a.currency IS DISTINCT FROM e.currency
  ) THEN
    RAISE EXCEPTION 'entries without their account' USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'entries_account';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER entries_balance AFTER INSERT ON entries REFERENCING NEW TABLE AS new_entries
  FOR EACH STATEMENT EXECUTE FUNCTION entries_balance();

-- The other direction: no transaction without entries. Entries are written by the same statement.
CREATE FUNCTION transactions_whole() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM new_transactions t LEFT JOIN entries e ON e.id = t.last_entry AND e.transaction_entry = t.last_entry WHERE e.id IS NULL) THEN
    RAISE EXCEPTION 'a transaction without entries' USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'transactions_entries';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER transactions_whole AFTER INSERT ON transactions REFERENCING NEW TABLE AS new_transactions
  FOR EACH STATEMENT EXECUTE FUNCTION transactions_whole();

CREATE TRIGGER entries_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON entries EXECUTE FUNCTION refuse_change();
CREATE TRIGGER transactions_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON transactions EXECUTE FUNCTION refuse_change();

CREATE TABLE memos (
  transaction_id uuid PRIMARY KEY,
  person uuid NOT NULL,
  sealed bytea NOT NULL
);

-- What became of idempotency keys. Partitions are generations: a key is unique within its generation by the index, and across
-- generations because every batch looks it up in all of them while it holds the generation lock that the rotator takes alone.
CREATE TABLE idempotency_outcomes (
  generation bigint NOT NULL,
  tag uuid NOT NULL,
  fingerprint bytea NOT NULL,
  code smallint NOT NULL,
  resource uuid,
  at bigint NOT NULL,
  PRIMARY KEY (tag, generation)
) PARTITION BY LIST (generation);
CREATE TABLE idempotency_outcomes_1 PARTITION OF idempotency_outcomes FOR VALUES IN (1);
CREATE TRIGGER idempotency_outcomes_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON idempotency_outcomes EXECUTE FUNCTION refuse_change();
CREATE TRIGGER idempotency_outcomes_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON idempotency_outcomes_1 EXECUTE FUNCTION refuse_change();
-- The generation that is written now, and since when each one was. Times are microseconds by the database's clock.
CREATE TABLE idempotency_generation (id bigint PRIMARY KEY CHECK (id = 1), generation bigint NOT NULL);
CREATE TABLE idempotency_generations (generation bigint PRIMARY KEY, begun_at bigint NOT NULL);
INSERT INTO idempotency_generation (id, generation) VALUES (1, 1);
INSERT INTO idempotency_generations (generation, begun_at) VALUES (1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);

-- Expiry, run by the lane's role with the owner's right to make and drop tables; they take no arguments, so that nobody can talk
-- them into dropping keys that are still owed. Small steps in transactions of their own; none waits long for a lock.
--
-- The table of the next generation is there before it is needed. ATTACH keeps nobody out.
CREATE FUNCTION idempotency_attach_next() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
  next_generation bigint := (SELECT generation + 1 FROM public.idempotency_generation WHERE id = 1);
  next_table text := format('idempotency_outcomes_%s', next_generation);
BEGIN
  IF to_regclass(format('public.%I', next_table)) IS NOT NULL THEN
    RETURN false;
  END IF;
  EXECUTE format('CREATE TABLE public.%I (LIKE public.idempotency_outcomes INCLUDING CONSTRAINTS INCLUDING INDEXES)', next_table);
  EXECUTE format('CREATE TRIGGER idempotency_outcomes_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON public.%I '
    'EXECUTE FUNCTION public.refuse_change()', next_table);
  EXECUTE format('ALTER TABLE public.idempotency_outcomes ATTACH PARTITION public.%I FOR VALUES IN (%s)', next_table, next_generation);
  RETURN true;
END $$;

-- A generation lasts a day, or 4 GiB. Turned while no batch runs: a batch sees one generation from its first to its last statement.
CREATE FUNCTION idempotency_turn() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
  now_micros bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
  due bigint := (
    SELECT g.generation FROM public.idempotency_generation g JOIN public.idempotency_generations h ON h.generation = g.generation
    WHERE g.id = 1 AND (h.begun_at <= now_micros - 86400000000
      OR pg_relation_size(to_regclass(format('public.idempotency_outcomes_%s', g.generation))) >= 4294967296)
  );
BEGIN
  IF due IS NULL OR to_regclass(format('public.idempotency_outcomes_%s', due + 1)) IS NULL THEN
    RETURN false;
  END IF;
  PERFORM pg_advisory_xact_lock(1397882882);
  UPDATE public.idempotency_generation SET generation = due + 1 WHERE id = 1 AND generation = due;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  -- By the clock after the lock: no key of the old generation is younger.
  INSERT INTO public.idempotency_generations (generation, begun_at)
    VALUES (due + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
  RETURN true;
END $$;

-- The oldest generation goes when the one after it began more than seven days ago: then all of its keys are older.
CREATE FUNCTION idempotency_drop_oldest() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
  now_micros bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
  oldest bigint;
BEGIN
  SELECT h.generation INTO oldest FROM public.idempotency_generations h
    JOIN public.idempotency_generations after ON after.generation = h.generation + 1
    WHERE after.begun_at < now_micros - 604800000000 ORDER BY h.generation LIMIT 1;
  IF oldest IS NULL THEN
    RETURN false;
  END IF;
  PERFORM pg_advisory_xact_lock(1397882882);
  DELETE FROM public.idempotency_generations WHERE generation = oldest;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  EXECUTE format('ALTER TABLE public.idempotency_outcomes DETACH PARTITION public.%I', format('idempotency_outcomes_%s', oldest));
  EXECUTE format('DROP TABLE public.%I', format('idempotency_outcomes_%s', oldest));
  RETURN true;
END $$;
REVOKE ALL ON FUNCTION idempotency_attach_next(), idempotency_turn(), idempotency_drop_oldest() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION idempotency_attach_next(), idempotency_turn(), idempotency_drop_oldest() TO strongroom_ledger_writer;

-- Texts of people. The lane adds them and reads none; the reader reads them sealed; the application changes its person's own.
ALTER TABLE account_names ENABLE ROW LEVEL SECURITY;
ALTER TABLE account_names FORCE ROW LEVEL SECURITY;
CREATE POLICY account_names_written ON account_names FOR INSERT TO strongroom_ledger_writer WITH CHECK (true);
CREATE POLICY account_names_read ON account_names FOR SELECT TO strongroom_reader USING (true);
CREATE POLICY account_names_scope ON account_names TO strongroom_app
  USING (in_scope((SELECT owner FROM accounts WHERE id = account_id)))
  WITH CHECK (in_scope((SELECT owner FROM accounts WHERE id = account_id)));
ALTER TABLE memos ENABLE ROW LEVEL SECURITY;
ALTER TABLE memos FORCE ROW LEVEL SECURITY;
CREATE POLICY memos_written ON memos FOR INSERT TO strongroom_ledger_writer WITH CHECK (true);
CREATE POLICY memos_read ON memos FOR SELECT TO strongroom_reader USING (true);
CREATE POLICY memos_scope ON memos TO strongroom_app USING (in_scope(person)) WITH CHECK (in_scope(person));

GRANT SELECT, INSERT ON accounts, transactions, entries, idempotency_outcomes TO strongroom_ledger_writer;
-- What is personal, if sealed, goes in with its transaction and is not read again by this role.
GRANT INSERT ON account_names, memos TO strongroom_ledger_writer;
GRANT SELECT, INSERT, UPDATE ON account_states TO strongroom_ledger_writer;
GRANT SELECT ON idempotency_generation TO strongroom_ledger_writer;
GRANT USAGE ON SEQUENCE entry_blocks, record_blocks TO strongroom_ledger_writer;
GRANT SELECT ON accounts, account_names, account_states, transactions, entries, memos, idempotency_outcomes TO strongroom_app, strongroom_reader;
GRANT UPDATE, DELETE ON account_names, memos TO strongroom_app;
GRANT USAGE ON SEQUENCE record_blocks TO strongroom_app;
GRANT SELECT ON accounts, account_states, transactions, entries TO strongroom_auditor;
