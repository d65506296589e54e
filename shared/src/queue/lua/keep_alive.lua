#!lua flags=allow-oom
-- Resets the idle time of entries that the consumer still owns. One that another consumer has taken is not taken back;
-- an XCLAIM without the look at the owner would do just that.
--
-- KEYS[1]  stream of updates
-- ARGV[1]  consumer group
-- ARGV[2]  consumer
-- ARGV[3…] entry ids
-- returns  how many are kept alive
local kept = 0
for i = 3, #ARGV do
    local id = ARGV[i]
    if #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1, ARGV[2]) > 0 then
        redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, 'JUSTID')
        kept = kept + 1
    end
end
return kept
