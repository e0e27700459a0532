-- Who waits for a session of a license: by lane, then the jobs of a lane in turn, then by arrival.
local seen, places = prefix .. 'seen', prefix .. 'places'
local leaving, at_work, facts = prefix .. 'leaving', prefix .. 'at_work', prefix .. 'facts'
local WAKE_TTL, ALIVE, LOOK_AGAIN = 10000, 5000, 1000
-- Wrong credentials must not be tried once for each slot: accounts get locked.
local ALONE = 5000
-- A session changes its connection when its own has no use for it for so long, or has had it for a while.
local LINGER, TENURE, TENURE_USES, TENURE_MOST = 1000, 5000, 25, 30000

-- Slots beyond a limit that was lowered are still closed, though no longer lent.
local function slots()
    local most = math.max(allowed(), number('slots'))
    if most > number('slots') then redis.call('SET', prefix .. 'slots', most) end
    local rows = {}
    for slot = 1, most do rows[slot] = settled(slot) end
    return rows
end

local function new_generation()
    return redis.call('INCR', prefix .. 'generation')
end

-- A member of the queue says of its waiter what a choice needs to know.
local function parse(member)
    local since, waiter, long, connection = member:match('^%d+|(%d+)|([^|]*)|(%d)|(.*)$')
    return {member = member, since = tonumber(since), waiter = waiter, long = long == '1', connection = connection}
end

local function forget(member)
    redis.call('ZREM', waiters, member)
    redis.call('ZREM', seen, member)
    redis.call('HDEL', places, parse(member).waiter)
    redis.call('HDEL', facts, parse(member).waiter)
end

local function forget_the_dead()
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', seen, '-inf', now - ALIVE)) do forget(member) end
end

local function turn_of(job)
    local turns, at = prefix .. 'turns:' .. args.rank, number('turn:' .. args.rank)
    redis.call('ZREMRANGEBYSCORE', turns, '-inf', at - 1)
    local last = tonumber(redis.call('ZSCORE', turns, job) or '-1')
    local turn = math.max(at, last + 1)
    redis.call('ZADD', turns, turn, job)
    redis.call('PEXPIRE', turns, HOUR)
    return turn
end

local function queue()
    local member = redis.call('HGET', places, args.waiter)
    if not member then
        local arrival = redis.call('INCR', prefix .. 'arrivals')
        local long = expected() > LONG and 1 or 0
        member = string.format('%012d|%.0f|%s|%d|%s', arrival, now, args.waiter, long, args.connection)
        redis.call('HSET', places, args.waiter, member)
        redis.call('ZADD', waiters, args.rank * 1e12 + turn_of(args.job), member)
    end
    redis.call('HSET', facts, args.waiter, cjson.encode({
        name = args.name, fingerprint = args.fingerprint, by_login = args.by_login, known = args.known,
        what = args.what, alone = args.alone, begins = args.begins, polls = args.polls,
    }))
    redis.call('ZADD', seen, now, member)
    forget_the_dead()
    for _, name in ipairs({waiters, seen, places, facts}) do redis.call('PEXPIRE', name, HOUR) end
    return member
end

local function leave(waiter)
    local member = redis.call('HGET', places, waiter)
    if member then forget(member) end
    redis.call('DEL', prefix .. 'wake:' .. waiter)
end

local function serve(member)
    local turn = tonumber(redis.call('ZSCORE', waiters, member)) - args.rank * 1e12
    redis.call('SET', prefix .. 'turn:' .. args.rank, turn, 'PX', HOUR)
    leave(args.waiter)
end

