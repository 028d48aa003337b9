-- What every payment writes. A check against a list of more than two values makes a table of them for each row; as
-- alternatives the same check costs nothing. No row is touched, so the schema's own text is changed.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql,
  'kind IN (''transfer'', ''deposit'', ''withdrawal'', ''capture'', ''payment'', ''refund'', ''reversal'')',
  'kind = ''transfer'' OR kind = ''deposit'' OR kind = ''withdrawal'' OR kind = ''capture'' OR kind = ''payment'' OR kind = ''refund'' OR kind = ''reversal''')
  WHERE type = 'table' AND name = 'transactions';
PRAGMA writable_schema = RESET;
-- Ids of notices are in the order of time.
DROP INDEX notices_by_time;

-- The same promises about transactions and entries, asked in fewer steps. A refusal ends the whole transaction, and not its
-- statement alone: SQLite need not keep the old pages of each statement in case it is refused.
DROP TRIGGER transactions_place;
CREATE TRIGGER transactions_place BEFORE INSERT ON transactions
WHEN EXISTS (SELECT 1 FROM transactions WHERE last_entry = NEW.last_entry) BEGIN
  SELECT RAISE(ROLLBACK, 'transactions are append-only');
END;
DROP TRIGGER entries_place;
CREATE TRIGGER entries_place BEFORE INSERT ON entries
WHEN EXISTS (SELECT 1 FROM entries WHERE id = NEW.id)
  OR NOT EXISTS (SELECT 1 FROM transactions WHERE last_entry = NEW.transaction_entry AND first_entry <= NEW.id) BEGIN
  SELECT CASE
    WHEN EXISTS (SELECT 1 FROM entries WHERE id = NEW.id) THEN RAISE(ROLLBACK, 'entries are append-only')
    ELSE RAISE(ROLLBACK, 'an entry lies within its transaction')
  END;
END;
-- Two entries that cancel out are the most that transactions are; whatever else is summed.
DROP TRIGGER entries_balance;
CREATE TRIGGER entries_balance AFTER INSERT ON entries WHEN NEW.id = NEW.transaction_entry BEGIN
  SELECT RAISE(ROLLBACK, 'an entry is in its account''s own currency')
  WHERE EXISTS (
    SELECT 1 FROM transactions t JOIN entries e ON e.id BETWEEN t.first_entry AND t.last_entry
    WHERE t.last_entry = NEW.id AND e.currency IS NOT (SELECT currency FROM accounts WHERE id = e.account_id)
  );
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
