#!lua flags=allow-oom
-- Grants one call, or says how long to wait. All budgets that the call draws from are taken, or none is.
--
-- An entry of a log is the latest moment, in µs of Redis' clock, at which its call can arrive at Telegram: the moment
-- of the grant, plus the time for which it is good, plus the jitter on the way. A later call arrives after its own
-- grant. So two calls arrive more than a window apart if the later one is granted more than a window after the
-- earlier one's entry.
--
-- KEYS[1]  hash, the state of the strict budget: seen, due, silent_until, replid
-- KEYS[2]  list, the log of the budget, newest first
-- KEYS[3]  string, the pause of the bot
-- KEYS[4]  string, the pause of the chat; may be missing, with KEYS[5]
-- KEYS[5]  list, the log of messages to the chat, newest first; may be missing
-- ARGV[1]  calls of the budget in a second
-- ARGV[2]  how long after its grant a call may arrive, µs
-- ARGV[3]  1 if the budget is strict: grants are spaced, and lost state means silence
-- ARGV[4]  messages to the chat in a minute, 0 for any number
-- ARGV[5]  silence after a failover, µs
-- ARGV[6]  1 if the caller has seen Redis' clock jump forward: the log looks older than it is
-- returns  {1 granted or 0 denied, µs to wait, 1 if it is the chat that has to wait, µs of Redis' clock}
local SECOND, MINUTE = 1000000, 60000000
local state, log, bot_pause, chat_pause, chat_log = unpack(KEYS)
local per_second, margin = tonumber(ARGV[1]), tonumber(ARGV[2])
local strict, per_minute = ARGV[3] == '1', tonumber(ARGV[4])

local time = redis.call('TIME')
local now = tonumber(time[1]) * SECOND + tonumber(time[2])
local window = SECOND + margin
local spacing = math.ceil(window / per_second)

-- Lua would print these in exponential form.
local function text(number)
    return string.format('%.0f', number)
end

-- µs until a log has room for one more call beside `calls` in `span`; 0 or less if it has. Room is there only after
-- the moment (`>`), hence the 1.
local function until_room(list, calls, span)
    local newest = tonumber(redis.call('LINDEX', list, 0) or nil)
    if newest and newest > now + 2 * SECOND then
        redis.call('DEL', list) -- From before the clock was put back; it would deny until then.
        return 0
    end
    local oldest = tonumber(redis.call('LINDEX', list, calls - 1) or nil)
    return oldest and oldest + span + 1 - now or 0
end

local function until_unpaused(key)
    return math.max(0, redis.call('PTTL', key)) * 1000
end

local bot_wait = until_unpaused(bot_pause)
local due = 0
if strict then
    local fields = redis.call('HMGET', state, 'seen', 'due', 'silent_until', 'replid')
    local seen, silent_until = tonumber(fields[1] or nil), tonumber(fields[3] or nil)
    due = tonumber(fields[2] or nil)
    local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
    local failed_over = fields[4] and fields[4] ~= replid
    local lost = not seen or seen > now or (due and redis.call('EXISTS', log) == 0)
    if lost or failed_over or ARGV[6] == '1' then
        -- Grants of the last moments may be forgotten: nothing is granted until none of them can matter. A primary
        -- that was replaced may even go on granting until it notices that it has no replicas.
        silent_until = now + math.max(window, failed_over and tonumber(ARGV[5]) or 0)
        due = nil
        redis.call('DEL', log, state)
        redis.call('HSET', state, 'seen', text(now), 'silent_until', text(silent_until), 'replid', replid)
    end
    due = math.max(due or 0, silent_until)
    bot_wait = math.max(bot_wait, due - now)
end
bot_wait = math.max(bot_wait, until_room(log, per_second, SECOND))

local chat_wait = 0
if chat_pause then
    chat_wait = until_unpaused(chat_pause)
end
if chat_log then
    chat_wait = math.max(chat_wait, until_room(chat_log, 1, SECOND))
    if per_minute > 0 then
        chat_wait = math.max(chat_wait, until_room(chat_log, per_minute, MINUTE))
    end
end

local wait = math.max(bot_wait, chat_wait)
if wait > 0 then
    return {0, wait, chat_wait > 0 and 1 or 0, now}
end

local entry = text(now + margin)
redis.call('LPUSH', log, entry)
redis.call('LTRIM', log, 0, per_second - 1)
if strict then
    -- A grant that came late by less than one spacing is made up for, or the rate would fall behind.
    redis.call('HSET', state, 'seen', text(now), 'due', text(math.max(due, now - spacing) + spacing))
else
    redis.call('PEXPIRE', log, 2000)
end
if chat_log then
    redis.call('LPUSH', chat_log, entry)
    redis.call('LTRIM', chat_log, 0, math.max(per_minute, 1) - 1)
    redis.call('PEXPIRE', chat_log, math.ceil((MINUTE + margin) / 1000) + 1000)
end
return {1, 0, 0, now}
