-- A notice lies in one index beside its key, and not in two: among the unread ones of its person, later among those that were read.
CREATE INDEX notices_new ON notices (person, id) WHERE read_at IS NULL;
CREATE INDEX notices_read ON notices (person, id) WHERE read_at IS NOT NULL;
DROP INDEX notices_of_person;
DROP INDEX notices_unread;
