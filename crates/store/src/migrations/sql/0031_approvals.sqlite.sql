-- The person behind whoever asks, also behind a key; the rule as it was when somebody asked; and what a repeated request
-- is known by: a keyed tag of (owner, key) and digests of the request's fields.
ALTER TABLE approvals ADD COLUMN maker_person BLOB CHECK (length(maker_person) = 16);
ALTER TABLE approvals ADD COLUMN rule TEXT NOT NULL DEFAULT '';
ALTER TABLE approvals ADD COLUMN tag BLOB CHECK (length(tag) = 16);
ALTER TABLE approvals ADD COLUMN fingerprint BLOB;
CREATE UNIQUE INDEX approvals_by_tag ON approvals (tag);
UPDATE approvals SET maker_person = maker WHERE maker_kind = 1;
