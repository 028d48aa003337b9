-- Why somebody's payment was stopped is not kept for ever: what rules found and what was written about it is wiped once its
-- time is over. That there was a review, of which movement and how it ended stays, as the books do.
ALTER TABLE reviews ADD COLUMN forgotten_at bigint;
CREATE INDEX reviews_kept_since ON reviews (at) WHERE forgotten_at IS NULL;
CREATE OR REPLACE FUNCTION reviews_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.forgotten_at IS DISTINCT FROM OLD.forgotten_at THEN
    -- What waits is not forgotten, and nothing within 90 days.
    IF OLD.forgotten_at IS NOT NULL OR NEW.forgotten_at < OLD.at + 7776000000000
      OR (OLD.state = 0 AND NEW.forgotten_at < OLD.expires_at)
      OR NEW.rules <> '' OR NEW.score <> 0 OR NEW.memo IS NOT NULL OR NEW.sealed_reason IS NOT NULL
      OR (NEW.id, NEW.customer, NEW.account_id, NEW.to_account, NEW.amount, NEW.currency, NEW.verdict, NEW.at,
        NEW.expires_at, NEW.value_date, NEW.revision, NEW.state, NEW.first_by, NEW.first_at, NEW.decided_by,
        NEW.decided_at)
      IS DISTINCT FROM (OLD.id, OLD.customer, OLD.account_id, OLD.to_account, OLD.amount, OLD.currency, OLD.verdict, OLD.at,
        OLD.expires_at, OLD.value_date, OLD.revision, OLD.state, OLD.first_by, OLD.first_at, OLD.decided_by,
        OLD.decided_at) THEN
      RAISE EXCEPTION 'a review is forgotten as a whole, and later' USING ERRCODE = 'check_violation', CONSTRAINT = 'reviews_fixed';
    END IF;
    RETURN NEW;
  END IF;
  IF OLD.state <> 0 OR (OLD.first_by IS NOT NULL AND NEW.first_by IS DISTINCT FROM OLD.first_by)
    OR (NEW.id, NEW.customer, NEW.account_id, NEW.to_account, NEW.amount, NEW.currency, NEW.verdict, NEW.score, NEW.rules, NEW.at, NEW.expires_at, NEW.memo, NEW.value_date)
      IS DISTINCT FROM (OLD.id, OLD.customer, OLD.account_id, OLD.to_account, OLD.amount, OLD.currency, OLD.verdict, OLD.score, OLD.rules, OLD.at, OLD.expires_at, OLD.memo, OLD.value_date) THEN
    RAISE EXCEPTION 'a review is decided once, and what it is about is fixed' USING ERRCODE = 'check_violation', CONSTRAINT = 'reviews_fixed';
  END IF;
  RETURN NEW;
END $$;
GRANT UPDATE (rules, score, memo, sealed_reason, forgotten_at) ON reviews TO strongroom_app;
GRANT SELECT (forgotten_at) ON reviews TO strongroom_auditor;
