-- What its owner calls a device, and what it called itself at its last login, sealed under the person's key; nothing where
-- it was not seen since this was kept.
ALTER TABLE devices ADD COLUMN sealed bytea;
ALTER TABLE devices ADD COLUMN last_login_at bigint;
