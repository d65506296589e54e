#!lua flags=allow-oom
-- Ends entries: acknowledges and deletes them, in one, so that a full Redis can be drained.
--
-- KEYS[1]  stream of updates
-- ARGV[1]  consumer group
-- ARGV[2…] entry ids, at most some thousand; unknown ones are ignored
-- returns  how many were deleted
redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, 2))
return redis.call('XDEL', KEYS[1], unpack(ARGV, 2))
