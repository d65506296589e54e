-- PostgreSQL keeps plans from quiet times, when there is next to nothing and any index seems as good, and would go through all
-- intents of the bot by the wrong one in the next raid. So none begins with the bot that is not for statements that name its
-- whole predicate, and for no others.
ALTER TABLE intents DROP CONSTRAINT intents_pkey, ADD PRIMARY KEY (key, bot_id);
DROP INDEX intents_due;
DROP INDEX intents_claimed;
DROP INDEX intents_of_person;
DROP INDEX intents_of_chat;
CREATE INDEX intents_due ON intents (bot_id, lane, not_before_ms) WHERE done_ms IS NULL AND lane >= 0;
CREATE INDEX intents_claimed ON intents (bot_id, claimed_by) WHERE done_ms IS NULL AND claimed_by <> '';
CREATE INDEX intents_of_person ON intents (bot_id, user_id) WHERE done_ms IS NULL AND user_id <> 0;
CREATE INDEX intents_of_chat ON intents (bot_id, chat_id, lane) WHERE done_ms IS NULL AND chat_id <> 0;
