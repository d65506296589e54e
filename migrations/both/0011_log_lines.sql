-- What log chats are told: the number of a line (0: it is no line), what its person was called until it is told, and when it was.
ALTER TABLE verifications ADD COLUMN line BIGINT NOT NULL DEFAULT 0;
ALTER TABLE verifications ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE verifications ADD COLUMN told_ms BIGINT NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX verifications_by_line ON verifications (bot_id, line) WHERE line <> 0;
CREATE INDEX verifications_untold ON verifications (bot_id, chat_id, at_ms) WHERE line <> 0 AND told_ms = 0;
CREATE INDEX verifications_told ON verifications (bot_id, chat_id, told_ms) WHERE told_ms > 0;
