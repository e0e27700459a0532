-- Who gets which session of a license: the waiters in their order, the slots that fit them, and why none does. What a
-- slot's states mean is in slots.py; nothing here writes a slot but by a step of that table.
local function close(row)
    if row.state == 'open' then
        steps.retire(row, args)
    else
        steps.again(row, {generation = new_generation(), owner = args.owner, closing_ms = args.closing_ms})
    end
    if row.expires <= now then
        steps.dead(row, {generation = row.generation})
        return {answer = 'wait'}
    end
    local busy = row.busy > now
    -- The request that waits for what is at work may itself be at work for longer than anybody waits for it.
    if busy then steps.drain(row, args) end
    return {answer = 'close', slot = row.slot, generation = row.generation, grant = row.grant,
        connection = row.connection, busy = busy}
end

-- What opening a session, or renewing its token, needs to know of the login that it lives on.
local function asking(row, answer)
    local login = row.chain ~= '' and row.chain or nil
    return {answer = answer, slot = row.slot, generation = row.generation, grant = row.grant, login = login,
        refresh = login and redis.call('HGET', prefix .. 'logins:' .. args.connection, login) or nil}
end

-- What this lease was given already, by an answer that was lost.
local function given(rows)
    for _, row in ipairs(rows) do
        if row.lease == args.lease then
            if steps.renew(row, args) then return use(row) end
            if row.sent == 0 and row.state == 'intent' then return asking(row, 'sign_in') end
            if row.sent == 0 and row.state == 'refreshing' then return asking(row, 'refresh') end
        end
    end
    return nil
end

local function holds(rows)
    for _, row in ipairs(rows) do
        local alive = row.state ~= 'free' and row.state ~= 'quarantine'
        if alive and row.connection == args.connection then return true end
    end
    return false
end

local operations = {}

-- A store that was emptied has forgotten sessions that may still be open, and what was asked in the last minute.
local function mourn()
    if redis.call('SETNX', prefix .. 'mourned', now) == 0 then return end
    redis.call('SET', prefix .. 'blackout', 1, 'PX', 60000)
    for _, row in ipairs(slots()) do
        steps.mourn(row, {generation = new_generation(), forgotten_ms = args.forgotten_ms})
    end
end

-- A process comes to this license, or finds that the store is not the one that it knew.
function operations.join()
    local epoch = redis.call('GET', prefix .. 'epoch')
    if not epoch then
        epoch = args.fresh
        redis.call('SET', prefix .. 'epoch', epoch)
        redis.call('SET', prefix .. 'generation', now)
    end
    redis.call('HSETNX', prefix .. 'limits', 'max_sessions', args.max_sessions)
    redis.call('HSETNX', prefix .. 'limits', 'max_per_minute', args.max_per_minute)
    if args.epoch ~= '' and args.epoch ~= epoch then mourn() end
    local limits = redis.call('HMGET', prefix .. 'limits', 'max_sessions', 'max_per_minute')
    return {epoch = epoch, max_sessions = tonumber(limits[1]), max_per_minute = tonumber(limits[2])}
end

function operations.set_limits()
    redis.call('HSET', prefix .. 'limits', 'max_sessions', args.max_sessions, 'max_per_minute', args.max_per_minute)
    wake()
    return true
end

-- What to do for a waiter, or why to wait.
function operations.lease()
    if redis.call('GET', prefix .. 'epoch') ~= args.epoch then return {answer = 'emptied'} end
    present()
    local view = look()
    local before = given(view.rows)
    if before then return before end
    local stop = view:bar(args.connection, args)
    if stop and (stop.halts or not holds(view.rows)) then
        leave(args.waiter)
        return stop
    end
    local member, mine, what = queue(), nil, nil
    view:share(function(waiter, row, action, for_it)
        if waiter.member ~= member and not for_it then return false end
        mine, what = row, action
        return true
    end)
    if not mine then
        local work = view:work_in_the_way(args)
        if work then leave(args.waiter) end
        return work or {answer = 'wait', left = view:soonest()}
    end
    if what == 'close' then return close(mine) end
    serve(member)
    if what == 'sign_in' then
        steps.intend(mine, {generation = new_generation(), lease_ms = args.lease_ms, lease = args.lease,
            owner = args.owner, connection = args.connection,
            chain = args.by_login and free_login(args.connection, view.rows) or ''})
        return asking(mine, 'sign_in')
    end
    if what == 'refresh' then
        steps.refresh(mine, {generation = new_generation(), lease_ms = args.lease_ms, lease = args.lease,
            owner = args.owner})
        return asking(mine, 'refresh')
    end
    lend(mine, parse(member).long and 1 or 0)
    if (args.polls or '') ~= '' then hear_of(mine) end
    wake()
    return use(mine)
