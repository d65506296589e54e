-- As in 0003, for the table that came after it.
ALTER TABLE bots ENABLE ROW LEVEL SECURITY;
ALTER TABLE bots FORCE ROW LEVEL SECURITY;
CREATE POLICY one_bot ON bots USING (bot_id = nullif(current_setting('nezuko.bot_id', true), '')::bigint);
