-- Decisions are kept for as long as the bank says, and for 400 days whatever it says. Facts belong to a year (UTC), so that
-- they go when no decision of that year is left; those from before have none and stay.
ALTER TABLE decision_inputs ADD COLUMN period bigint NOT NULL DEFAULT 0;
CREATE INDEX decision_inputs_by_period ON decision_inputs (period);

CREATE FUNCTION refuse_young() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  is_young boolean;
BEGIN
  IF TG_TABLE_NAME = 'decisions' THEN
    is_young := OLD.at > ((extract(epoch FROM clock_timestamp()) - 34560000) * 1000000)::bigint;
  ELSE
    is_young := OLD.period = 0
      OR OLD.period >= extract(year FROM (clock_timestamp() - interval '400 days') AT TIME ZONE 'UTC')::bigint;
  END IF;
  IF is_young THEN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN OLD;
END $$;
DROP TRIGGER decisions_fixed ON decisions;
CREATE TRIGGER decisions_fixed BEFORE UPDATE OR TRUNCATE ON decisions EXECUTE FUNCTION refuse_change();
CREATE TRIGGER decisions_kept BEFORE DELETE ON decisions FOR EACH ROW EXECUTE FUNCTION refuse_young();
DROP TRIGGER decision_inputs_fixed ON decision_inputs;
CREATE TRIGGER decision_inputs_fixed BEFORE UPDATE OR TRUNCATE ON decision_inputs EXECUTE FUNCTION refuse_change();
CREATE TRIGGER decision_inputs_kept BEFORE DELETE ON decision_inputs FOR EACH ROW EXECUTE FUNCTION refuse_young();
GRANT DELETE ON decisions, decision_inputs TO strongroom_app;
