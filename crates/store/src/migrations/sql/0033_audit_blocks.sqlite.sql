-- What each full block of 256 leaves may hold, so that a search of the log passes over the rest. Derived from the log,
-- block by block, after the commits; it proves nothing.
CREATE TABLE audit_blocks (
  block INTEGER PRIMARY KEY,
  -- The latest time of any record up to the block's end: it never falls.
  reached_at INTEGER NOT NULL,
  summary BLOB NOT NULL CHECK (length(summary) = 1024)
) STRICT;
CREATE INDEX audit_blocks_reached ON audit_blocks (reached_at, block);
