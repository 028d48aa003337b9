-- The audit record that a decision is bound to: one for each portion that was written, with the root over its decisions.
-- Decisions from before have none.
ALTER TABLE decisions ADD COLUMN record bigint NOT NULL DEFAULT 0;
CREATE INDEX decisions_by_record ON decisions (record, at);
