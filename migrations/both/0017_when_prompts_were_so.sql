-- When what a prompt says was so: whoever was to be warned by then has been.
ALTER TABLE prompts ADD COLUMN as_of_ms BIGINT NOT NULL DEFAULT 0;
