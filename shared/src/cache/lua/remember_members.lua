#!lua flags=allow-oom
-- Remembers verdicts about persons, each unless a newer one is known. Newer is the higher order, then the higher version
-- of the settings; of two that are equal in both, a revocation stays.
--
-- KEYS[i]      the person in the chat
-- ARGV[4i-3]   order
-- ARGV[4i-2]   version of the settings
-- ARGV[4i-1]   1 acquitted, 0 revoked
-- ARGV[4i]     time to live, ms
-- returns      nothing
for i, key in ipairs(KEYS) do
    local order, version, acquitted, ttl = unpack(ARGV, 4 * i - 3, 4 * i)
    local known = redis.call('GET', key)
    local newer = true
    if known then
        local known_order, known_version, known_acquitted = string.match(known, '^(-?%d+):(-?%d+):(%d)$')
        local by_order = tonumber(order) - tonumber(known_order)
        local by_version = tonumber(version) - tonumber(known_version)
        newer = by_order > 0
            or by_order == 0 and (by_version > 0 or by_version == 0 and (known_acquitted == '1' or acquitted == '0'))
    end
    if newer then
        redis.call('SET', key, order .. ':' .. version .. ':' .. acquitted, 'PX', ttl)
    end
end
