-- Rotations of the ring's keys that two people decided: a new key on its way to every node, sealed under another key of
-- the ring, whose own place is never the database. The material is wiped once it has had time to arrive.
CREATE TABLE key_rotations (
  kid INTEGER PRIMARY KEY REFERENCES key_checks (kid),
  created_at INTEGER NOT NULL,
  active_from INTEGER NOT NULL,
  sealed BLOB CHECK (length(sealed) <= 1024)
) STRICT;
