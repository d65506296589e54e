-- Of each bot: when the newest update that was taken in had reached us. A gap of more than Telegram's 24 h means that updates
-- were dropped.
CREATE TABLE bots (
    bot_id BIGINT NOT NULL PRIMARY KEY,
    received_ms BIGINT NOT NULL
);