end

-- One step of the table: whether it was taken. A connection that is halted begins nothing.
function operations.step()
    local row = settled(args.slot)
    if args.name == 'send' and halted(args.by or '', row.connection) then return false end
    local taken = steps[args.name](row, args)
    wake()
    return taken
end

-- A sign-in or a renewal ended with a token. What a login lives on is kept even if it came too late.
function operations.opened()
    local row = read(args.slot)
    local logins = prefix .. 'logins:' .. args.connection
    if args.login and args.chain and redis.call('HEXISTS', logins, args.login) == 1 then
        redis.call('HSET', logins, args.login, args.chain)
    end
    if row.state == 'open' and row.generation == args.generation and row.lease == args.lease then return {answer = 'use'} end
    local landed = prefix .. 'landed:' .. args.connection
    if args.landed and redis.call('SETNX', landed, args.landed) == 0 then
        local before = redis.call('GET', landed)
        if before ~= args.landed then return {answer = 'elsewhere', before = before} end
    end
    if not steps[args.name](row, args) then return {answer = 'late'} end
    redis.call('DEL', prefix .. 'circuit:' .. args.connection)
    if args.name == 'opened' then redis.call('DEL', prefix .. 'full') end
    wake()
    return {answer = 'use'}
end

function operations.release()
    local taken = give_back()
    if taken then wake() end
    return taken
end

-- The answer to a lease was lost, so nothing came of it.
function operations.withdraw()
    leave(args.waiter)
    for _, row in ipairs(slots()) do
        if row.lease == args.lease then
            local _ = steps.untouched(row, args)
            if row.state == 'intent' and row.sent == 0 then steps.not_opened(row, row) end
            if row.state == 'refreshing' and row.sent == 0 then steps.not_refreshed(row, row) end
        end
    end
    wake()
    return true
end

-- The ERP no longer takes the token, or never opened its session. Whoever has the session by now will find out too.
function operations.lost()
    local row = read(args.slot)
    if not steps.lost(row, args) then return {answer = 'late'} end
    return close(row)
end

-- A session was closed. If it had a seat, there is room for another now.
function operations.closed()
    local row = read(args.slot)
    local seated = row.fresh == 0
    local _ = steps.closed(row, args)
    if seated then redis.call('DEL', prefix .. 'full') end
    wake()
    return true
end

-- The heartbeat of a worker, of its leases, and of the connections that its jobs are at.
function operations.beat()
    present()
    for _, held in ipairs(args.held) do
        local row = read(held.slot)
        local known = {lease = held.lease, generation = held.generation, lease_ms = args.lease_ms}
        local _ = steps.renew(row, known) or (row.lease == held.lease and steps.keep(row, known))
    end
    redis.call('ZREMRANGEBYSCORE', at_work, '-inf', now)
    for _, connection in ipairs(args.at_work) do
        redis.call('ZADD', at_work, now + args.alive_ms, connection .. '|' .. args.owner)
    end
    redis.call('PEXPIRE', at_work, HOUR)
    return redis.call('GET', prefix .. 'epoch') or ''
end

-- No job of this worker is at a connection any more.
function operations.rest()
    redis.call('ZREM', at_work, args.connection .. '|' .. args.owner)
    return true
end

