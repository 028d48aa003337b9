-- A notice lies in one index beside its key, and not in two: among the unread ones of its person, later among those that were read.
CREATE INDEX notices_new ON notices (person, id) WHERE read_at IS NULL;
CREATE INDEX notices_read ON notices (person, id) WHERE read_at IS NOT NULL;
DROP INDEX notices_of_person;
DROP INDEX notices_unread;

-- The same promises about entries, in fewer steps: each is in its account's own currency when it comes, not when its
-- transaction is whole.
DROP TRIGGER entries_place;
CREATE TRIGGER entries_place BEFORE INSERT ON entries
WHEN EXISTS (SELECT 1 FROM entries WHERE id = NEW.id)
  OR NOT EXISTS (SELECT 1 FROM transactions WHERE last_entry = NEW.transaction_entry AND first_entry <= NEW.id)
  OR NEW.currency IS NOT (SELECT currency FROM accounts WHERE id = NEW.account_id) BEGIN
  SELECT CASE
    WHEN EXISTS (SELECT 1 FROM entries WHERE id = NEW.id) THEN RAISE(ROLLBACK, 'entries are append-only')
    WHEN NOT EXISTS (SELECT 1 FROM transactions WHERE last_entry = NEW.transaction_entry AND first_entry <= NEW.id)
    THEN RAISE(ROLLBACK, 'an entry lies within its transaction')
    ELSE RAISE(ROLLBACK, 'an entry is in its account''s own currency')
  END;
END;
DROP TRIGGER entries_balance;
CREATE TRIGGER entries_balance AFTER INSERT ON entries WHEN NEW.id = NEW.transaction_entry BEGIN
  SELECT RAISE(ROLLBACK, 'debits and credits differ')
  WHERE NOT EXISTS (
    SELECT 1 FROM transactions t JOIN entries e ON e.id = t.first_entry
    WHERE t.last_entry = NEW.id AND t.first_entry = NEW.id - 1 AND e.transaction_entry = NEW.id
      AND e.currency = NEW.currency AND e.amount = -NEW.amount
  ) AND EXISTS (
    SELECT 1 FROM (
      SELECT sum(e.amount) AS total, min(e.currency) AS low, max(e.currency) AS high, count(*) AS lines, t.first_entry
      FROM transactions t JOIN entries e ON e.id BETWEEN t.first_entry AND t.last_entry AND e.transaction_entry = t.last_entry
      WHERE t.last_entry = NEW.id
    ) WHERE lines <> NEW.id - first_entry + 1 OR (low = high AND total <> 0)
      OR (low <> high AND EXISTS (SELECT 1 FROM entries e WHERE e.id BETWEEN first_entry AND NEW.id GROUP BY e.currency HAVING sum(e.amount) <> 0))
  );
END;
