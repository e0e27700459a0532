-- The license's minute. KEYS[1] is the license's prefix; ARGV[1] the operation; times in milliseconds of the
-- store's clock. A request counts from its grant until a minute after its release: its arrival at the ERP lies
-- between the two, so no rolling minute of the ERP's ever holds more than were granted.
local prefix, operation = KEYS[1], ARGV[1]
local flying, landed, pace = prefix .. 'flying', prefix .. 'landed', prefix .. 'pace'
local MINUTE = 60000

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- The grants in flight: a worker that dies leaves its own to count until a minute after its last moment.
local function fly(id, longest)
    redis.call('ZADD', flying, now + longest + MINUTE, id)
    local until_forgotten = longest + 2 * MINUTE
    if redis.call('PTTL', flying) < until_forgotten then redis.call('PEXPIRE', flying, until_forgotten) end
end

-- Of the limit, ``reserve`` is never all in flight: requests wait in flight for a session, and a session for the
-- request that signs in.
local function take(id, limit, paced, longest, reserve)
    redis.call('ZREMRANGEBYSCORE', landed, '-inf', now - MINUTE)
    redis.call('ZREMRANGEBYSCORE', flying, '-inf', now)
    if redis.call('ZSCORE', flying, id) then return 0 end
    local in_flight = redis.call('ZCARD', flying)
    if in_flight >= limit - reserve then return 250 end
    if in_flight + redis.call('ZCARD', landed) >= limit then
        local oldest = redis.call('ZRANGE', landed, 0, 0, 'WITHSCORES')
        return math.max(1, oldest[2] + MINUTE - now)
    end
    if paced then
        local next_turn = tonumber(redis.call('GET', pace) or '0')
        if now < next_turn then return next_turn - now end
        redis.call('SET', pace, now + math.floor(MINUTE / limit), 'PX', MINUTE)
    end
    fly(id, longest)
    return 0
end

if operation == 'take' then
    return take(ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1', tonumber(ARGV[5]), tonumber(ARGV[6]))
elseif operation == 'exempt' then
    fly(ARGV[2], tonumber(ARGV[3]))
elseif operation == 'keep' then
    -- Still waiting for a session, or at it: id, longest, …
    for i = 2, #ARGV, 2 do
        if redis.call('ZSCORE', flying, ARGV[i]) then fly(ARGV[i], tonumber(ARGV[i + 1])) end
    end
elseif operation == 'sent' then
    redis.call('ZREM', flying, ARGV[2])
    redis.call('ZADD', landed, now, ARGV[2])
    redis.call('PEXPIRE', landed, MINUTE)
elseif operation == 'unused' then
    redis.call('ZREM', flying, ARGV[2])
end
return 0
