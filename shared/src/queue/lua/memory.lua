#!lua flags=no-writes
-- How much of its memory the server with this stream uses, counted as Redis counts it before it refuses writes.
--
-- KEYS[1]  stream of updates; it only says which server of a cluster is meant
-- returns  {bytes used, bytes allowed}; {} where there is no limit, or where the user has no right to INFO
local info = redis.pcall('INFO', 'memory')
if info.err then
    return {}
end
local function bytes(field)
    return tonumber(string.match(info, '\n' .. field .. ':(%d+)')) or 0
end
local limit = bytes('maxmemory')
if limit == 0 then
    return {}
end
return {bytes('used_memory') - bytes('mem_not_counted_for_evict'), limit}
