-- What people are told of. Words are made when it is shown; what it is about are ids of the books.
CREATE TABLE notices (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  person BLOB NOT NULL REFERENCES users (id),
  event TEXT NOT NULL CHECK (length(event) <= 32),
  about TEXT NOT NULL CHECK (length(about) <= 32),
  subject BLOB CHECK (length(subject) = 16),
  amount INTEGER,
  currency TEXT,
  at INTEGER NOT NULL,
  read_at INTEGER,
  CHECK ((amount IS NULL) = (currency IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX notices_of_person ON notices (person, id);
CREATE INDEX notices_unread ON notices (person) WHERE read_at IS NULL;
CREATE INDEX notices_by_time ON notices (at);
CREATE TRIGGER notices_fixed BEFORE UPDATE ON notices BEGIN
  SELECT RAISE(ABORT, 'a notice is fixed, and read once') WHERE OLD.read_at IS NOT NULL OR NEW.id IS NOT OLD.id
    OR NEW.person IS NOT OLD.person OR NEW.event IS NOT OLD.event OR NEW.about IS NOT OLD.about
    OR NEW.subject IS NOT OLD.subject OR NEW.amount IS NOT OLD.amount OR NEW.currency IS NOT OLD.currency
    OR NEW.at IS NOT OLD.at;
END;

-- By which ways somebody wishes to be told, where it was said.
CREATE TABLE notice_wishes (
  person BLOB NOT NULL REFERENCES users (id),
  event TEXT NOT NULL CHECK (length(event) <= 32),
  app INTEGER NOT NULL CHECK (app IN (0, 1)),
  mail INTEGER NOT NULL CHECK (mail IN (0, 1)),
  PRIMARY KEY (person, event)
) STRICT, WITHOUT ROWID;

-- How far the log was followed: nobody is told of what lies before.
CREATE TABLE notice_cursor (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  next_leaf INTEGER NOT NULL CHECK (next_leaf >= 0)
) STRICT;
INSERT INTO notice_cursor (id, next_leaf) SELECT 1, coalesce(max(leaf) + 1, 0) FROM audit_leaves;
CREATE TRIGGER notice_cursor_forward BEFORE UPDATE ON notice_cursor BEGIN
  SELECT RAISE(ABORT, 'nobody is told twice') WHERE NEW.next_leaf <= OLD.next_leaf;
END;
CREATE TRIGGER notice_cursor_kept BEFORE DELETE ON notice_cursor BEGIN SELECT RAISE(ABORT, 'the place in the log is kept'); END;
