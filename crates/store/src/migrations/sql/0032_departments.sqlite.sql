-- Where an operator works and where a customer belongs; and the only department that a role counts in, where it was given
-- for one. Names, not secrets: lower-case letters, digits and hyphens.
ALTER TABLE users ADD COLUMN department TEXT CHECK (length(department) BETWEEN 1 AND 24);
ALTER TABLE grants ADD COLUMN department TEXT CHECK (length(department) BETWEEN 1 AND 24);
