-- Keys of integrations with bounds and signatures; what makes a signed request good once.

CREATE TABLE api_keys_with_bounds (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  owner BLOB NOT NULL REFERENCES users (id),
  -- The first key of those that replaced one another: budgets and idempotency keys are the integration's.
  integration BLOB NOT NULL CHECK (length(integration) = 16),
  sealed_name BLOB NOT NULL,
  scopes TEXT NOT NULL,
  hash BLOB NOT NULL CHECK (length(hash) = 32),
  hash_key INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  revoked_at INTEGER,
  replaced_by BLOB,
  last_used_at INTEGER,
  -- Networks that it may be used from, sealed under the owner's key.
  sealed_networks BLOB,
  -- Caveats. Accounts are their ids, one after the other.
  max_amount INTEGER CHECK (max_amount > 0),
  max_currency TEXT,
  payees BLOB CHECK (length(payees) % 16 = 0),
  budget_amount INTEGER CHECK (budget_amount > 0),
  budget_currency TEXT,
  budget_window_secs INTEGER CHECK (budget_window_secs > 0),
  -- How its requests are signed: names separated by spaces, an Ed25519 public key, a shared secret sealed by the ring.
  schemes TEXT NOT NULL,
  public_key BLOB CHECK (length(public_key) = 32),
  sealed_secret BLOB,
  CHECK ((max_amount IS NULL) = (max_currency IS NULL)),
  CHECK ((budget_amount IS NULL) = (budget_currency IS NULL) AND (budget_amount IS NULL) = (budget_window_secs IS NULL))
) STRICT, WITHOUT ROWID;
INSERT INTO api_keys_with_bounds (id, owner, integration, sealed_name, scopes, hash, hash_key, created_at, expires_at,
  revoked_at, schemes)
  SELECT id, owner, id, sealed_name, scopes, hash, hash_key, created_at, expires_at, revoked_at, '' FROM api_keys;
DROP TABLE api_keys;
ALTER TABLE api_keys_with_bounds RENAME TO api_keys;
CREATE INDEX api_keys_by_owner ON api_keys (owner, id);

-- What an integration spent in the window that began at `opened_at`; the books count it in their own commit.
CREATE TABLE key_budgets (
  integration BLOB NOT NULL PRIMARY KEY CHECK (length(integration) = 16),
  opened_at INTEGER NOT NULL DEFAULT 0,
  spent INTEGER NOT NULL DEFAULT 0 CHECK (spent >= 0)
) STRICT, WITHOUT ROWID;

-- Nonces that were used, by the time the request says it was made, in periods that are forgotten as a whole.
CREATE TABLE replays (
  period INTEGER NOT NULL,
  digest BLOB NOT NULL CHECK (length(digest) = 16),
  request BLOB NOT NULL CHECK (length(request) = 16),
  PRIMARY KEY (period, digest)
) STRICT, WITHOUT ROWID;
