-- What people of the bank did against an incident. Freezes and keys have their state elsewhere; this names them.
CREATE TABLE incident_actions (
  id uuid NOT NULL PRIMARY KEY,
  action text NOT NULL CHECK (action IN ('read_only', 'end_sessions', 'freeze_account', 'revoke_key', 'block_network')),
  -- The account or the key, as its id is written.
  target text,
  sealed_network bytea,
  sealed_reason bytea NOT NULL,
  taken_at bigint NOT NULL,
  taken_by text NOT NULL,
  ends_at bigint,
  lifted_at bigint,
  lifted_by text,
  CHECK ((action = 'block_network') = (sealed_network IS NOT NULL AND ends_at IS NOT NULL))
);
-- The bank is read-only or not.
CREATE UNIQUE INDEX incident_read_only ON incident_actions (action) WHERE action = 'read_only' AND lifted_at IS NULL;
CREATE INDEX incident_blocks ON incident_actions (ends_at) WHERE action = 'block_network' AND lifted_at IS NULL;

GRANT SELECT, INSERT, UPDATE ON incident_actions TO strongroom_app;
