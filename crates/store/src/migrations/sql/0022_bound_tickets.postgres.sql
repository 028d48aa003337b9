-- The thumbprint of the key that was shown at the first step of a login (RFC 9449): the next steps need it, too.
ALTER TABLE tickets ADD COLUMN holder bytea CHECK (length(holder) = 32);
