-- What people who proved to be nobody tried, counted and not listed: a row for what, from where and at whom in a span of
-- time, however often. Places are keyed digests, and addresses are sealed.
CREATE TABLE security_events (
  id BLOB NOT NULL PRIMARY KEY,
  window_at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  -- Zeros where it is not known, or where there were too many to tell apart.
  source BLOB NOT NULL CHECK (length(source) = 16),
  subject BLOB NOT NULL CHECK (length(subject) = 16),
  sealed_source BLOB,
  number INTEGER NOT NULL CHECK (number > 0),
  first_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  UNIQUE (window_at, kind, source, subject)
) STRICT, WITHOUT ROWID;

-- Who decided about what somebody else asked for, and why, sealed.
ALTER TABLE approvals ADD COLUMN checker BLOB;
ALTER TABLE approvals ADD COLUMN decided_at INTEGER;
ALTER TABLE approvals ADD COLUMN sealed_reason BLOB;
-- A person who was given power lately decides nothing before this moment.
ALTER TABLE users ADD COLUMN approves_from INTEGER NOT NULL DEFAULT 0;

-- Failures since the owner last acted, which no wait forgets, and when the owner was last told.
ALTER TABLE guesses ADD COLUMN total INTEGER NOT NULL DEFAULT 0;
ALTER TABLE guesses ADD COLUMN told_at INTEGER NOT NULL DEFAULT 0;

