-- A count of tries is forgotten the later the more there were.
ALTER TABLE guesses ADD COLUMN expires_at INTEGER NOT NULL DEFAULT 0;
UPDATE guesses SET expires_at = updated_at + 30 * 86400000000;
DROP INDEX guesses_by_age;
CREATE INDEX guesses_by_end ON guesses (expires_at);
