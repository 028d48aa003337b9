-- Security events one by one, sealed, for whoever pulls them. A place is given where an event is committed: whoever gives
-- places holds the right to write until the commit, so that what becomes visible later stands later.
CREATE TABLE security_feed (
  position INTEGER PRIMARY KEY CHECK (position > 0),
  id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
  written_at INTEGER NOT NULL,
  sealed BLOB NOT NULL CHECK (length(sealed) <= 65536)
) STRICT;
CREATE TABLE security_feed_head (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  newest INTEGER NOT NULL CHECK (newest >= 0)
) STRICT;
INSERT INTO security_feed_head (id, newest) VALUES (1, 0);
CREATE TRIGGER security_feed_forward BEFORE UPDATE ON security_feed_head BEGIN
  SELECT RAISE(ABORT, 'a place is given once') WHERE NEW.newest < OLD.newest;
END;
CREATE TRIGGER security_feed_head_kept BEFORE DELETE ON security_feed_head BEGIN SELECT RAISE(ABORT, 'the place is kept'); END;
