-- The job store. KEYS[1] is what its keys begin with; ARGV[1] the operation, ARGV[2] its arguments as JSON. Times are
-- seconds of the store's clock. What an attempt writes counts only while it is the latest and its job is running: else
-- false is returned, and nothing has changed.
--
-- job:ID, a row for each job; result:ID; key:NAME, the job that bears an idempotency key; answer:QUESTION, the job
-- that last answered it. jobs:STATE, the ids in a state.
-- jobs:due, when the sweeper is to look at a job that runs or waits; jobs:unheard:LANE, from when on a message should
-- have come of a job that is accepted, or has ended without anybody having been told.
local prefix, operation, args = KEYS[1], ARGV[1], cjson.decode(ARGV[2])
local index, due = prefix .. 'jobs:', prefix .. 'jobs:due'
local ENDED = {done = true, failed = true, cancelled = true, dead = true}
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000

-- The job that is spoken of.
local id, row
local function speak_of(job)
    id, row = job, prefix .. 'job:' .. job
end

local function stamp(at) return string.format('%.6f', at) end
local function get(field) return redis.call('HGET', row, field) or nil end
local function number(field) return tonumber(get(field) or '0') end
local function lane() return (get('place') or ''):match('^[^|]*') end

local function unheard() return index .. 'unheard:' .. lane() end

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
    redis.call('HSETNX', row, 'idle_since', stamp(now))
    local stand = state .. '|' .. reason .. '|' .. get('place')
    redis.call('ZADD', index .. 'at:' .. stand, get('idle_since'), id)
    redis.call('SADD', index .. 'stands', stand)
    redis.call('HSET', row, 'stand', stand)
end

-- ``at`` is when the sweeper is to look at it.
local function enter(state, at, reason)
    local old = get('state')
    if old then redis.call('ZREM', index .. old, id) end
    redis.call('HSET', row, 'state', state)
    redis.call('ZADD', index .. state, now, id)
    leave_stand()
    redis.call('ZREM', due, id)
    if not get('place') then return end
    redis.call('ZREM', unheard(), id)
    if state == 'running' or state == 'waiting' then
        redis.call('ZADD', due, at, id)
    else
        redis.call('ZADD', unheard(), now + args.grace, id)
        redis.call('HSET', row, 'rings', 0)
    end
    if not ENDED[state] then take_stand(state, reason or '') end
end

local function stop_waiting() redis.call('HDEL', row, 'waiting_for', 'waiting_state', 'waiting_since') end
local function stop_running() redis.call('HDEL', row, 'lease_until', 'owner') end

local function close(state)
    stop_waiting()
    stop_running()
    redis.call('HDEL', row, 'idle_since', 'checkpoint', 'cancel')
    redis.call('HSET', row, 'finished_at', stamp(now))
    enter(state)
    redis.call('EXPIRE', row, args.kept)
    redis.call('ZREMRANGEBYSCORE', index .. state, '-inf', now - args.kept)
end

local function fail(state, text)
    redis.call('HSET', row, 'error', text)
    close(state)
end

local function bell()
    return {id = id, job = get('job'), lane = lane(), turn = number('turn')}
end

-- The job is to be begun again, by another message than those before; what it waited for stays known until then.
local function again()
    stop_running()
    redis.call('HINCRBY', row, 'turn', 1)
    enter('accepted')
end

-- An attempt has ended without a word. Too many in a row, and the job is dead.
local function crashed()
    if redis.call('HINCRBY', row, 'crashes', 1) < args.crashes then return again() end
    fail('dead', args.dead)
end

-- The job of an idempotency key, if that is another than this one; and whether it asks the same.
local function namesake()
    if not args.key then return nil end
    local holder = redis.call('GET', prefix .. 'key:' .. args.key)
    if not holder or holder == id then return nil end
    local digest = redis.call('HGET', prefix .. 'job:' .. holder, 'digest')
    return digest and {same_as = holder, differs = digest ~= args.digest} or nil
end

local function write_down()
    redis.call('HSET', row, 'job', args.job, 'entity', args.entity, 'place', args.place, 'attempt', 0, 'turn', 0,
        'accepted_at', stamp(now), 'deadline_at', stamp(now + args.allowed), 'allowed', args.allowed)
    if args.question then redis.call('HSET', row, 'question', args.question) end
    enter('accepted')
end

local function claim_key()
    if not args.key then return end
    redis.call('HSET', row, 'key', args.key, 'digest', args.digest)
    redis.call('SET', prefix .. 'key:' .. args.key, id, 'EX', math.ceil(args.allowed + args.kept))
end

local operations = {}

function operations.accept()
    if redis.call('EXISTS', row) == 1 then return {accepted = false} end
    local other = namesake()
    if other then return other end
    write_down()
    claim_key()
    return {accepted = true}
end

-- A message that came without a row; where another job asks the same, it follows that one.
local function arrive()
    local other = namesake()
    if other and other.differs then return other end
    write_down()
    if other then redis.call('HSET', row, 'same_as', other.same_as) else claim_key() end
    return nil
