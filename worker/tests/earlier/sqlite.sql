-- A database as the earlier Nezuko's models make it on SQLite: times are text in UTC, truth is 0 or 1.
CREATE TABLE owners (
    user_id BIGINT NOT NULL PRIMARY KEY,
    username VARCHAR(255),
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL
);
CREATE TABLE protected_groups (
    group_id BIGINT NOT NULL PRIMARY KEY,
    owner_id BIGINT NOT NULL REFERENCES owners (user_id) ON DELETE CASCADE,
    title VARCHAR(255),
    enabled BOOLEAN NOT NULL,
    params JSON,
    member_count INTEGER NOT NULL,
    last_sync_at DATETIME,
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL
);
CREATE TABLE enforced_channels (
    channel_id BIGINT NOT NULL PRIMARY KEY,
    title VARCHAR(255),
    username VARCHAR(255),
    invite_link TEXT,
    subscriber_count INTEGER NOT NULL,
    last_sync_at DATETIME,
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL
);
CREATE TABLE group_channel_links (
    id INTEGER NOT NULL PRIMARY KEY,
    group_id BIGINT NOT NULL REFERENCES protected_groups (group_id) ON DELETE CASCADE,
    channel_id BIGINT NOT NULL REFERENCES enforced_channels (channel_id) ON DELETE CASCADE,
    created_at DATETIME NOT NULL,
    UNIQUE (group_id, channel_id)
);
CREATE TABLE verification_log (
    id INTEGER NOT NULL PRIMARY KEY,
    user_id BIGINT NOT NULL,
    group_id BIGINT NOT NULL,
    channel_id BIGINT NOT NULL,
    status VARCHAR(20) NOT NULL,
    latency_ms INTEGER,
    cached BOOLEAN NOT NULL,
    error_type VARCHAR(50),
    timestamp DATETIME NOT NULL
);

INSERT INTO owners VALUES
    (51, 'olga', '2026-01-01 10:00:00.000000', '2026-01-01 10:00:00.000000'),
    (52, NULL, '2026-01-01 10:00:00.000000', '2026-01-01 10:00:00.000000');
INSERT INTO protected_groups VALUES
    (-1001000000001, 51, 'Müller''s', 1, '{}', 120, NULL, '2026-01-02 10:00:00.000000', '2026-01-03 10:00:00.250000'),
    (-1001000000002, 51, NULL, 0, NULL, 0, NULL, '2026-01-02 10:00:00.000000', '2026-01-04 10:00:00.000000'),
    (-1001000000003, 51, 'Alone', 1, '{"button_text": "Go"}', 0, NULL, '2026-01-02 10:00:00', '2026-01-02 10:00:00'),
    (-77, 52, 'Basic', 1, '{}', 5, NULL, '2026-01-02 10:00:00', '2026-01-02 10:00:00');
INSERT INTO enforced_channels VALUES
    (-1001000000011, 'News', 'news', 'https://t.me/news', 9, NULL, '2026-01-02 10:00:00', '2026-01-02 10:00:00'),
    (-1001000000012, 'Hidden', NULL, 'https://t.me/+abc', 9, NULL, '2026-01-02 10:00:00', '2026-01-02 10:00:00');
INSERT INTO group_channel_links (group_id, channel_id, created_at) VALUES
    (-1001000000001, -1001000000011, '2026-01-02 10:00:00.000000'),
    (-1001000000001, -1001000000012, '2026-01-02 10:00:01.000000'),
    (-1001000000002, -1001000000011, '2026-01-02 10:00:00.000000'),
    (-77, -1001000000011, '2026-01-02 10:00:00.000000');
INSERT INTO verification_log (user_id, group_id, channel_id, status, cached, timestamp) VALUES
    (5, -1001000000001, -1001000000011, 'verified', 0, '2026-01-05 10:00:00.000000');
