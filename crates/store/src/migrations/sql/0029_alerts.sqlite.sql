-- What people are told of, once in a span of time for each rule and each thing that it is about.
CREATE TABLE alerts (
  id BLOB NOT NULL PRIMARY KEY,
  rule TEXT NOT NULL,
  -- Zeros where it is about nothing in particular.
  about BLOB NOT NULL CHECK (length(about) = 16),
  window_at INTEGER NOT NULL,
  number INTEGER NOT NULL CHECK (number > 0),
  first_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  -- The request of the last event, where there was one.
  request BLOB,
  -- When it had been told outside of the database.
  told_at INTEGER,
  attempts INTEGER NOT NULL DEFAULT 0,
  next_try_at INTEGER NOT NULL,
  acknowledged_at INTEGER,
  acknowledged_by BLOB,
  UNIQUE (rule, about, window_at)
) STRICT, WITHOUT ROWID;
CREATE INDEX alerts_untold ON alerts (next_try_at) WHERE told_at IS NULL;
