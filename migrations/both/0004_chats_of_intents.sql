-- Which chat an intent is about, 0 if none: where a chat has to wait, all of its intents do.
ALTER TABLE intents ADD COLUMN chat_id BIGINT NOT NULL DEFAULT 0;
CREATE INDEX intents_of_chat ON intents (bot_id, chat_id, lane) WHERE done_ms IS NULL;
