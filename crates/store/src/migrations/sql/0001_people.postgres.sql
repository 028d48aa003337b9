-- People and their keys. Everything personal is sealed under the person's own data key.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

CREATE TABLE bank (
  id bigint PRIMARY KEY CHECK (id = 1),
  country text NOT NULL,
  code text NOT NULL,
  time_zone text NOT NULL,
  log_origin text NOT NULL,
  created_at bigint NOT NULL
);
CREATE TRIGGER bank_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON bank EXECUTE FUNCTION refuse_change();

CREATE TABLE key_checks (
  kid bigint PRIMARY KEY,
  purpose text NOT NULL,
  value bytea NOT NULL CHECK (length(value) = 16)
);

CREATE TABLE data_keys (
  person uuid PRIMARY KEY,
  wrapped bytea NOT NULL
);

CREATE TABLE users (
  id uuid PRIMARY KEY,
  email_index bytea UNIQUE,
  sealed_email bytea,
  sealed_name bytea,
  state text NOT NULL CHECK (state IN ('active', 'locked', 'disabled', 'closed')),
  created_at bigint NOT NULL
);

-- One row that every change of rights moves on, and what it was about.
CREATE TABLE auth_epoch (id bigint PRIMARY KEY CHECK (id = 1), epoch bigint NOT NULL);
INSERT INTO auth_epoch (id, epoch) VALUES (1, 1);
CREATE TABLE revocations (
  epoch bigint NOT NULL,
  kind text NOT NULL,
  id uuid NOT NULL,
  PRIMARY KEY (epoch, kind, id)
);

-- On whose behalf a transaction runs, as it says at its beginning (SET LOCAL). Said nothing, it sees nothing.
CREATE FUNCTION in_scope(person uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT CASE current_setting('strongroom.scope', true)
    WHEN 'system' THEN true
    WHEN 'operator' THEN true
    WHEN 'person' THEN person = nullif(current_setting('strongroom.person', true), '')::uuid
    ELSE false
  END
$$;
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE users FORCE ROW LEVEL SECURITY;
CREATE POLICY users_scope ON users TO strongroom_app USING (in_scope(id)) WITH CHECK (in_scope(id));
ALTER TABLE data_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE data_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY data_keys_scope ON data_keys TO strongroom_app USING (in_scope(person)) WITH CHECK (in_scope(person));

GRANT SELECT ON bank, key_checks, auth_epoch TO strongroom_ledger_writer;
GRANT SELECT, INSERT ON bank, key_checks TO strongroom_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON data_keys, users TO strongroom_app;
GRANT SELECT, UPDATE ON auth_epoch TO strongroom_app;
GRANT SELECT, INSERT, DELETE ON revocations TO strongroom_app;