end

-- Takes back the row of a job for which no message could be sent.
function operations.withdraw()
    if get('state') ~= 'accepted' or number('attempt') > 0 then return false end
    redis.call('ZREM', index .. 'accepted', id)
    redis.call('ZREM', unheard(), id)
    if get('key') then redis.call('DEL', prefix .. 'key:' .. get('key')) end
    leave_stand()
    return redis.call('DEL', row) == 1
end

local function ended()
    return {kind = 'ended', result = redis.call('GET', prefix .. 'result:' .. id) or nil, error = get('error')}
end

-- A job whose last attempt ended without a word may have killed its process, and those that ran beside it are under
-- the same suspicion. So a process runs one such job at a time, and an innocent one is not beside the culprit twice.
local function is_beside_another()
    local key = prefix .. 'suspect:' .. args.owner
    local other = redis.call('GET', key)
    if other and other ~= id then
        local its = redis.call('HMGET', prefix .. 'job:' .. other, 'state', 'crashes')
        if its[1] == 'running' and tonumber(its[2] or '0') > 0 then return true end
    end
    redis.call('SET', key, id, 'EX', args.result_kept)
    return false
end

local function stand_back()
    redis.call('HSET', row, 'waiting_state', 'waiting', 'waiting_for', args.suspect)
    redis.call('HSETNX', row, 'waiting_since', stamp(now))
    redis.call('HINCRBY', row, 'turn', 1)
    enter('waiting', math.min(now + 1, number('deadline_at')), 'waiting')
    return {kind = 'dropped'}
end

function operations.begin()
    local other = redis.call('EXISTS', row) == 0 and arrive()
    if other then return {kind = 'other', same_as = other.same_as, differs = true} end
    local is_old = args.turn < number('turn')
    if ENDED[get('state')] then
        -- An old message that comes back late tells nobody anything new: to Celery the job would end twice.
        if is_old and not redis.call('ZSCORE', unheard(), id) then return {kind = 'dropped'} end
        return ended()
    end
    if is_old then return {kind = 'dropped'} end
    if get('state') == 'running' then
        if number('lease_until') > now then return {kind = 'dropped'} end
        crashed()
        if ENDED[get('state')] then return ended() end
    end
    if get('cancel') then
        fail('cancelled', args.cancelled)
        return ended()
    end
    if number('crashes') > 0 and number('deadline_at') > now and is_beside_another() then return stand_back() end
    local since = get('waiting_since')
    local told = {kind = 'attempt', waited = since and now - tonumber(since), waiting_state = get('waiting_state'),
        waiting_for = get('waiting_for'), spent = get('spent'), checkpoint = get('checkpoint'),
        same_as = get('same_as')}
    stop_waiting()
    redis.call('HSETNX', row, 'started_at', stamp(now))
    redis.call('HSET', row, 'owner', args.owner, 'lease_until', stamp(now + args.lease))
    enter('running', now + args.lease)
    told.attempt, told.turn = redis.call('HINCRBY', row, 'attempt', 1), number('turn')
    told.remaining, told.elapsed = number('deadline_at') - now, now - number('started_at')
    return told
end

local function is_latest(attempt)
    return get('state') == 'running' and number('attempt') == attempt
end

