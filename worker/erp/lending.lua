-- A lease, and its end. Where nobody waits, which is the common case, both end here, before the rest is even set up.
local function present()
    redis.call('ZADD', workers(args.connection), now + args.alive_ms, args.owner)
    redis.call('PEXPIRE', workers(args.connection), HOUR)
end

-- A caller may ask twice, because the answer was lost on its way: what it was given, it is given again.
local function use(row)
    return {answer = 'use', slot = row.slot, generation = row.generation, grant = row.grant, fresh = row.fresh == 1}
end

local function lend(row, long)
    return steps.lend(row, {lease = args.lease, lease_ms = args.lease_ms, busy_ms = args.busy_ms, long = long})
end

-- The first session that fits, without a place in the queue; not what this lease was given already.
local function lend_at_once()
    if redis.call('GET', prefix .. 'epoch') ~= args.epoch or expected() > LONG then return nil end
    if halted(args.name, args.connection) then return nil end
    if args.alone or (args.polls or '') ~= '' or redis.call('EXISTS', long_operations) == 1 then return nil end
    for slot = 1, allowed() do
        if redis.call('HGET', key(slot), 'lease') == args.lease then return nil end
    end
    for slot = 1, allowed() do
        local row = settled(slot)
        if row.connection == args.connection and lend(row, 0) then return use(row) end
    end
    return nil
end

-- The end of a lease: the seconds that its exchange took teach what to expect of the next. An answer that is complete
-- ends the doubling of the pauses for an ERP that restarts.
local function give_back()
    local row = read(args.slot)
    if args.took then
        local before = expected()
        local mean = before > 0 and before * 0.8 + args.took * 0.2 or args.took
        redis.call('HSET', prefix .. 'expected', args.what, math.floor(mean))
        redis.call('PEXPIRE', prefix .. 'expected', HOUR)
        redis.call('DEL', prefix .. 'aways:' .. row.connection)
    end
    return steps[args.outcome](row, args)
end

if redis.call('ZCARD', waiters) == 0 then
    if operation == 'release' then return cjson.encode(give_back()) end
    local lent = operation == 'lease' and lend_at_once()
    if lent then
        present()
        return cjson.encode(lent)
    end
end

