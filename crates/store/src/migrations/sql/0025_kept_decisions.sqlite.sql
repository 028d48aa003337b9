-- Decisions are kept for as long as the bank says, and for 400 days whatever it says. Facts belong to a year (UTC), so that
-- they go when no decision of that year is left; those from before have none and stay.
ALTER TABLE decision_inputs ADD COLUMN period INTEGER NOT NULL DEFAULT 0;
CREATE INDEX decision_inputs_by_period ON decision_inputs (period);

DROP TRIGGER decisions_kept;
CREATE TRIGGER decisions_kept BEFORE DELETE ON decisions
WHEN OLD.at > (CAST(strftime('%s', 'now') AS INTEGER) - 34560000) * 1000000
BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
DROP TRIGGER decision_inputs_kept;
CREATE TRIGGER decision_inputs_kept BEFORE DELETE ON decision_inputs
WHEN OLD.period = 0 OR OLD.period >= CAST(strftime('%Y', 'now', '-400 days') AS INTEGER)
BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
