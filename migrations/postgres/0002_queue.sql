-- The queue of the embedded profile, where no Redis is. Whoever reads an entry becomes its consumer; an acknowledged
-- entry is deleted.
CREATE TABLE queue (
    bot_id BIGINT NOT NULL,
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    update_id BIGINT NOT NULL,
    routing_key BIGINT NOT NULL,
    received_ms BIGINT NOT NULL,
    traceparent TEXT NOT NULL,
    payload BYTEA NOT NULL,
    consumer TEXT,
    deliveries BIGINT NOT NULL DEFAULT 0,
    touched_ms BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (bot_id, id)
);
CREATE INDEX queue_unread ON queue (bot_id, id) WHERE consumer IS NULL;
CREATE INDEX queue_pending ON queue (bot_id, touched_ms) WHERE consumer IS NOT NULL;

-- Authenticated bodies that are no update; the oldest go first.
CREATE TABLE quarantine (
    bot_id BIGINT NOT NULL,
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    received_ms BIGINT NOT NULL,
    reason TEXT NOT NULL,
    payload BYTEA NOT NULL,
    PRIMARY KEY (bot_id, id)
);

-- Entries that were given up, until an operator drops or replays them.
CREATE TABLE dead_letters (
    bot_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    update_id BIGINT NOT NULL,
    routing_key BIGINT NOT NULL,
    received_ms BIGINT NOT NULL,
    traceparent TEXT NOT NULL,
    payload BYTEA NOT NULL,
    reason TEXT NOT NULL,
    died_ms BIGINT NOT NULL,
    PRIMARY KEY (bot_id, id)
);
