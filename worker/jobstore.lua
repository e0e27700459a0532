-- The job store. ARGV[1] is the operation. KEYS are a job's row, the prefix of the sets of job ids, and the key of the
-- job's result; for renew they are rows. Times are seconds of the store's clock. What an attempt writes
-- counts only while it is the latest and its job is running: then 1 is returned, else 0, and nothing has changed.
local row, index, result = KEYS[1], KEYS[2], KEYS[3]
local operation, id = ARGV[1], ARGV[2]

local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000

local function stamp(at)
    return string.format('%.6f', at)
end

local function get(field)
    return redis.call('HGET', row, field)
end

-- Where a job stands that has not ended: its state, what it waits for, its lane and its connection; with each stand
-- the jobs that stand so, and since when they have not got on.
local function leave_stand()
    local old = get('stand')
    if not old then return end
    redis.call('ZREM', index .. 'at:' .. old, id)
    if redis.call('EXISTS', index .. 'at:' .. old) == 0 then redis.call('SREM', index .. 'stands', old) end
    redis.call('HDEL', row, 'stand')
end

local function take_stand(state, reason)
    local place = get('place')
    if not place then return end
    redis.call('HSETNX', row, 'idle_since', stamp(now))
    local stand = state .. '|' .. reason .. '|' .. place
    redis.call('ZADD', index .. 'at:' .. stand, get('idle_since'), id)
    redis.call('SADD', index .. 'stands', stand)
    redis.call('HSET', row, 'stand', stand)
end

local function enter(state, reason)
    local old = get('state')
    if old then redis.call('ZREM', index .. old, id) end
    redis.call('HSET', row, 'state', state)
    redis.call('ZADD', index .. state, now, id)
    leave_stand()
    if state ~= 'done' and state ~= 'failed' then take_stand(state, reason or '') end
end

local function is_latest(key, attempt)
    local known = redis.call('HMGET', key, 'state', 'attempt')
    return known[1] == 'running' and known[2] == attempt
end

local function stop_waiting()
    redis.call('HDEL', row, 'waiting_for', 'waiting_state', 'waiting_since')
end

local function close(state, kept)
    stop_waiting()
    redis.call('HDEL', row, 'lease_until', 'owner', 'idle_since')
    redis.call('HSET', row, 'finished_at', stamp(now))
    enter(state)
    redis.call('EXPIRE', row, kept)
    redis.call('ZREMRANGEBYSCORE', index .. state, '-inf', now - kept)
end

local function accept(job, allowed, place)
    if redis.call('EXISTS', row) == 1 then return 0 end
    redis.call('HSET', row, 'job', job, 'place', place, 'attempt', 0, 'turn', 0,
        'accepted_at', stamp(now), 'deadline_at', stamp(now + allowed))
    enter('accepted')
    return 1
end

-- Takes back the row of a job for which no message could be sent.
local function withdraw()
    if get('state') ~= 'accepted' or get('attempt') ~= '0' then return 0 end
    redis.call('ZREM', index .. 'accepted', id)
    leave_stand()
    return redis.call('DEL', row)
end

local function begin(owner, turn, lease)
    local state = get('state')
    if state == 'done' or state == 'failed' then
        return {'ended', redis.call('GET', result), get('error')}
    end
    if turn < tonumber(get('turn')) then return {'overtaken'} end
    local held = tonumber(get('lease_until') or '0') - now
    if state == 'running' and held > 0 then return {'elsewhere', tostring(held)} end
    local since = get('waiting_since')
    local before = redis.call('HMGET', row, 'waiting_state', 'waiting_for', 'spent')
    stop_waiting()
    redis.call('HSETNX', row, 'started_at', stamp(now))
    redis.call('HSET', row, 'owner', owner, 'lease_until', stamp(now + lease))
    enter('running')
    return {
        'attempt', redis.call('HINCRBY', row, 'attempt', 1),
        stamp(tonumber(get('deadline_at')) - now), stamp(now - tonumber(get('started_at'))),
        since and stamp(now - tonumber(since)), before[1], before[2], before[3],
    }
