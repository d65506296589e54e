-- The two roles of Nezuko's database: run once by an administrator, in that database, for instance
--
--     psql --dbname nezuko --file migrations/roles.sql
--
-- and again without harm. nezuko_owner owns the tables and runs `nezuko-worker migrate`; nezuko_runtime is what the
-- programs run as: it reads and writes rows, of one bot at a time, and changes nothing else. Both get their passwords
-- afterwards, by `\password nezuko_owner` in psql, say.
DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['nezuko_owner', 'nezuko_runtime'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', name);
        END IF;
        EXECUTE format('ALTER ROLE %I NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS', name);
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), name);
    END LOOP;
END
$$;

-- PostgreSQL before 15 lets everybody make tables here.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO nezuko_owner;
GRANT USAGE ON SCHEMA public TO nezuko_runtime;

-- Also for tables that later versions make.
ALTER DEFAULT PRIVILEGES FOR ROLE nezuko_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO nezuko_runtime;
