-- What Nezuko knows and wants to do. Every key begins with the bot, so that bots share nothing.
-- BIGINT and TEXT only: the same statements run on both databases. Times named *_ms are Unix milliseconds.

-- One row for every person seen; its update is the lock under which all facts about the person change.
CREATE TABLE people (
    bot_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    rev BIGINT NOT NULL,
    PRIMARY KEY (bot_id, user_id)
);

-- Groups and channels: facts are registers as JSON; version rises with every change of what is enforced there.
CREATE TABLE chats (
    bot_id BIGINT NOT NULL,
    chat_id BIGINT NOT NULL,
    version BIGINT NOT NULL,
    facts TEXT NOT NULL,
    PRIMARY KEY (bot_id, chat_id)
);

-- Which group requires which channel.
CREATE TABLE links (
    bot_id BIGINT NOT NULL,
    group_id BIGINT NOT NULL,
    channel_id BIGINT NOT NULL,
    enabled BIGINT NOT NULL,
    set_by_update BIGINT NOT NULL,
    set_ms BIGINT NOT NULL,
    PRIMARY KEY (bot_id, group_id, channel_id)
);
CREATE INDEX links_by_channel ON links (bot_id, channel_id);

-- A person in a chat: registers as JSON, and whether the group's prompt names them.
CREATE TABLE members (
    bot_id BIGINT NOT NULL,
    chat_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    waiting BIGINT NOT NULL,
    topic BIGINT NOT NULL,
    facts TEXT NOT NULL,
    changed_ms BIGINT NOT NULL, -- when waiting last changed
    seen_ms BIGINT NOT NULL,
    PRIMARY KEY (bot_id, user_id, chat_id)
);
CREATE INDEX members_by_chat ON members (bot_id, chat_id, user_id);
CREATE INDEX members_waiting ON members (bot_id, chat_id, topic, changed_ms) WHERE waiting = 1;

-- The restrictions that are ours: why and since when, and when they were lifted.
CREATE TABLE ledger (
    bot_id BIGINT NOT NULL,
    chat_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    until_date BIGINT NOT NULL,
    missing TEXT NOT NULL,
    imposed_ms BIGINT NOT NULL,
    lifted_ms BIGINT,
    PRIMARY KEY (bot_id, chat_id, user_id)
);

-- Messages whose writer is not decided yet.
CREATE TABLE held_messages (
    bot_id BIGINT NOT NULL,
    chat_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    message_id BIGINT NOT NULL,
    date BIGINT NOT NULL,
    PRIMARY KEY (bot_id, user_id, chat_id, message_id)
);

-- The standing prompt of a group and topic (0: none). message_id 0: one may be on its way since sending_ms.
CREATE TABLE prompts (
    bot_id BIGINT NOT NULL,
    chat_id BIGINT NOT NULL,
    topic BIGINT NOT NULL,
    message_id BIGINT NOT NULL,
    shown TEXT NOT NULL,
    sending_ms BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL,
    PRIMARY KEY (bot_id, chat_id, topic)
);

-- The keyed outbox. done_ms marks the tombstone of an effect, kept for 48 h.
CREATE TABLE intents (
    bot_id BIGINT NOT NULL,
    key TEXT NOT NULL,
    lane BIGINT NOT NULL,
    kind TEXT NOT NULL,
    user_id BIGINT NOT NULL,
    payload TEXT NOT NULL,
    generation BIGINT NOT NULL,
    not_before_ms BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    claim BIGINT NOT NULL,
    claimed_by TEXT NOT NULL,
    claimed_until_ms BIGINT NOT NULL,
    trace_id TEXT NOT NULL,
    done_ms BIGINT,
    PRIMARY KEY (bot_id, key)
);
CREATE INDEX intents_due ON intents (bot_id, lane, not_before_ms) WHERE done_ms IS NULL;
CREATE INDEX intents_claimed ON intents (bot_id, claimed_by) WHERE done_ms IS NULL;
CREATE INDEX intents_of_person ON intents (bot_id, user_id) WHERE done_ms IS NULL;
CREATE INDEX intents_done ON intents (bot_id, done_ms) WHERE done_ms IS NOT NULL;

-- Updates that were taken in, kept for 48 h: what is counted is counted once.
CREATE TABLE processed_updates (
    bot_id BIGINT NOT NULL,
    update_id BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (bot_id, update_id)
);
CREATE INDEX processed_updates_by_time ON processed_updates (bot_id, at_ms);

-- What was done to whom and why, kept for 90 days.
CREATE TABLE verifications (
    bot_id BIGINT NOT NULL,
    chat_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    trace_id TEXT NOT NULL
);
CREATE INDEX verifications_by_time ON verifications (bot_id, at_ms);
