-- Security events one by one, sealed, for whoever pulls them. A place is given where an event is committed: whoever gives
-- places holds the one row of `security_feed_head` until the commit, so that what becomes visible later stands later.
CREATE TABLE security_feed (
  position bigint PRIMARY KEY CHECK (position > 0),
  id uuid NOT NULL UNIQUE,
  written_at bigint NOT NULL,
  sealed bytea NOT NULL CHECK (length(sealed) <= 65536)
);
CREATE TABLE security_feed_head (
  id bigint PRIMARY KEY CHECK (id = 1),
  newest bigint NOT NULL CHECK (newest >= 0)
);
INSERT INTO security_feed_head (id, newest) VALUES (1, 0);
CREATE FUNCTION security_feed_forward() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.newest < OLD.newest THEN
    RAISE EXCEPTION 'a place is given once' USING ERRCODE = 'check_violation', CONSTRAINT = 'security_feed_forward';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER security_feed_forward BEFORE UPDATE ON security_feed_head FOR EACH ROW EXECUTE FUNCTION security_feed_forward();
CREATE TRIGGER security_feed_head_kept BEFORE DELETE OR TRUNCATE ON security_feed_head EXECUTE FUNCTION refuse_change();

GRANT SELECT, INSERT, DELETE ON security_feed TO strongroom_app;
GRANT SELECT ON security_feed_head TO strongroom_app;
GRANT UPDATE (newest) ON security_feed_head TO strongroom_app;
