#!lua flags=allow-oom
-- Moves an entry to the dead letters and ends it, both or none. Who finds it ended already adds nothing. Redis undoes
-- nothing of a script that fails, so the command that can fail for its own reasons comes first.
--
-- KEYS[1]  stream of updates
-- KEYS[2]  stream of dead letters
-- ARGV[1]  consumer group
-- ARGV[2]  entry id
-- ARGV[3…] fields and values of the dead letter
-- returns  1 if it was pending, else 0
if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1) == 0 then
    return 0
end
redis.call('XADD', KEYS[2], '*', unpack(ARGV, 3))
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
return 1
