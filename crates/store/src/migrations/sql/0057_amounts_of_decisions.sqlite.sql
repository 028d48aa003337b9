-- How much would move, with each decision: among the facts that decisions share, every amount made other facts.
ALTER TABLE decisions ADD COLUMN amount INTEGER;
ALTER TABLE decisions ADD COLUMN currency TEXT
  CHECK ((amount IS NULL) = (currency IS NULL) AND (currency IS NULL OR length(currency) = 3));
