-- Keys of integrations that are bound to the certificate of their client: the SHA-256 of its DER form (RFC 8705).
ALTER TABLE api_keys ADD COLUMN certificate BLOB CHECK (length(certificate) = 32);
