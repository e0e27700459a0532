-- The license's minute, for all who share it. KEYS[1] is the license's prefix; ARGV[1] the operation, ARGV[2] its
-- arguments as JSON; times in milliseconds of the store's clock. A request counts from its grant until a minute after
-- its release: its arrival at the ERP lies between the two, so no rolling minute of the ERP's ever holds more than were
-- granted.
--
-- flying, landed: the requests in flight, by when they are forgotten, and those of the last minute, by their release.
-- waiting, alive: who waits, in order, and until when each is believed to. pace: when the next of those that are spread
-- has its turn. heard, usual: what is remembered of others (congestion.lua), and how long answers of a kind take.
-- waits:MINUTE, declined: what those who watch are told.
local prefix, operation, args = KEYS[1], ARGV[1], cjson.decode(ARGV[2])
local flying, landed, pace = prefix .. 'flying', prefix .. 'landed', prefix .. 'pace'
local waiting, alive = prefix .. 'waiting', prefix .. 'alive'
local heard_key, usual = prefix .. 'heard', prefix .. 'usual'
-- How late a turn may be taken without being lost; how late a waiter may be; when every waiter asks again.
local CATCH_UP, LATE, LONGEST_WAIT = 300, 1000, 5000
local SOON = 5000
-- What is usual is the least mean of a block of answers, in the present stretch of time and the last; being the least of
-- many, some of what answers differ by is added, which is pooled over some blocks.
local BLOCK, BLOCKS, POOL, BIAS = 10, 5, 5, 0.7
local STRETCH, LONGEST_STRETCH = MINUTE, 5 * MINUTE
local KEPT = 10 * MINUTE
-- Waits are told of the last so many minutes.
local WATCHED = 5
local RANKS = {sign_in = 0, interactive = 1, bulk = 2}

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function limits()
    local found = redis.call('HMGET', prefix .. 'limits', 'max_per_minute', 'max_sessions')
    return tonumber(found[1] or '0'), tonumber(found[2] or '1')
end

local function remembered()
    local text = redis.call('GET', heard_key)
    return text and cjson.decode(text) or {}
end

local function keep_for(key, milliseconds)
    if redis.call('PTTL', key) < milliseconds then redis.call('PEXPIRE', key, milliseconds) end
end

-- The grants in flight: a worker that dies leaves its own to count until a minute after its last moment.
local function fly(id, longest)
    redis.call('ZADD', flying, now + longest + MINUTE, id)
    keep_for(flying, longest + 2 * MINUTE)
end

local function count()
    redis.call('ZREMRANGEBYSCORE', landed, '-inf', now - MINUTE)
    redis.call('ZREMRANGEBYSCORE', flying, '-inf', now)
    return redis.call('ZCARD', flying), redis.call('ZCARD', landed)
end

local function leave(id)
    redis.call('ZREM', waiting, id)
    redis.call('ZREM', alive, id)
end

-- How many wait before this one: sign-ins, then the lanes, each by how long they have waited.
local function join()
    for _, gone in ipairs(redis.call('ZRANGEBYSCORE', alive, '-inf', now)) do leave(gone) end
    redis.call('ZADD', waiting, RANKS[args.lane] * 1e13 + now - args.waited_ms, args.id)
    redis.call('ZADD', alive, now + LATE, args.id)
    return redis.call('ZRANK', waiting, args.id)
end

-- Each is told its own turn: nobody asks in vain, nor all at once.
local function put_off(wait)
    wait = math.max(1, math.ceil(wait))
    redis.call('ZADD', alive, now + math.min(wait, LONGEST_WAIT) + LATE, args.id)
    keep_for(alive, MINUTE)
    keep_for(waiting, MINUTE)
    return {wait_ms = wait}
end

local function granted(heard)
    leave(args.id)
    fly(args.id, args.longest_ms)
    return {round = heard.round or 0}
end

-- In how many ms the minute will hold fewer than ``bound``, of which ``counted`` are there.
local function room_in(counted, bound)
    if counted < bound then return 0 end
    local first = counted - math.floor(bound)
    local row = redis.call('ZRANGE', landed, first, first, 'WITHSCORES')
    return row[2] and math.max(1, row[2] + MINUTE - now) or 250
end

local function spend_turn(each)
    local turn = math.max(tonumber(redis.call('GET', pace) or '0'), now - CATCH_UP) + each
    redis.call('SET', pace, string.format('%.3f', math.min(turn, now + MINUTE)), 'PX', 2 * MINUTE)
end

-- In how many ms it is the turn of one with so many before it, and how far turns are apart. Bulk is spread; others go
-- when there is room, or when a spread one would.
local function turn_in(ahead, counted, limit, allowed)
    local leaving = redis.call('ZCOUNT', landed, '-inf', now - MINUTE + SOON) * MINUTE / SOON
    local each = MINUTE / speed(counted, allowed, leaving, limit)
    local turn = tonumber(redis.call('GET', pace) or '0') + ahead * each - now
    if args.lane ~= 'bulk' then turn = math.min(turn, room_in(counted + ahead, allowed)) end
    return math.max(turn, room_in(counted + ahead, limit)), each
end

local operations = {}

