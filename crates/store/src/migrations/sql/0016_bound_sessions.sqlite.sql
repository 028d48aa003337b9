-- The thumbprint of the key that the tokens of a session are bound to (RFC 9449); nothing where whoever has them may use them.
ALTER TABLE sessions ADD COLUMN holder BLOB CHECK (length(holder) = 32);
