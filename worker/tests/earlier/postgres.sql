-- A database as the earlier Nezuko's later migrations leave it on PostgreSQL: with several bots, and links that may be
-- optional.
CREATE TABLE owners (
    user_id BIGINT PRIMARY KEY,
    username VARCHAR(64),
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE TABLE bot_instances (
    id SERIAL PRIMARY KEY,
    owner_telegram_id BIGINT NOT NULL,
    bot_id BIGINT NOT NULL UNIQUE,
    bot_username VARCHAR(64),
    token_encrypted TEXT NOT NULL
);
CREATE TABLE protected_groups (
    group_id BIGINT PRIMARY KEY,
    owner_id BIGINT NOT NULL REFERENCES owners (user_id) ON DELETE CASCADE,
    title VARCHAR(255),
    enabled BOOLEAN NOT NULL DEFAULT TRUE,
    params JSONB DEFAULT '{}',
    member_count INTEGER NOT NULL DEFAULT 0,
    last_sync_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    bot_instance_id INTEGER REFERENCES bot_instances (id)
);
CREATE TABLE enforced_channels (
    channel_id BIGINT PRIMARY KEY,
    title VARCHAR(255),
    username VARCHAR(64),
    invite_link TEXT,
    subscriber_count INTEGER NOT NULL DEFAULT 0,
    linked_groups_count INTEGER NOT NULL DEFAULT 0,
    last_sync_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    bot_instance_id INTEGER REFERENCES bot_instances (id)
);
CREATE TABLE group_channel_links (
    id SERIAL PRIMARY KEY,
    group_id BIGINT NOT NULL REFERENCES protected_groups (group_id) ON DELETE CASCADE,
    channel_id BIGINT NOT NULL REFERENCES enforced_channels (channel_id) ON DELETE CASCADE,
    is_required BOOLEAN NOT NULL DEFAULT TRUE,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    UNIQUE (group_id, channel_id)
);
CREATE TABLE verification_log (
    id SERIAL PRIMARY KEY,
    user_id BIGINT NOT NULL,
    group_id BIGINT NOT NULL,
    channel_id BIGINT NOT NULL,
    status VARCHAR(20) NOT NULL,
    latency_ms INTEGER,
    cached BOOLEAN NOT NULL DEFAULT FALSE,
    error_type VARCHAR(50),
    timestamp TIMESTAMPTZ NOT NULL DEFAULT now()
);

INSERT INTO owners (user_id, username) VALUES (51, 'olga'), (52, NULL);
INSERT INTO bot_instances (id, owner_telegram_id, bot_id, token_encrypted) VALUES (1, 51, 99, ''), (2, 51, 7000000001, '');
INSERT INTO protected_groups (group_id, owner_id, title, enabled, params, created_at, updated_at, bot_instance_id) VALUES
    (-1001000000001, 51, 'Müller''s', TRUE, '{}', '2026-01-02 11:00:00+01', '2026-01-03 10:00:00.25+00', 2),
    (-1001000000002, 51, NULL, FALSE, NULL, '2026-01-02 10:00:00+00', '2026-01-04 10:00:00+00', NULL),
    (-1001000000003, 51, 'Alone', TRUE, '{"button_text": "Go"}', '2026-01-02 10:00:00+00', '2026-01-02 10:00:00+00', 2),
    (-1001000000004, 52, 'Another''s', TRUE, '{}', '2026-01-02 10:00:00+00', '2026-01-02 10:00:00+00', 1);
INSERT INTO enforced_channels (channel_id, title, username, invite_link) VALUES
    (-1001000000011, 'News', 'news', 'https://t.me/news'),
    (-1001000000012, 'Hidden', NULL, 'https://t.me/+abc'),
    (-1001000000013, 'Optional', 'optional', NULL);
INSERT INTO group_channel_links (group_id, channel_id, is_required, created_at) VALUES
    (-1001000000001, -1001000000011, TRUE, '2026-01-02 10:00:00+00'),
    (-1001000000001, -1001000000012, TRUE, '2026-01-02 10:00:01+00'),
    (-1001000000001, -1001000000013, FALSE, '2026-01-02 10:00:01+00'),
    (-1001000000002, -1001000000011, TRUE, '2026-01-02 10:00:00+00');
INSERT INTO verification_log (user_id, group_id, channel_id, status) VALUES (5, -1001000000001, -1001000000011, 'verified');
