#!lua flags=no-writes
-- Since when the oldest entry is in the stream. Acknowledged ones are deleted, so it is the first.
--
-- KEYS[1]  stream of updates
-- returns  its id, which begins with Unix milliseconds, or false where the stream is empty
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
return first[1] and first[1][1]
