#!lua flags=allow-oom
-- Remembers a chat's version unless a higher one is known.
--
-- KEYS[1]  the chat
-- ARGV[1]  version of the settings
-- ARGV[2]  1 protected, 0 not
-- ARGV[3]  time to live, ms
-- returns  nothing
local known = redis.call('GET', KEYS[1])
if not known or tonumber(string.match(known, '^-?%d+')) <= tonumber(ARGV[1]) then
    redis.call('SET', KEYS[1], ARGV[1] .. ':' .. ARGV[2], 'PX', ARGV[3])
end
