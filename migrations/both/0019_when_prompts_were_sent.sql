-- When a prompt was sent: one that is far up is not edited but sent anew when somebody comes.
ALTER TABLE prompts ADD COLUMN sent_ms BIGINT NOT NULL DEFAULT 0;
