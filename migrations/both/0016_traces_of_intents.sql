-- The recorded trace that an intent follows from: a traceparent, and those of earlier traces that have folded into it, newest
-- first, separated by blanks. Empty where none is recorded.
ALTER TABLE intents ADD COLUMN traceparent TEXT NOT NULL DEFAULT '';
ALTER TABLE intents ADD COLUMN trace_links TEXT NOT NULL DEFAULT '';
