-- A group that becomes a supergroup takes its records along, while its locks are held.
CREATE INDEX verifications_by_chat ON verifications (bot_id, chat_id);
