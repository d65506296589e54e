#!lua flags=allow-oom
-- Grants one call, or says how long to wait. All budgets that the call draws from are taken, or none is.
--
-- An entry of a log is the latest moment, in µs of Redis' clock, at which its call can arrive at Telegram: the moment
-- of the grant, plus the time for which it is good, plus the jitter on the way. A later call arrives after its own
-- grant. So two calls arrive more than a window apart if the later one is granted more than a window after the
-- earlier one's entry.
--
-- Urgent calls go first: bulk waits while one of them does. Where grants are not spaced a reserve is kept besides, as
-- large as what urgent calls took lately, so that the next ones need not wait at all. Bulk does not starve: where it has
-- waited for its tenth, urgent calls let one through.
--
-- KEYS[1]  hash, the state of the budget: rate, halved_at, urgent, urgent_at, urgent_waits, bulk_at, bulk_due,
--          bulk_waits; of a strict one also seen, due, silent_until, replid
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
-- ARGV[7]  1 for bulk
-- returns  {1 granted or 0 denied, µs to wait, 1 if it is the chat that has to wait, µs of Redis' clock}
local SECOND, MINUTE = 1000000, 60000000
local BULK_SHARE = 0.1         -- What bulk gets of a budget at least.
local LEAST_RESERVE = 1 / 30   -- What is kept from bulk even if nothing urgent was granted lately.
local MEMORY = 2 * SECOND      -- How long urgent calls are remembered.
local COMES_BACK = SECOND / 10 -- By how much an asker may be late before it counts as gone.

local state, log, bot_pause, chat_pause, chat_log = unpack(KEYS)
local per_second, margin = tonumber(ARGV[1]), tonumber(ARGV[2])
local strict, per_minute, bulk = ARGV[3] == '1', tonumber(ARGV[4]), ARGV[7] == '1'

local time = redis.call('TIME')
local now = tonumber(time[1]) * SECOND + tonumber(time[2])
local window = SECOND + margin

-- Lua would print these in exponential form.
local function text(number)
    return string.format('%.0f', number)
end

-- µs until a log has room for one more call beside `calls` in `span`; 0 or less if it has. Room is there only after
-- the moment (`>`), hence the 1.
local function until_room(list, calls, span)
    local newest = tonumber(redis.call('LINDEX', list, 0) or nil)
    if newest and newest > now + margin + 2 * SECOND then
        redis.call('DEL', list) -- From before the clock was put back; it would deny until then.
        return 0
    end
    local oldest = tonumber(redis.call('LINDEX', list, calls - 1) or nil)
    return oldest and oldest + span + 1 - now or 0
end

local function until_unpaused(key)
    return math.max(0, redis.call('PTTL', key)) * 1000
end

local fields = redis.call('HMGET', state, 'rate', 'halved_at', 'urgent', 'urgent_at', 'bulk_at', 'bulk_due',
    'bulk_waits', 'urgent_waits', 'seen', 'due', 'silent_until', 'replid')
-- A moment of the state. One that the clock has not come to is from before it was put back.
local function moment(field, latest)
    local at = tonumber(fields[field] or nil) or 0
    return at <= latest and at or 0
end

-- Calls in a second: after a 429 fewer, growing by a tenth a minute.
local calls = per_second
local rate, halved_at = tonumber(fields[1] or nil), moment(2, now)
if rate then
    calls = math.max(1, math.floor(math.min(per_second, rate * 1.1 ^ ((now - halved_at) / MINUTE))))
end

local bot_wait = until_unpaused(bot_pause)
local due = 0
if strict then
    local seen, silent_until = tonumber(fields[9] or nil), tonumber(fields[11] or nil)
    due = tonumber(fields[10] or nil)
    local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
    local failed_over = fields[12] and fields[12] ~= replid
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
bot_wait = math.max(bot_wait, until_room(log, calls, SECOND))

-- Who goes first, by the askers that count as waiting.
local bulk_at = moment(5, now)
local share_due = bulk_at + window / (calls * BULK_SHARE)
local bulk_waits, urgent_waits = moment(7, now + MINUTE) > now, moment(8, now + MINUTE) > now
if bulk then
    bot_wait = math.max(bot_wait, moment(6, now + window / BULK_SHARE) - now)
    if urgent_waits and now < share_due then
        bot_wait = math.max(bot_wait, math.min(share_due - now, COMES_BACK))
    end
elseif bulk_waits and now >= share_due then
    bot_wait = math.max(bot_wait, window / calls)
end

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

local wait = math.ceil(math.max(bot_wait, chat_wait))
if wait > 0 then
    if chat_wait <= 0 and (bulk or bulk_waits or now - bulk_at < MEMORY) then
        redis.call('HSET', state, bulk and 'bulk_waits' or 'urgent_waits', text(now + wait + COMES_BACK))
    end
    return {0, wait, chat_wait > 0 and 1 or 0, now}
end

local entry = text(now + margin)
redis.call('LPUSH', log, entry)
redis.call('LTRIM', log, 0, per_second - 1)
if strict then
    -- A grant that came late by less than one spacing is made up for, or the rate would fall behind.
    local spacing = math.ceil(window / per_second)
    redis.call('HSET', state, 'seen', text(now), 'due', text(math.max(due, now - spacing) + spacing))
else
    redis.call('PEXPIRE', log, 2000)
end
-- What urgent calls took lately, in calls a second.
local urgent = (tonumber(fields[3] or nil) or 0) * math.exp((moment(4, now) - now) / MEMORY)
if bulk then
    local reserve = strict and 0 or math.min(calls * (1 - BULK_SHARE), calls * LEAST_RESERVE + 1.25 * urgent)
    local spacing = window / (calls - reserve)
    local bulk_due = math.max(moment(6, now), now - spacing) + spacing
    redis.call('HSET', state, 'bulk_at', text(now), 'bulk_due', text(bulk_due), 'bulk_waits', '0')
else
    redis.call('HSET', state, 'urgent', urgent + SECOND / MEMORY, 'urgent_at', text(now), 'urgent_waits', '0')
end
if chat_log then
    redis.call('LPUSH', chat_log, entry)
    redis.call('LTRIM', chat_log, 0, math.max(per_minute, 1) - 1)
    redis.call('PEXPIRE', chat_log, math.ceil((MINUTE + margin) / 1000) + 1000)
end
return {1, 0, 0, now}
