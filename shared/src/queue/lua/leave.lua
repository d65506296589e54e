#!lua flags=allow-oom
-- A consumer leaves: what it still holds goes to a consumer that stands for nobody, as if idle for a day, so that the
-- next XAUTOCLAIM takes it whatever its least idle time; then the consumer is removed. XGROUP DELCONSUMER forgets what
-- a consumer has pending, so it comes only when nothing is.
--
-- KEYS[1]  stream of updates
-- ARGV[1]  consumer group
-- ARGV[2]  consumer
-- ARGV[3]  the consumer that stands for nobody
-- returns  how many entries were given back
local given_back = 0
while true do
    local held = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 500, ARGV[2])
    if #held == 0 then
        break
    end
    for i = 1, #held do
        redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], 0, held[i][1], 'IDLE', 86400000, 'JUSTID')
    end
    given_back = given_back + #held
end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return given_back
