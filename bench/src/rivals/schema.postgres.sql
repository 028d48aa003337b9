CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0), entries bigint NOT NULL DEFAULT 0, frozen boolean NOT NULL DEFAULT false) WITH (fillfactor = 50);
CREATE TABLE keys (key uuid PRIMARY KEY, fingerprint bytea NOT NULL, at timestamptz NOT NULL);
CREATE TABLE transfers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, from_account bigint NOT NULL, to_account bigint NOT NULL, amount bigint NOT NULL CHECK (amount > 0), currency text NOT NULL, booked_at timestamptz NOT NULL, key uuid NOT NULL);
CREATE TABLE entries (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, transfer bigint NOT NULL, account bigint NOT NULL, amount bigint NOT NULL CHECK (amount <> 0), balance_after bigint NOT NULL, booked_at timestamptz NOT NULL);
CREATE INDEX entries_account ON entries (account, id);
CREATE TABLE audit (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL, principal bigint NOT NULL, action text NOT NULL, object bigint NOT NULL, outcome text NOT NULL, details bytea NOT NULL, mac bytea NOT NULL);
