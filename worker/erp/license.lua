-- One license's keys, what its store is told, and what time has done to its slots.
local args = cjson.decode(ARGV[2])
local waiters = prefix .. 'waiters'
local HOUR = 3600000
-- An exchange that is expected to take longer leaves a session to the others.
local LONG = 5000

-- The workers that live and know a connection: only they can close its sessions.
local function workers(connection) return prefix .. 'workers:' .. connection end

local function number(name) return tonumber(redis.call('GET', prefix .. name) or '0') end

local function allowed() return tonumber(redis.call('HGET', prefix .. 'limits', 'max_sessions') or '0') end

-- What time alone has done to a slot.
local function settled(slot)
    local row = read(slot)
    local _ = steps.abandoned(row, args) or steps.not_begun(row, args) or steps.unanswered(row, args)
        or steps.over(row, args) or steps.outlived(row, args)
    if row.lease ~= '' then steps.lapsed(row, args) end
    return row
end

-- A session that nobody uses, and one that somebody began to close and did not.
local function is_idle(row) return row.state == 'open' and row.lease == '' end
local function is_left_over(row) return row.state == 'closing' and row['until'] <= now end

-- Why nothing is to be begun on a connection, if so: an operator has paused it, or its ERP restarts.
local function halted(name, connection)
    local paused = redis.call('HGET', prefix .. 'paused', name)
    if paused then return {answer = 'paused', message = paused, halts = true} end
    local message = redis.call('GET', prefix .. 'away:' .. connection)
    if not message then return nil end
    local left = math.max(0, redis.call('PTTL', prefix .. 'away:' .. connection))
    return {answer = 'away', message = message, left = left, over = now + left, halts = true}
end

local function expected()
    return tonumber(redis.call('HGET', prefix .. 'expected', args.what) or '0')
end

