#!lua flags=allow-oom
-- Obeys a 429: pauses its chat, or the bot, and halves its budget. A shorter pause never ends a longer one.
--
-- KEYS[1]  hash, the state of the budget, as in grant.lua
-- KEYS[2]  string, the pause of the bot
-- KEYS[3]  string, `<chat> <ms>`: the last chat that was paused; it lives for a second
-- KEYS[4]  string, the pause of the chat; missing if the call was about none
-- ARGV[1]  how long, ms
-- ARGV[2]  the chat, or empty
-- ARGV[3]  calls of the budget in a second; 0 if a 429 leaves it as it is
-- returns  1 if the bot is paused by it, else 0
local SECOND, MINUTE = 1000000, 60000000
local LEAST = 5 -- Calls in a second that no number of 429s takes away.
local state, bot_pause, flooded, chat_pause = unpack(KEYS)
local pause, chat, per_second = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])

local function prolong(key, ms)
    if redis.call('PTTL', key) < ms then
        redis.call('SET', key, '', 'PX', string.format('%.0f', ms))
    end
end

local of_bot = not chat_pause
if chat_pause then
    prolong(chat_pause, pause)
    -- Two chats at once: it is not about a chat. For how long, the shorter one says.
    local last = redis.call('GET', flooded)
    local other, other_pause = string.match(last or '', '^(%S+) (%S+)$')
    if other and other ~= chat then
        of_bot = true
        pause = math.min(pause, tonumber(other_pause))
    end
    redis.call('SET', flooded, chat .. ' ' .. ARGV[1], 'PX', 1000)
end
if of_bot then
    prolong(bot_pause, pause)
end

if per_second > 0 then
    local time = redis.call('TIME')
    local now = tonumber(time[1]) * SECOND + tonumber(time[2])
    local fields = redis.call('HMGET', state, 'rate', 'halved_at')
    local rate, halved_at = tonumber(fields[1] or nil) or per_second, tonumber(fields[2] or nil) or 0
    -- Not for each of the calls that were on their way together.
    if now < halved_at or now - halved_at > SECOND then
        rate = math.min(per_second, rate * 1.1 ^ (math.max(0, now - halved_at) / MINUTE))
        rate = math.max(LEAST, rate / 2)
        redis.call('HSET', state, 'rate', rate, 'halved_at', string.format('%.0f', now))
    end
end
return of_bot and 1 or 0
