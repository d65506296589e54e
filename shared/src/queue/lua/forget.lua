#!lua flags=allow-oom
-- Removes consumers that died: silent for long and with nothing pending. Without it each killed worker leaves its name
-- in the group for ever. XGROUP DELCONSUMER forgets what a consumer has pending, so it comes only when nothing is.
--
-- KEYS[1]  stream of updates
-- ARGV[1]  consumer group
-- ARGV[2]  least silence, ms
-- returns  how many were removed
local removed = 0
for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
    local consumer = {}
    for i = 1, #row, 2 do
        consumer[row[i]] = row[i + 1]
    end
    if consumer.pending == 0 and consumer.idle >= tonumber(ARGV[2]) then
        redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
        removed = removed + 1
    end
end
return removed
