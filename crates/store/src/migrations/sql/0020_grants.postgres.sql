-- A role may be given for a time, and by whom is known: zeros for whoever holds the data directory.
ALTER TABLE grants ADD COLUMN expires_at bigint;
ALTER TABLE grants ADD COLUMN granted_by uuid;
