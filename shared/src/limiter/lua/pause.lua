#!lua flags=allow-oom
-- Begins or prolongs a pause; a shorter one never ends a longer one.
--
-- KEYS[1]  string, the pause of the bot or of a chat
-- ARGV[1]  how long, ms
-- returns  nothing
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then
    redis.call('SET', KEYS[1], '', 'PX', ARGV[1])
end
