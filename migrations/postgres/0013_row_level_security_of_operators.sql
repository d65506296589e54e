-- As in 0003, for the tables that came after it.
DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['group_owners', 'operator_rules', 'audit']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY one_bot ON %I USING (bot_id = nullif(current_setting(''nezuko.bot_id'', true), '''')::bigint)',
            name);
    END LOOP;
END
$$;
