-- Which events of the feed somebody has to act on: they are kept beside the newest of all kinds, so that a flood of
-- harmless ones does not push them out. The index of the rest is what is forgotten from, the other what is bounded.
ALTER TABLE security_feed ADD COLUMN serious smallint NOT NULL DEFAULT 0 CHECK (serious IN (0, 1));
CREATE INDEX security_feed_harmless ON security_feed (position) WHERE serious = 0;
CREATE INDEX security_feed_serious ON security_feed (position) WHERE serious = 1;
