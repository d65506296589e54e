-- Who brought the bot into which group, last; kept apart from the group, so that an owner who leaves deletes nothing.
-- owner_id 0: not known. present: 1 while the bot is in.
CREATE TABLE group_owners (
    bot_id BIGINT NOT NULL,
    chat_id BIGINT NOT NULL,
    owner_id BIGINT NOT NULL,
    present BIGINT NOT NULL,
    at_ms BIGINT NOT NULL, -- when the bot came in or went out
    update_id BIGINT NOT NULL, -- orders what happened within one second
    PRIMARY KEY (bot_id, chat_id)
);
CREATE INDEX group_owners_by_owner ON group_owners (bot_id, owner_id, at_ms, update_id);

-- What the operator has laid down. kind 'group': subject is a group, value 1 allowed, 0 blocked. 'quota': subject is an
-- owner, 0 for all others, value is how many groups. 'closed': subject 0, value 1 where only allowed groups are served.
CREATE TABLE operator_rules (
    bot_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    subject BIGINT NOT NULL,
    value BIGINT NOT NULL,
    set_ms BIGINT NOT NULL,
    PRIMARY KEY (bot_id, kind, subject)
);

-- Who of the administrators had what done in a group, kept as long as the verification log. subject_id: a person or a
-- chat that it was about, 0 for none.
CREATE TABLE audit (
    bot_id BIGINT NOT NULL,
    chat_id BIGINT NOT NULL,
    actor_id BIGINT NOT NULL,
    subject_id BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    action TEXT NOT NULL,
    detail TEXT NOT NULL,
    trace_id TEXT NOT NULL
);
CREATE INDEX audit_by_time ON audit (bot_id, at_ms);
CREATE INDEX audit_by_chat ON audit (bot_id, chat_id, at_ms);
