-- What is behind a button or a deep link, until it expires: what it does (JSON), for which chat and whom (0: anybody).
CREATE TABLE buttons (
    bot_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    chat_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    payload TEXT NOT NULL,
    expires_ms BIGINT NOT NULL,
    used_ms BIGINT NOT NULL, -- 0: not yet
    PRIMARY KEY (bot_id, id)
);
CREATE INDEX buttons_by_time ON buttons (bot_id, expires_ms);

-- How often somebody has lately pressed or commanded (kind), since the window began.
CREATE TABLE allowances (
    bot_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    began_ms BIGINT NOT NULL,
    drawn BIGINT NOT NULL,
    PRIMARY KEY (bot_id, user_id, kind)
);
CREATE INDEX allowances_by_time ON allowances (bot_id, began_ms);

CREATE INDEX ledger_in_force ON ledger (bot_id, chat_id) WHERE lifted_ms IS NULL;

ALTER TABLE buttons ENABLE ROW LEVEL SECURITY;
ALTER TABLE buttons FORCE ROW LEVEL SECURITY;
CREATE POLICY one_bot ON buttons USING (bot_id = nullif(current_setting('nezuko.bot_id', true), '')::bigint);
ALTER TABLE allowances ENABLE ROW LEVEL SECURITY;
ALTER TABLE allowances FORCE ROW LEVEL SECURITY;
CREATE POLICY one_bot ON allowances USING (bot_id = nullif(current_setting('nezuko.bot_id', true), '')::bigint);
