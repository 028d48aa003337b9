-- Rotations of the ring's keys that two people decided: a new key on its way to every node, sealed under another key of
-- the ring, whose own place is never the database. The material is wiped once it has had time to arrive.
CREATE TABLE key_rotations (
  kid bigint PRIMARY KEY REFERENCES key_checks (kid),
  created_at bigint NOT NULL,
  active_from bigint NOT NULL,
  sealed bytea CHECK (length(sealed) <= 1024)
);
GRANT SELECT, INSERT ON key_rotations TO strongroom_app;
GRANT UPDATE (sealed) ON key_rotations TO strongroom_app;
