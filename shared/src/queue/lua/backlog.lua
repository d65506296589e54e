#!lua flags=no-writes
-- Counts what waits, in one instant. Redis' own `lag` is nil whenever an entry older than the last acknowledged one is
-- pending, so it is of no use here.
--
-- KEYS[1]  stream of updates
-- ARGV[1]  consumer group
-- returns  {entries in the stream, pending entries}; without the group nothing is pending
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1])
if pending.err then
    if string.sub(pending.err, 1, 7) ~= 'NOGROUP' then
        return pending
    end
    pending = {0}
end
return {redis.call('XLEN', KEYS[1]), pending[1]}
