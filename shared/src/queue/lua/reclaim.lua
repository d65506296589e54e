#!lua flags=allow-oom
-- Takes over pending entries that nobody has touched for a while and says how often each was delivered, which
-- XAUTOCLAIM alone does not.
--
-- KEYS[1]  stream of updates
-- ARGV[1]  consumer group
-- ARGV[2]  consumer
-- ARGV[3]  least idle time, ms
-- ARGV[4]  cursor of the last call, 0-0 to begin
-- ARGV[5]  how many at most
-- returns  {next cursor, {{id, {field, value, …}, deliveries}, …}}; the cursor is 0-0 after the last one
local answer = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], 'COUNT', ARGV[5])
local entries = answer[2]
for i = 1, #entries do
    local id = entries[i][1]
    entries[i][3] = redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1)[1][4]
end
return {answer[1], entries}
