-- Each transaction names its bot; rows of others are not there for it, whatever its statements say. Without a bot there are
-- no rows at all. FORCE binds the owner, too.
DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'people', 'chats', 'links', 'members', 'ledger', 'held_messages', 'prompts', 'intents', 'processed_updates',
        'verifications', 'queue', 'quarantine', 'dead_letters']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY one_bot ON %I USING (bot_id = nullif(current_setting(''nezuko.bot_id'', true), '''')::bigint)',
            name);
    END LOOP;
END
$$;
