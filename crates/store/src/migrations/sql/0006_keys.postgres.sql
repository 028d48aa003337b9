-- Keys of integrations with bounds and signatures; what makes a signed request good once.

-- The first key of those that replaced one another: budgets and idempotency keys are the integration's.
ALTER TABLE api_keys ADD COLUMN integration uuid;
UPDATE api_keys SET integration = id;
ALTER TABLE api_keys ALTER COLUMN integration SET NOT NULL;
ALTER TABLE api_keys ADD COLUMN replaced_by uuid;
ALTER TABLE api_keys ADD COLUMN last_used_at bigint;
-- Networks that it may be used from, sealed under the owner's key.
ALTER TABLE api_keys ADD COLUMN sealed_networks bytea;
-- Caveats. Accounts are their ids, one after the other.
ALTER TABLE api_keys ADD COLUMN max_amount bigint CHECK (max_amount > 0);
ALTER TABLE api_keys ADD COLUMN max_currency text;
ALTER TABLE api_keys ADD COLUMN payees bytea CHECK (length(payees) % 16 = 0);
ALTER TABLE api_keys ADD COLUMN budget_amount bigint CHECK (budget_amount > 0);
ALTER TABLE api_keys ADD COLUMN budget_currency text;
ALTER TABLE api_keys ADD COLUMN budget_window_secs bigint CHECK (budget_window_secs > 0);
-- How its requests are signed: names separated by spaces, an Ed25519 public key, a shared secret sealed by the ring.
ALTER TABLE api_keys ADD COLUMN schemes text NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN public_key bytea CHECK (length(public_key) = 32);
ALTER TABLE api_keys ADD COLUMN sealed_secret bytea;
ALTER TABLE api_keys ADD CHECK ((max_amount IS NULL) = (max_currency IS NULL));
ALTER TABLE api_keys ADD CHECK ((budget_amount IS NULL) = (budget_currency IS NULL)
  AND (budget_amount IS NULL) = (budget_window_secs IS NULL));

-- What an integration spent in the window that began at `opened_at`; the books count it in their own commit.
CREATE TABLE key_budgets (
  integration uuid NOT NULL PRIMARY KEY,
  opened_at bigint NOT NULL DEFAULT 0,
  spent bigint NOT NULL DEFAULT 0 CHECK (spent >= 0)
);

-- Nonces that were used, by the time the request says it was made, in periods that are forgotten as a whole.
CREATE TABLE replays (
  period bigint NOT NULL,
  digest uuid NOT NULL,
  request uuid NOT NULL,
  PRIMARY KEY (period, digest)
);

-- The application opens a budget, the books alone spend it. A nonce that was used cannot be made unused while its
-- request might come again.
GRANT SELECT, INSERT ON key_budgets TO strongroom_app;
GRANT SELECT, UPDATE ON key_budgets TO strongroom_ledger_writer;
GRANT SELECT, INSERT, DELETE ON replays TO strongroom_app;
GRANT SELECT, INSERT ON replays TO strongroom_ledger_writer;
