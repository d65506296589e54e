-- Whose trail it is can be erased without reading all of it.
CREATE INDEX audit_by_actor ON audit (bot_id, actor_id);
CREATE INDEX audit_by_subject ON audit (bot_id, subject_id);
