-- Whom a prompt warns, and when they were to be: `<user>:<Unix milliseconds>`, separated by commas.
ALTER TABLE prompts ADD COLUMN warned TEXT NOT NULL DEFAULT '';
