-- The payments to a beneficiary of a moment before the newest: one like any of them looks like a mistake.
ALTER TABLE beneficiaries ADD COLUMN earlier BLOB NOT NULL DEFAULT x'' CHECK (length(earlier) % 32 = 0 AND length(earlier) <= 480);
