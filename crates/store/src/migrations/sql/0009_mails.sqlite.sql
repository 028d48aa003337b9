-- A mail that the other side refuses for good, or that cannot be read, is tried no more and kept for people to look at.
ALTER TABLE mails ADD COLUMN refusals INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mails ADD COLUMN set_aside_at INTEGER;