local function is_at_work(connection)
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', at_work, now, '+inf')) do
        if member:sub(1, #connection + 1) == connection .. '|' then return true end
    end
    return false
end

local function is_waited_for(connection)
    for _, member in ipairs(redis.call('ZRANGE', waiters, 0, -1)) do
        if parse(member).connection == connection then return true end
    end
    return false
end

-- One session of a connection to close, if there is one: idle for so long, left half closed, beyond a lowered limit,
-- or of a paused connection.
function operations.idle()
    forget_the_dead()
    forget_operations()
    -- Nobody is there to sign out at.
    if redis.call('EXISTS', prefix .. 'away:' .. args.connection) == 1 then return {answer = 'wait'} end
    local limit, waited_for = allowed(), is_waited_for(args.connection)
    local hurried = redis.call('HEXISTS', prefix .. 'paused', args.name) == 1
    local held_by_jobs = args.idle_ms == 0 and is_at_work(args.connection)
    for _, row in ipairs(slots()) do
        if row.connection == args.connection then
            local superfluous = row.slot > limit or hurried
            local idle = not waited_for and not held_by_jobs and row.used + args.idle_ms <= now and row.busy <= now
            if (is_idle(row) and (superfluous or idle) and not is_kept(row)) or is_left_over(row) then
                local answer = close(row)
                -- One whose token is dead cannot be closed; the next may be.
                if answer.answer == 'close' then return answer end
            end
        end
    end
    return {answer = 'wait'}
end

function operations.refuse()
    redis.call('HSET', prefix .. 'circuit:' .. args.connection, 'fingerprint', args.fingerprint, 'message', args.message,
        'code', args.code)
    return true
end

-- An operator has mended what stood in the way.
function operations.restore()
    redis.call('DEL', prefix .. 'circuit:' .. args.connection, prefix .. 'full', prefix .. 'full:' .. args.connection,
        prefix .. 'landed:' .. args.connection, prefix .. 'away:' .. args.connection,
        prefix .. 'aways:' .. args.connection)
    wake()
    return true
end

-- A login limit was met: the license's, or that of a connection's user, who may go on with as many sessions as are open.
function operations.full()
    local whose = args.of == 'user' and ':' .. args.connection or ''
    redis.call('SET', prefix .. 'full' .. whose, args.message, 'PX', args.pause_ms)
    if args.of == 'user' then
        redis.call('SET', prefix .. 'seats:' .. args.connection, seated(args.connection, slots()), 'PX', args.pause_ms)
    end
    return true
end

-- The ERP restarts: a pause, twice as long as the last one, ten times the first at most. All who met it before the pause
-- was known have met the same restart.
function operations.away()
    local away, times = prefix .. 'away:' .. args.connection, prefix .. 'aways:' .. args.connection
    if redis.call('EXISTS', away) == 0 then
        local pause = args.pause_ms * math.min(10, 2 ^ (redis.call('INCR', times) - 1))
        redis.call('SET', away, args.message, 'PX', string.format('%.0f', pause))
        redis.call('PEXPIRE', times, string.format('%.0f', pause + HOUR))
    end
    return halted(args.name, args.connection)
end

function operations.leave()
    leave(args.waiter)
    wake()
    return true
end

-- Who else is there, and when each was last seen to beat.
function operations.absent()
    local present_ones = workers(args.connection)
    redis.call('ZREM', present_ones, args.owner)
    redis.call('ZADD', leaving, now + args.closing_ms, args.owner)
    redis.call('PEXPIRE', leaving, args.closing_ms)
    redis.call('ZREMRANGEBYSCORE', present_ones, '-inf', now)
    return redis.call('ZRANGE', present_ones, 0, -1, 'WITHSCORES')
end

-- One session of a connection to close when nobody is left to use any.
function operations.last()
    local present_ones = workers(args.connection)
    redis.call('ZREMRANGEBYSCORE', present_ones, '-inf', now)
    redis.call('ZREM', present_ones, args.owner)
    if redis.call('ZCARD', present_ones) > 0 then return {answer = 'wait'} end
    local awaited = false
    for _, row in ipairs(slots()) do
        -- Of two that leave together, each closes what it has begun to close, unless it is killed at it.
        local other = row.owner ~= args.owner and redis.call('ZSCORE', leaving, row.owner)
        local others = other and tonumber(other) > now and row['until'] > now
        local known = row.connection == args.connection
        awaited = awaited or (known and row.state == 'closing' and others)
        local open = row.state == 'open' and not is_kept(row)
        if known and (open or (row.state == 'closing' and not others)) then
            if row.lease ~= '' then steps.let_go(row, {lease = row.lease}) end
            if row.state == 'closing' then row['until'] = now end
            local answer = close(row)
            if answer.answer == 'close' then return answer end
        end
    end
    return {answer = awaited and 'others' or 'wait'}
end

-- An operator halts a connection, and lets it go on, whoever has halted it.
-- Paused again without a reason, it stays paused for the first one.
function operations.pause()
    local before = redis.call('HGET', prefix .. 'paused', args.name)
    if before and args.reasoned == 0 then return before end
    redis.call('HSET', prefix .. 'paused', args.name, args.message)
    return args.message
end

function operations.resume()
    local halts = redis.call('HDEL', prefix .. 'paused', args.name)
        + redis.call('DEL', prefix .. 'away:' .. args.connection)
    redis.call('DEL', prefix .. 'aways:' .. args.connection)
    wake()
    return halts > 0
end

-- The operator's word that the ERP has closed a slot's session.
function operations.given_up()
    local taken = steps.given_up(settled(args.slot), args)
    wake()
    return taken
end

-- An operator has a session of a connection closed that is lent to nobody.
function operations.sign_out()
    local row = settled(args.slot)
    local known = row.connection == args.connection and row.generation == args.generation
    return (is_idle(row) or is_left_over(row)) and known and close(row) or {answer = 'wait'}
end

-- An operator has made room at the ERP: what was met as a limit may be gone.
function operations.make_room()
    redis.call('DEL', prefix .. 'full', prefix .. 'full:' .. args.connection)
    wake()
    return true
end
