-- What each full block of 256 leaves may hold, so that a search of the log passes over the rest. Derived from the log,
-- block by block, after the commits; it proves nothing.
CREATE TABLE audit_blocks (
  block bigint PRIMARY KEY,
  -- The latest time of any record up to the block's end: it never falls.
  reached_at bigint NOT NULL,
  summary bytea NOT NULL CHECK (length(summary) = 1024)
);
CREATE INDEX audit_blocks_reached ON audit_blocks (reached_at, block);

GRANT SELECT, INSERT ON audit_blocks TO strongroom_app;