end

local function renew(lease, first)
    for i, key in ipairs(KEYS) do
        if is_latest(key, ARGV[first + i - 1]) then
            redis.call('HSET', key, 'lease_until', stamp(now + lease))
        end
    end
end

local function put_off(turn, spent, state, reason)
    redis.call('HSET', row, 'turn', turn, 'spent', spent,
        'waiting_state', state, 'waiting_for', reason, 'waiting_since', stamp(now))
    redis.call('HDEL', row, 'lease_until', 'owner')
    enter('waiting', state)
    return 1
end

local function release(spent)
    redis.call('HSET', row, 'spent', spent)
    redis.call('HDEL', row, 'lease_until', 'owner')
    enter('accepted')
    return 1
end

local function finish(text, pages, records, kept, result_kept)
    redis.call('SET', result, text, 'EX', result_kept)
    redis.call('HSET', row, 'pages', pages, 'records', records)
    close('done', kept)
    return 1
end

local function fail(text, kept)
    redis.call('HSET', row, 'error', text)
    close('failed', kept)
    return 1
end

-- Notes the end of a job that was refused before it had a row.
local function refuse(text, kept)
    if redis.call('EXISTS', row) == 1 then return 0 end
    redis.call('HSET', row, 'attempt', 0, 'turn', 0, 'accepted_at', stamp(now))
    return fail(text, kept)
end

local function progress(pages, records)
    redis.call('HSET', row, 'pages', pages, 'records', records)
    redis.call('HDEL', row, 'idle_since')
    return 1
end

-- For people: each stand, how many jobs stand so, and of the one that has waited longest for how long and for what.
-- KEYS[1] is what rows begin with. Changes nothing.
local function standing()
    local list = {}
    for _, stand in ipairs(redis.call('SMEMBERS', index .. 'stands')) do
        local oldest = redis.call('ZRANGE', index .. 'at:' .. stand, 0, 0, 'WITHSCORES')
        list[#list + 1] = {stand, redis.call('ZCARD', index .. 'at:' .. stand), stamp(now - oldest[2]),
            redis.call('HGET', row .. oldest[1], 'waiting_for')}
    end
    return list
end

-- A worker says that it lives, and which lanes it serves. KEYS[1] is the set of those who do.
local function present(worker, alive)
    redis.call('ZREMRANGEBYSCORE', row, '-inf', now)
    redis.call('ZADD', row, now + alive, worker)
    redis.call('EXPIRE', row, alive)
end

if operation == 'accept' then
    return accept(ARGV[3], tonumber(ARGV[4]), ARGV[5])
elseif operation == 'withdraw' then
    return withdraw()
elseif operation == 'begin' then
    accept(ARGV[3], tonumber(ARGV[4]), ARGV[5])
    return begin(ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]))
elseif operation == 'renew' then
    return renew(tonumber(ARGV[2]), 3)
elseif operation == 'refuse' then
    return refuse(ARGV[3], tonumber(ARGV[4]))
elseif operation == 'standing' then
    return standing()
elseif operation == 'present' then
    return present(ARGV[3], tonumber(ARGV[4]))
elseif operation == 'absent' then
    return redis.call('ZREM', row, ARGV[3])
elseif operation == 'workers' then
    return redis.call('ZRANGEBYSCORE', row, '(' .. stamp(now), '+inf')
elseif not is_latest(row, ARGV[3]) then
    return 0
elseif operation == 'progress' then
    return progress(ARGV[4], ARGV[5])
elseif operation == 'put_off' then
    return put_off(ARGV[4], ARGV[5], ARGV[6], ARGV[7])
elseif operation == 'release' then
    return release(ARGV[4])
elseif operation == 'finish' then
    return finish(ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]))
elseif operation == 'fail' then
    return fail(ARGV[4], tonumber(ARGV[5]))
end
