-- The license's minute. KEYS[1] is the license's prefix; ARGV[1] the operation; times in milliseconds of the
-- store's clock. A request counts from its grant until a minute after its release: its arrival at the ERP lies
-- between the two, so no rolling minute of the ERP's ever holds more than were granted.
local prefix, operation = KEYS[1], ARGV[1]
local flying, landed, pace = prefix .. 'flying', prefix .. 'landed', prefix .. 'pace'
local MINUTE = 60000

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function take(id, limit, paced, longest)
    redis.call('ZREMRANGEBYSCORE', landed, '-inf', now - MINUTE)
    redis.call('ZREMRANGEBYSCORE', flying, '-inf', now)
    if redis.call('ZCARD', flying) + redis.call('ZCARD', landed) >= limit then
        local oldest = redis.call('ZRANGE', landed, 0, 0, 'WITHSCORES')
        -- With nothing landed the whole minute is in flight: look again soon.
        return oldest[2] and math.max(1, oldest[2] + MINUTE - now) or 250
    end
    if paced then
        local next_turn = tonumber(redis.call('GET', pace) or '0')
        if now < next_turn then return next_turn - now end
        redis.call('SET', pace, now + math.floor(MINUTE / limit), 'PX', MINUTE)
    end
    -- A worker that dies in flight leaves its grant to count until a minute after its last moment.
    redis.call('ZADD', flying, now + longest + MINUTE, id)
    redis.call('PEXPIRE', flying, longest + 2 * MINUTE)
    return 0
end

if operation == 'take' then
    return take(ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1', tonumber(ARGV[5]))
elseif operation == 'sent' then
    redis.call('ZREM', flying, ARGV[2])
    redis.call('ZADD', landed, now, ARGV[2])
    redis.call('PEXPIRE', landed, MINUTE)
    return 0
elseif operation == 'note' then
    redis.call('ZADD', landed, now, ARGV[2])
    redis.call('PEXPIRE', landed, MINUTE)
    return 0
elseif operation == 'unused' then
    redis.call('ZREM', flying, ARGV[2])
    return 0
end