-- The attempts that live, and those of them whose jobs are to be cancelled.
function operations.renew()
    local cancelled = {}
    for _, held in ipairs(args.held) do
        speak_of(held.id)
        if is_latest(held.attempt) then
            redis.call('HSET', row, 'lease_until', stamp(now + args.lease))
            redis.call('ZADD', due, now + args.lease, id)
            if get('cancel') then cancelled[#cancelled + 1] = id end
        end
    end
    return {cancelled = cancelled}
end

-- What only the latest attempt may do.
local writes = {}

function writes.checkpoint()
    redis.call('HSET', row, 'checkpoint', args.checkpoint, 'pages', args.pages, 'records', args.records,
        'crashes', 0)
    redis.call('HDEL', row, 'idle_since')
    return {cancelled = get('cancel') ~= nil}
end

function writes.put_off()
    redis.call('HSET', row, 'spent', args.spent, 'waiting_state', args.state, 'waiting_for', args.reason,
        'waiting_since', stamp(now))
    redis.call('HINCRBY', row, 'turn', 1)
    stop_running()
    enter('waiting', get('cancel') and now or math.min(now + args.seconds, number('deadline_at')), args.state)
    return true
end

-- The slice is over; ``turn`` is that of the message that goes on with the job.
function writes.continue()
    redis.call('HSET', row, 'spent', args.spent)
    redis.call('HINCRBY', row, 'slices', 1)
    again()
    return {turn = number('turn')}
end

-- The message goes back to its queue, and the job with it.
function writes.release()
    redis.call('HSET', row, 'spent', args.spent)
    stop_running()
    enter('accepted')
    return true
end

function writes.finish()
    redis.call('SET', prefix .. 'result:' .. id, args.result, 'EX', args.result_kept)
    redis.call('HSET', row, 'pages', args.pages, 'records', args.records)
    local question = args.is_own and get('question')
    if question then redis.call('SET', prefix .. 'answer:' .. question, id, 'EX', args.result_kept) end
    close('done')
    return true
end

function writes.fail()
    fail(args.state, args.error)
    return true
end

-- The job that last answered a question, if that was begun at most so many seconds ago.
function operations.answered()
    local other = redis.call('GET', prefix .. 'answer:' .. args.question)
    local began = other and redis.call('HGET', prefix .. 'job:' .. other, 'started_at')
    return began and tonumber(began) >= now - args.seconds and other
end

-- Notes the end of a job that was refused before it had a row.
function operations.refuse()
    if redis.call('EXISTS', row) == 1 then return false end
    redis.call('HSET', row, 'attempt', 0, 'turn', 0, 'accepted_at', stamp(now))
    fail('failed', args.error)
    return true
end

-- Whoever sent the job has been told how it ended.
function operations.told()
    return ENDED[get('state')] and redis.call('ZREM', unheard(), id) == 1
end

-- Somebody wants the job no more: one that runs is told so; another has ended, and whoever sent it is to be told.
function operations.cancel()
    local state = get('state')
    if not state then return {state = 'unknown'} end
    if ENDED[state] then return {state = state} end
    if state == 'running' and number('lease_until') > now then
        redis.call('HSET', row, 'cancel', 1)
        return {state = state}
    end
    redis.call('HINCRBY', row, 'turn', 1)
    fail('cancelled', args.cancelled)
    return {state = 'cancelled', bell = bell()}
end

-- A job that has ended without a result is begun anew, from its last checkpoint's beginning.
function operations.retry()
    local state = get('state')
    if not state then return {state = 'unknown'} end
    if not ENDED[state] or state == 'done' or not get('job') then return {state = state} end
    redis.call('HDEL', row, 'error', 'finished_at', 'spent', 'started_at')
    redis.call('PERSIST', row)
    redis.call('HSET', row, 'crashes', 0, 'deadline_at', stamp(now + number('allowed')))
    again()
    return {state = 'accepted', bell = bell()}
end

-- Jobs that nobody sees to any more, and those whose time has come: a message is to be sent for each. Of jobs that are
-- accepted, those of lanes whose queue is ``empty``: their message is lost, or in the hands of a worker that is busy.
function operations.sweep()
    local bells = {}
    for _, found in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, args.most)) do
        speak_of(found)
        local state = get('state')
        if state == 'running' then crashed() elseif state == 'waiting' then again() end
        if state == 'running' or state == 'waiting' then
            bells[#bells + 1] = bell()
        else
            redis.call('ZREM', due, found)
        end
    end
    for _, empty in ipairs(args.empty) do
        local key = index .. 'unheard:' .. empty
        for _, found in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, args.most)) do
            speak_of(found)
            if get('job') then
                local rings = redis.call('HINCRBY', row, 'rings', 1)
                redis.call('ZADD', key, now + args.grace * 2 ^ math.min(rings, 6), found)
                bells[#bells + 1] = bell()
            else
                redis.call('ZREM', key, found)
            end
        end
    end
    return {bells = bells}
end

-- What jobs of a connection waited for is there: they are due.
function operations.hurry()
    local hurried = 0
    for _, each in ipairs({'interactive', 'bulk'}) do
        local stand = index .. 'at:waiting|' .. args.state .. '|' .. each .. '|' .. args.connection
        for _, found in ipairs(redis.call('ZRANGE', stand, 0, args.most - 1)) do
            redis.call('ZADD', due, 'LT', now, found)
            hurried = hurried + 1
        end
    end
    return hurried
end

-- For people: each stand, how many jobs stand so, and of the one that has waited longest for how long and for what.
function operations.standing()
    local list = {}
    for _, stand in ipairs(redis.call('SMEMBERS', index .. 'stands')) do
        local oldest = redis.call('ZRANGE', index .. 'at:' .. stand, 0, 0, 'WITHSCORES')
        list[#list + 1] = {stand = stand, count = redis.call('ZCARD', index .. 'at:' .. stand),
            longest = now - oldest[2],
            reason = redis.call('HGET', prefix .. 'job:' .. oldest[1], 'waiting_for') or nil}
    end
    return {standing = list}
end

-- A worker says that it lives, and which lanes it serves.
function operations.present()
    local present = prefix .. 'workers'
    redis.call('ZREMRANGEBYSCORE', present, '-inf', now)
    redis.call('ZADD', present, now + args.alive, args.worker)
    redis.call('EXPIRE', present, args.alive)
    return true
end

function operations.absent() return redis.call('ZREM', prefix .. 'workers', args.worker) == 1 end

function operations.workers()
    return {workers = redis.call('ZRANGEBYSCORE', prefix .. 'workers', '(' .. stamp(now), '+inf')}
end

if args.id then speak_of(args.id) end
if writes[operation] then return cjson.encode(is_latest(args.attempt) and writes[operation]()) end
return cjson.encode(operations[operation]())
