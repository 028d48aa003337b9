-- What people are told of. Words are made when it is shown; what it is about are ids of the books.
CREATE TABLE notices (
  id uuid PRIMARY KEY,
  person uuid NOT NULL REFERENCES users (id),
  event text NOT NULL CHECK (length(event) <= 32),
  about text NOT NULL CHECK (length(about) <= 32),
  subject uuid,
  amount bigint,
  currency text,
  at bigint NOT NULL,
  read_at bigint,
  CHECK ((amount IS NULL) = (currency IS NULL))
);
CREATE INDEX notices_of_person ON notices (person, id);
CREATE INDEX notices_unread ON notices (person) WHERE read_at IS NULL;
CREATE INDEX notices_by_time ON notices (at);
CREATE FUNCTION notices_fixed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF OLD.read_at IS NOT NULL OR (NEW.id, NEW.person, NEW.event, NEW.about, NEW.subject, NEW.amount, NEW.currency, NEW.at)
    IS DISTINCT FROM (OLD.id, OLD.person, OLD.event, OLD.about, OLD.subject, OLD.amount, OLD.currency, OLD.at) THEN
    RAISE EXCEPTION 'a notice is fixed, and read once' USING ERRCODE = 'check_violation', CONSTRAINT = 'notices_fixed';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER notices_fixed BEFORE UPDATE ON notices FOR EACH ROW EXECUTE FUNCTION notices_fixed();
ALTER TABLE notices ENABLE ROW LEVEL SECURITY;
ALTER TABLE notices FORCE ROW LEVEL SECURITY;
CREATE POLICY notices_scope ON notices TO strongroom_app USING (in_scope(person)) WITH CHECK (in_scope(person));

-- By which ways somebody wishes to be told, where it was said.
CREATE TABLE notice_wishes (
  person uuid NOT NULL REFERENCES users (id),
  event text NOT NULL CHECK (length(event) <= 32),
  app boolean NOT NULL,
  mail boolean NOT NULL,
  PRIMARY KEY (person, event)
);
ALTER TABLE notice_wishes ENABLE ROW LEVEL SECURITY;
ALTER TABLE notice_wishes FORCE ROW LEVEL SECURITY;
CREATE POLICY notice_wishes_scope ON notice_wishes TO strongroom_app USING (in_scope(person)) WITH CHECK (in_scope(person));

-- How far the log was followed: nobody is told of what lies before.
CREATE TABLE notice_cursor (
  id bigint PRIMARY KEY CHECK (id = 1),
  next_leaf bigint NOT NULL CHECK (next_leaf >= 0)
);
INSERT INTO notice_cursor (id, next_leaf) SELECT 1, coalesce(max(leaf) + 1, 0) FROM audit_leaves;
CREATE FUNCTION notice_cursor_forward() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.next_leaf <= OLD.next_leaf THEN
    RAISE EXCEPTION 'nobody is told twice' USING ERRCODE = 'check_violation', CONSTRAINT = 'notice_cursor_forward';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER notice_cursor_forward BEFORE UPDATE ON notice_cursor FOR EACH ROW EXECUTE FUNCTION notice_cursor_forward();
CREATE TRIGGER notice_cursor_kept BEFORE DELETE OR TRUNCATE ON notice_cursor EXECUTE FUNCTION refuse_change();

GRANT SELECT, INSERT, DELETE ON notices TO strongroom_app;
GRANT UPDATE (read_at) ON notices TO strongroom_app;
GRANT SELECT, INSERT, DELETE ON notice_wishes TO strongroom_app;
GRANT UPDATE (app, mail) ON notice_wishes TO strongroom_app;
GRANT SELECT ON notice_cursor TO strongroom_app;
GRANT UPDATE (next_leaf) ON notice_cursor TO strongroom_app;
