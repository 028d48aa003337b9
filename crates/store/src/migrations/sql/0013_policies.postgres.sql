-- Policies of the bank's own. A text is never changed: a new one is a revision, and which revisions are in force together
-- is a set. The newest set counts. What was in force in March can be read for as long as the log can.
CREATE TABLE policies (
  id uuid NOT NULL PRIMARY KEY,
  name text NOT NULL UNIQUE,
  created_at bigint NOT NULL,
  -- Out of sight and never in force again; the texts stay.
  deleted_at bigint
);
CREATE TABLE policy_revisions (
  policy uuid NOT NULL REFERENCES policies (id),
  number bigint NOT NULL CHECK (number > 0),
  text text NOT NULL,
  -- Cases that have to come out as written before the text may be in force (JSON).
  tests text NOT NULL,
  digest bytea NOT NULL CHECK (length(digest) = 32),
  -- Zeros for whoever holds the data directory.
  maker uuid NOT NULL,
  created_at bigint NOT NULL,
  PRIMARY KEY (policy, number)
);
-- Set 1 is that of the policies the program brings along, alone.
CREATE TABLE policy_sets (
  version bigint NOT NULL PRIMARY KEY CHECK (version > 1),
  at bigint NOT NULL,
  -- What each set was built on: the digest of the program's own policies.
  builtin bytea NOT NULL CHECK (length(builtin) = 32)
);
CREATE TABLE policy_set_members (
  version bigint NOT NULL REFERENCES policy_sets (version),
  policy uuid NOT NULL,
  number bigint NOT NULL,
  PRIMARY KEY (version, policy),
  FOREIGN KEY (policy, number) REFERENCES policy_revisions (policy, number)
);
CREATE TRIGGER policies_kept BEFORE DELETE OR TRUNCATE ON policies EXECUTE FUNCTION refuse_change();
CREATE TRIGGER policy_revisions_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON policy_revisions EXECUTE FUNCTION refuse_change();
CREATE TRIGGER policy_sets_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON policy_sets EXECUTE FUNCTION refuse_change();
CREATE TRIGGER policy_set_members_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON policy_set_members EXECUTE FUNCTION refuse_change();

GRANT SELECT, INSERT ON policies, policy_revisions, policy_sets, policy_set_members TO strongroom_app;
GRANT UPDATE (deleted_at) ON policies TO strongroom_app;
GRANT SELECT ON policies, policy_revisions, policy_sets, policy_set_members TO strongroom_auditor;
