-- What people who proved to be nobody tried, counted and not listed: a row for what, from where and at whom in a span of
-- time, however often. Places are keyed digests, and addresses are sealed.
CREATE TABLE security_events (
  id uuid NOT NULL PRIMARY KEY,
  window_at bigint NOT NULL,
  kind text NOT NULL,
  -- Zeros where it is not known, or where there were too many to tell apart.
  source bytea NOT NULL CHECK (length(source) = 16),
  subject bytea NOT NULL CHECK (length(subject) = 16),
  sealed_source bytea,
  number bigint NOT NULL CHECK (number > 0),
  first_at bigint NOT NULL,
  last_at bigint NOT NULL,
  UNIQUE (window_at, kind, source, subject)
);

-- Who decided about what somebody else asked for, and why, sealed.
ALTER TABLE approvals ADD COLUMN checker uuid;
ALTER TABLE approvals ADD COLUMN decided_at bigint;
ALTER TABLE approvals ADD COLUMN sealed_reason bytea;
-- A person who was given power lately decides nothing before this moment.
ALTER TABLE users ADD COLUMN approves_from bigint NOT NULL DEFAULT 0;

-- Failures since the owner last acted, which no wait forgets, and when the owner was last told.
ALTER TABLE guesses ADD COLUMN total bigint NOT NULL DEFAULT 0;
ALTER TABLE guesses ADD COLUMN told_at bigint NOT NULL DEFAULT 0;

GRANT SELECT, INSERT, UPDATE, DELETE ON security_events TO strongroom_app;
