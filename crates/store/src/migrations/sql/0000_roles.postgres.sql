-- Roles are shared by all databases of a cluster, so they may be there already. None of them logs in or owns a table:
-- the server's login is a member and takes the role that fits (SET ROLE) on each connection.
DO $$
DECLARE role_name text;
BEGIN
  FOREACH role_name IN ARRAY ARRAY['strongroom_ledger_writer', 'strongroom_app', 'strongroom_auditor'] LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN NOINHERIT', role_name);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      NULL;
    END;
  END LOOP;
END $$;
