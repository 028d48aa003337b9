-- Who sent a transfer that nobody looked at in time is told so, once. What ended before is nobody's news any more.
ALTER TABLE reviews ADD COLUMN lapse_told_at INTEGER CHECK (lapse_told_at >= expires_at);
UPDATE reviews SET lapse_told_at = CAST(unixepoch('subsec') * 1000000 AS INTEGER)
  WHERE state = 0 AND expires_at < CAST(unixepoch('subsec') * 1000000 AS INTEGER);
CREATE INDEX reviews_lapsing ON reviews (expires_at) WHERE state = 0 AND lapse_told_at IS NULL;
CREATE TRIGGER reviews_told_once BEFORE UPDATE OF lapse_told_at ON reviews BEGIN
  SELECT RAISE(ABORT, 'nobody is told twice') WHERE OLD.lapse_told_at IS NOT NULL;
END;