-- Leave for one request, or for how long to wait. ``round`` tells later which cut the request has felt.
function operations.take()
    if redis.call('GET', prefix .. 'epoch') ~= args.epoch then return {emptied = true} end
    local limit, sessions = limits()
    local heard, ahead = remembered(), join()
    local blackout = redis.call('PTTL', prefix .. 'blackout')
    if blackout > 0 then return put_off(blackout + 20 * ahead) end
    local in_flight, done = count()
    if limit == 0 or redis.call('ZSCORE', flying, args.id) then return granted(heard) end
    -- Of the limit some is never all in flight: requests wait in flight for a session, and a session for its sign-in.
    local reserve = args.lane == 'sign_in' and 0 or math.min(sessions, limit - 1)
    if in_flight >= limit - reserve then return put_off(250 + 20 * ahead) end
    local wait, each = turn_in(ahead, in_flight + done, limit, share(heard, now, limit))
    if wait > 0 then return put_off(wait) end
    spend_turn(each)
    return granted(heard)
end

function operations.exempt()
    local limit = limits()
    if limit > 0 then spend_turn(MINUTE / limit) end
    fly(args.id, args.longest_ms)
    return {}
end

-- Still waiting for a session, or at it: how long each may yet take. A store that was emptied learns of them again.
function operations.keep()
    for id, longest in pairs(args.held) do
        if not redis.call('ZSCORE', landed, id) then fly(id, longest) end
    end
    return {}
end

function operations.unused()
    leave(args.id)
    redis.call('ZREM', flying, args.id)
    return {}
end

local function learn(row)
    local mean = row.sum / row.count
    local variance = math.max(0, row.squares / row.count - mean ^ 2)
    row.this = math.min(row.this or math.huge, mean)
    row.variance = row.variance and row.variance + (variance - row.variance) / POOL or variance
    row.sum, row.squares, row.count, row.blocks = 0, 0, 0, row.blocks + 1
end

-- How long an answer of this kind usually takes, if that is known, and how much they differ; and learn from one more.
local function usually()
    local text = redis.call('HGET', usual, args.kind)
    local row = text and cjson.decode(text) or {sum = 0, squares = 0, count = 0, blocks = 0, began = now}
    local mean, spread = math.min(row.this or math.huge, row.last or math.huge), (row.variance or 0) ^ 0.5
    local passed = now - row.began
    if passed > LONGEST_STRETCH or passed > STRETCH and row.blocks >= BLOCKS then
        row.last, row.this, row.began, row.blocks = passed <= 2 * LONGEST_STRETCH and row.this or nil, nil, now, 0
    end
    row.sum, row.squares, row.count = row.sum + args.took_ms, row.squares + args.took_ms ^ 2, row.count + 1
    if row.count >= BLOCK then learn(row) end
    redis.call('HSET', usual, args.kind, cjson.encode(row))
    redis.call('PEXPIRE', usual, KEPT)
    return mean < math.huge and mean + BIAS * spread or nil, spread
end

-- An answer to a request of before the last cut tells nothing of what the cut did.
local function listen(limit)
    local heard, normal, spread = remembered(), usually()
    if not normal or args.round ~= (heard.round or 0) then return end
    local in_flight, done = count()
    local oldest = redis.call('ZRANGE', landed, 0, 0, 'WITHSCORES')[2] or now
    local late = args.took_ms - own_delay(in_flight + done, oldest, now, limit) - normal
    if hear(heard, late, spread, now, limit, in_flight + done + 1) then redis.call('DEL', usual) end
    redis.call('SET', heard_key, cjson.encode(heard), 'PX', KEPT)
end

-- For those who watch: how many requests waited for how long, in each of the last minutes, and how many were declined.
local function note()
    if args.waited then
        local key = prefix .. 'waits:' .. math.floor(now / MINUTE)
        redis.call('HINCRBY', key, args.waited, 1)
        redis.call('PEXPIRE', key, WATCHED * MINUTE)
    end
    if args.declined then redis.call('INCR', prefix .. 'declined') end
end

local function waits()
    local counts = {}
    for back = 0, WATCHED - 1 do
        local row = redis.call('HGETALL', prefix .. 'waits:' .. (math.floor(now / MINUTE) - back))
        for each = 1, #row, 2 do counts[row[each]] = (counts[row[each]] or 0) + tonumber(row[each + 1]) end
    end
    return counts
end

-- A request has ended; how long its answer took tells of others who spend the license.
function operations.sent()
    note()
    redis.call('ZREM', flying, args.id)
    local limit = limits()
    if args.kind and limit > 0 then listen(limit) end
    redis.call('ZADD', landed, now, args.id)
    redis.call('PEXPIRE', landed, MINUTE)
    return {}
end

-- For people, changing nothing.
function operations.view()
    local limit, heard = limits(), remembered()
    local allowed = limit > 0 and math.floor(share(heard, now, limit)) or 0
    return {
        arrivals = redis.call('ZCOUNT', landed, string.format('(%.0f', now - MINUTE), '+inf'),
        in_flight = redis.call('ZCOUNT', flying, string.format('(%.0f', now), '+inf'),
        limit = allowed, configured = limit, late_ms = heard.late or 0,
        cut_ms = allowed < limit and now - heard.began or nil,
        waits = waits(), declined = tonumber(redis.call('GET', prefix .. 'declined') or '0'),
    }
end

return cjson.encode(operations[operation]())
