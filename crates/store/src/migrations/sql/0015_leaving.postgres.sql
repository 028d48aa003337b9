-- An address about to be changed: proved at the new one, agreed to or stopped at the old one. One per person.
CREATE TABLE email_changes (
  person uuid NOT NULL PRIMARY KEY REFERENCES users (id),
  -- Blind index of the new address; the address itself is sealed under the person's key.
  email_index bytea NOT NULL CHECK (length(email_index) = 16),
  sealed_email bytea NOT NULL,
  new_token bytea NOT NULL UNIQUE CHECK (length(new_token) = 32),
  old_token bytea NOT NULL UNIQUE CHECK (length(old_token) = 32),
  new_proved_at bigint,
  old_proved_at bigint,
  -- From when on it is done although the old address has not agreed.
  effective_at bigint,
  created_at bigint NOT NULL,
  expires_at bigint NOT NULL
);
CREATE INDEX email_changes_by_end ON email_changes (expires_at);
CREATE INDEX email_changes_due ON email_changes (effective_at) WHERE effective_at IS NOT NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON email_changes TO strongroom_app;
ALTER TABLE email_changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE email_changes FORCE ROW LEVEL SECURITY;
CREATE POLICY email_changes_scope ON email_changes TO strongroom_app USING (in_scope(person)) WITH CHECK (in_scope(person));
