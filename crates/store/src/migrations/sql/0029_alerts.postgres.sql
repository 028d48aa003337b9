-- What people are told of, once in a span of time for each rule and each thing that it is about.
CREATE TABLE alerts (
  id uuid NOT NULL PRIMARY KEY,
  rule text NOT NULL,
  -- Zeros where it is about nothing in particular.
  about bytea NOT NULL CHECK (length(about) = 16),
  window_at bigint NOT NULL,
  number bigint NOT NULL CHECK (number > 0),
  first_at bigint NOT NULL,
  last_at bigint NOT NULL,
  -- The request of the last event, where there was one.
  request uuid,
  -- When it had been told outside of the database.
  told_at bigint,
  attempts bigint NOT NULL DEFAULT 0,
  next_try_at bigint NOT NULL,
  acknowledged_at bigint,
  acknowledged_by uuid,
  UNIQUE (rule, about, window_at)
);
CREATE INDEX alerts_untold ON alerts (next_try_at) WHERE told_at IS NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON alerts TO strongroom_app;
