-- An address about to be changed: proved at the new one, agreed to or stopped at the old one. One per person.
CREATE TABLE email_changes (
  person BLOB NOT NULL PRIMARY KEY REFERENCES users (id),
  -- Blind index of the new address; the address itself is sealed under the person's key.
  email_index BLOB NOT NULL CHECK (length(email_index) = 16),
  sealed_email BLOB NOT NULL,
  new_token BLOB NOT NULL UNIQUE CHECK (length(new_token) = 32),
  old_token BLOB NOT NULL UNIQUE CHECK (length(old_token) = 32),
  new_proved_at INTEGER,
  old_proved_at INTEGER,
  -- From when on it is done although the old address has not agreed.
  effective_at INTEGER,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX email_changes_by_end ON email_changes (expires_at);
CREATE INDEX email_changes_due ON email_changes (effective_at) WHERE effective_at IS NOT NULL;
