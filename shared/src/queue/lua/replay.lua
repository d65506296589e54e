-- Puts a dead letter back into the stream of updates with the fields that it had there, both or none.
--
-- KEYS[1]  stream of dead letters
-- KEYS[2]  stream of updates
-- ARGV[1]  id of the dead letter
-- returns  1 if there was one, else 0
local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])
if #found == 0 then
    return 0
end
-- The first three pairs tell of its death.
redis.call('XADD', KEYS[2], '*', unpack(found[1][2], 7))
redis.call('XDEL', KEYS[1], ARGV[1])
return 1
