-- Who sent a transfer that nobody looked at in time is told so, once. What ended before is nobody's news any more.
ALTER TABLE reviews ADD COLUMN lapse_told_at bigint CHECK (lapse_told_at >= expires_at);
UPDATE reviews SET lapse_told_at = (extract(epoch FROM now()) * 1000000)::bigint
  WHERE state = 0 AND expires_at < (extract(epoch FROM now()) * 1000000)::bigint;
CREATE INDEX reviews_lapsing ON reviews (expires_at) WHERE state = 0 AND lapse_told_at IS NULL;
CREATE FUNCTION reviews_told_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF OLD.lapse_told_at IS NOT NULL THEN
    RAISE EXCEPTION 'nobody is told twice' USING ERRCODE = 'check_violation', CONSTRAINT = 'reviews_told_once';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER reviews_told_once BEFORE UPDATE OF lapse_told_at ON reviews FOR EACH ROW EXECUTE FUNCTION reviews_told_once();
GRANT UPDATE (lapse_told_at) ON reviews TO strongroom_app;
GRANT SELECT (lapse_told_at) ON reviews TO strongroom_auditor;
