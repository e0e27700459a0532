-- For people: a license's limits, its slots, who waits for one, and what stands in a connection's way. Looking changes
-- nothing: what time alone has done to a slot is told here, and left to those who work to write down.
become = function(row, state, writes)
    if state == 'free' then return clear(row) end
    row.state = state
    for name, value in pairs(writes) do row[name] = value end
end

local function limits()
    local found = redis.call('HMGET', prefix .. 'limits', 'max_sessions', 'max_per_minute')
    if not found[1] then return nil end
    return {max_sessions = tonumber(found[1]), max_per_minute = tonumber(found[2])}
end

local function seen_slots()
    local rows = {}
    for slot = 1, math.max(allowed(), number('slots')) do
        rows[slot] = settled(slot)
        rows[slot].grant = nil
    end
    return rows
end

local function seen_waiters()
    local list, scored = {}, redis.call('ZRANGE', waiters, 0, -1, 'WITHSCORES')
    for i = 1, #scored, 2 do
        local waiter, alive = parse(scored[i]), redis.call('ZSCORE', seen, scored[i])
        if alive and tonumber(alive) > now - ALIVE then
            local rank = tonumber(scored[i + 1]) >= 1e12 and 1 or 0
            list[#list + 1] = {connection = waiter.connection, rank = rank, waited_ms = now - waiter.since}
        end
    end
    return list
end

local function in_the_way_of(connection)
    local bar = halted(connection.name, connection.mark)
        or barred(connection.mark, connection.fingerprint, seen_slots())
    if bar then return bar end
    local nobody = connection.by_login and redis.call('HLEN', prefix .. 'logins:' .. connection.mark) == 0
    return nobody and login_wanted(connection.mark) or nil
end

local bars, present = {}, {}
for _, connection in ipairs(args.connections) do
    bars[connection.name] = in_the_way_of(connection)
    for _, owner in ipairs(redis.call('ZRANGEBYSCORE', workers(connection.mark), now, '+inf')) do
        present[#present + 1] = owner
    end
end
return cjson.encode({
    now = now, limits = limits(), slots = seen_slots(), waiters = seen_waiters(), bars = bars,
    present = present,
    blackout_ms = math.max(0, redis.call('PTTL', prefix .. 'blackout')),
})
