-- Roles are shared by all databases of a cluster, so they may be there already. None of them logs in or owns a table:
-- the server's login is a member and takes the role that fits (SET ROLE) on each connection.
--   strongroom_app             people and their rights, under row security; reads of the books by the reader
--   strongroom_reader          reads the books and the sealed texts beside them; no people, no keys
--   strongroom_ledger_writer   the books, the log, the outbox; no people, no keys
--   strongroom_auditor         reads the books and the log
DO $$
DECLARE role_name text;
BEGIN
  FOREACH role_name IN ARRAY ARRAY['strongroom_ledger_writer', 'strongroom_app', 'strongroom_reader', 'strongroom_auditor'] LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN NOINHERIT', role_name);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      NULL;
    END;
  END LOOP;
END $$;
