-- Why somebody's payment was stopped is not kept for ever: what rules found and what was written about it is wiped once its
-- time is over. That there was a review, of which movement and how it ended stays, as the books do.
ALTER TABLE reviews ADD COLUMN forgotten_at INTEGER;
CREATE INDEX reviews_kept_since ON reviews (at) WHERE forgotten_at IS NULL;
DROP TRIGGER reviews_fixed;
CREATE TRIGGER reviews_fixed BEFORE UPDATE ON reviews WHEN NEW.forgotten_at IS OLD.forgotten_at BEGIN
  SELECT RAISE(ABORT, 'a review is decided once, and what it is about is fixed')
  WHERE OLD.state <> 0 OR (OLD.first_by IS NOT NULL AND NEW.first_by IS NOT OLD.first_by) OR NEW.id IS NOT OLD.id
    OR NEW.customer IS NOT OLD.customer OR NEW.account_id IS NOT OLD.account_id OR NEW.to_account IS NOT OLD.to_account
    OR NEW.amount IS NOT OLD.amount OR NEW.currency IS NOT OLD.currency OR NEW.verdict IS NOT OLD.verdict
    OR NEW.score IS NOT OLD.score OR NEW.rules IS NOT OLD.rules OR NEW.at IS NOT OLD.at
    OR NEW.expires_at IS NOT OLD.expires_at OR NEW.memo IS NOT OLD.memo OR NEW.value_date IS NOT OLD.value_date;
END;
-- What waits is not forgotten, and nothing within 90 days.
CREATE TRIGGER reviews_forgotten BEFORE UPDATE ON reviews WHEN NEW.forgotten_at IS NOT OLD.forgotten_at BEGIN
  SELECT RAISE(ABORT, 'a review is forgotten as a whole, and later')
  WHERE OLD.forgotten_at IS NOT NULL OR NEW.forgotten_at < OLD.at + 7776000000000
    OR (OLD.state = 0 AND NEW.forgotten_at < OLD.expires_at)
    OR NEW.rules <> '' OR NEW.score <> 0 OR NEW.memo IS NOT NULL OR NEW.sealed_reason IS NOT NULL
    OR NEW.id IS NOT OLD.id OR NEW.customer IS NOT OLD.customer OR NEW.account_id IS NOT OLD.account_id OR NEW.to_account
    IS NOT OLD.to_account OR NEW.amount IS NOT OLD.amount OR NEW.currency IS NOT OLD.currency OR NEW.verdict IS NOT
    OLD.verdict OR NEW.at IS NOT OLD.at OR NEW.expires_at IS NOT OLD.expires_at OR NEW.value_date IS NOT
    OLD.value_date OR NEW.revision IS NOT OLD.revision OR NEW.state IS NOT OLD.state OR NEW.first_by IS NOT
    OLD.first_by OR NEW.first_at IS NOT OLD.first_at OR NEW.decided_by IS NOT OLD.decided_by OR NEW.decided_at IS NOT
    OLD.decided_at;
END;
