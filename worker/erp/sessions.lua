-- The slots of one license's sessions. KEYS[1] is the license's prefix, ARGV[1] the operation; times in
-- milliseconds of the store's clock. Every step is a compare-and-set on (slot, generation):
--
--   free -> intent -> open -> closing -> free        what is known
--   intent -> quarantine -> free                     a sign-in whose outcome nobody knows
--
-- A slot: state; generation; until (when its state ends by itself); token (encrypted); renew (sign out and in
-- again from here on); gone (the ERP has closed the session by itself); lease, lease_until; used.
local prefix, operation = KEYS[1], ARGV[1]
local waiters, seen = prefix .. 'waiters', prefix .. 'seen'
local QUEUE_TTL, WAKE_TTL, ALIVE = 3600000, 10000, 5000

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function key(slot) return prefix .. 'slot:' .. slot end

local function read(slot)
    local flat, row = redis.call('HGETALL', key(slot)), {}
    for i = 1, #flat, 2 do row[flat[i]] = flat[i + 1] end
    row.slot = slot
    row.state = row.state or 'free'
    row.generation = tonumber(row.generation or '0')
    for _, name in ipairs({'until', 'renew', 'gone', 'lease_until', 'used'}) do
        row[name] = tonumber(row[name] or '0')
    end
    row.lease = row.lease or ''
    return row
end

local function free(slot)
    redis.call('HDEL', key(slot), 'until', 'token', 'renew', 'gone', 'lease', 'lease_until', 'used', 'owner')
    redis.call('HSET', key(slot), 'state', 'free')
end

-- What time alone has done to a slot.
local function settled(slot, quarantine)
    local row = read(slot)
    if row.state == 'intent' and row['until'] <= now then
        redis.call('HSET', key(slot), 'state', 'quarantine', 'until', row['until'] + quarantine)
    elseif row.state == 'quarantine' and row['until'] <= now then
        free(slot)
    elseif (row.state == 'open' or row.state == 'closing') and row.gone <= now then
        free(slot)
    elseif row.state == 'open' and row.lease ~= '' and row.lease_until <= now then
        redis.call('HSET', key(slot), 'lease', '')
    else
        return row
    end
    return read(slot)
end

local function is_available(row)
    return row.state == 'free'
        or (row.state == 'open' and row.lease == '')
        or (row.state == 'closing' and row['until'] <= now)
end

local function slots(count, quarantine)
    local rows = {}
    for slot = 1, count do rows[slot] = settled(slot, quarantine) end
    return rows
end

local function available(rows)
    local count = 0
    for _, row in ipairs(rows) do if is_available(row) then count = count + 1 end end
    return count
end

-- Slots beyond a limit that was lowered are still closed, though no longer lent.
local function ever(count)
    local most = tonumber(redis.call('GET', prefix .. 'slots') or '0')
    if count > most then redis.call('SET', prefix .. 'slots', count) end
    return math.max(count, most)
end

local function wake(count)
    if count < 1 then return end
    for _, waiter in ipairs(redis.call('ZRANGE', waiters, 0, count - 1)) do
        redis.call('RPUSH', prefix .. 'wake:' .. waiter, '1')
        redis.call('PEXPIRE', prefix .. 'wake:' .. waiter, WAKE_TTL)
    end
end

local function queue(waiter, rank)
    if not redis.call('ZSCORE', waiters, waiter) then
        redis.call('ZADD', waiters, rank * 1e14 + redis.call('INCR', prefix .. 'arrivals'), waiter)
    end
    redis.call('ZADD', seen, now, waiter)
    for _, dead in ipairs(redis.call('ZRANGEBYSCORE', seen, '-inf', now - ALIVE)) do
        redis.call('ZREM', waiters, dead)
        redis.call('ZREM', seen, dead)
    end
    redis.call('PEXPIRE', waiters, QUEUE_TTL)
    redis.call('PEXPIRE', seen, QUEUE_TTL)
end

local function leave(waiter)
    redis.call('ZREM', waiters, waiter)
    redis.call('ZREM', seen, waiter)
    redis.call('DEL', prefix .. 'wake:' .. waiter)
end

local function lend(row, lease, lease_ms)
    redis.call('HSET', key(row.slot), 'lease', lease, 'lease_until', now + lease_ms, 'used', now)
    return {'use', row.slot, row.generation, redis.call('HGET', key(row.slot), 'token')}
end

local function begin_closing(row, owner, closing_ms)
    redis.call('HSET', key(row.slot), 'state', 'closing', 'until', now + closing_ms, 'lease', '', 'owner', owner)
    return {'sign_out', row.slot, row.generation, redis.call('HGET', key(row.slot), 'token')}
end

local function begin_sign_in(row, owner, intent_ms)
    redis.call('HSET', key(row.slot), 'state', 'intent', 'generation', row.generation + 1,
        'until', now + intent_ms, 'owner', owner)
    return {'sign_in', row.slot, row.generation + 1}
end

-- Why no sign-in may be tried now, if so: refused credentials, or a full license asked a moment ago.
local function barred(fingerprint)
    local refused = redis.call('HMGET', prefix .. 'circuit', 'fingerprint', 'message')
    if refused[1] == fingerprint then return {'refused', refused[2]} end
    local left = redis.call('PTTL', prefix .. 'full')
    if left > 0 then return {'full', redis.call('GET', prefix .. 'full'), left} end
    return nil
end

local operations = {}

-- count, quarantine, waiter, rank, lease, lease_ms, owner, intent_ms, closing_ms, fingerprint
function operations.lease(count, quarantine, waiter, rank, lease, lease_ms, owner, intent_ms, closing_ms, print)
    ever(tonumber(count))
    local rows = slots(tonumber(count), tonumber(quarantine))
    queue(waiter, tonumber(rank))
    if redis.call('ZRANK', waiters, waiter) >= available(rows) then return {'wait'} end
    for _, row in ipairs(rows) do
        if row.state == 'open' and row.lease == '' and row.renew > now then
            leave(waiter)
            wake(available(rows) - 1)
            return lend(row, lease, tonumber(lease_ms))
        end
    end
    for _, row in ipairs(rows) do
        if is_available(row) and row.state ~= 'free' then return begin_closing(row, owner, tonumber(closing_ms)) end
    end
    local bar = barred(print)
    if bar then
        leave(waiter)
        return bar
    end
    for _, row in ipairs(rows) do
        if row.state == 'free' then
            leave(waiter)
            -- The next in line need not wait for this sign-in when other slots are free.
            wake(available(rows) - 1)
            return begin_sign_in(row, owner, tonumber(intent_ms))
        end
    end
end

-- A sign-in ended with a token: slot, generation, token, renew_ms, gone_ms, lease, lease_ms
function operations.opened(slot, generation, token, renew_ms, gone_ms, lease, lease_ms)
    local row = read(slot)
    if row.state ~= 'intent' or row.generation ~= tonumber(generation) then return {'late'} end
    redis.call('HSET', key(slot), 'state', 'open', 'token', token, 'renew', now + renew_ms, 'gone', now + gone_ms,
        'until', now + gone_ms)
    redis.call('DEL', prefix .. 'circuit', prefix .. 'full')
    return lend(read(slot), lease, tonumber(lease_ms))
end

-- A sign-in that surely opened nothing: slot, generation
function operations.not_opened(slot, generation)
    local row = read(slot)
    if row.state == 'intent' and row.generation == tonumber(generation) then free(slot) end
    wake(1)
end

-- A sign-in of unknown outcome: slot, generation, quarantine
function operations.unknown(slot, generation, quarantine)
    local row = read(slot)
    if row.state == 'intent' and row.generation == tonumber(generation) then
        redis.call('HSET', key(slot), 'state', 'quarantine', 'until', now + tonumber(quarantine))
    end
end

-- slot, generation, lease
function operations.release(slot, generation, lease)
    local row = read(slot)
    if row.state == 'open' and row.generation == tonumber(generation) and row.lease == lease then
        redis.call('HSET', key(slot), 'lease', '', 'used', now)
    end
    wake(1)
end

-- The heartbeat of a lease: slot, generation, lease, lease_ms
function operations.renew(slot, generation, lease, lease_ms)
    local row = read(slot)
    if row.state ~= 'open' or row.generation ~= tonumber(generation) or row.lease ~= lease then return 0 end
    redis.call('HSET', key(slot), 'lease_until', now + tonumber(lease_ms))
    return 1
end

-- The ERP no longer takes the token, or never opened its session: slot, generation, owner, closing_ms
function operations.lost(slot, generation, owner, closing_ms)
    local row = read(slot)
    if row.state ~= 'open' or row.generation ~= tonumber(generation) then return {'late'} end
    return begin_closing(row, owner, tonumber(closing_ms))
end

-- A session was closed: slot, generation
function operations.closed(slot, generation)
    local row = read(slot)
    if row.state == 'closing' and row.generation == tonumber(generation) then free(slot) end
    wake(1)
end

-- A token that no longer signs out: the seat frees when the ERP closes the session: slot, generation
function operations.dead(slot, generation)
    local row = read(slot)
    if row.state == 'closing' and row.generation == tonumber(generation) then
        redis.call('HSET', key(slot), 'state', 'quarantine', 'until', row.gone)
        redis.call('HDEL', key(slot), 'token')
    end
end

-- A session could not be closed; leave it to the next who looks, not before: slot, generation, pause_ms
function operations.not_closed(slot, generation, pause_ms)
    local row = read(slot)
    if row.state == 'closing' and row.generation == tonumber(generation) then
        redis.call('HSET', key(slot), 'until', now + tonumber(pause_ms))
    end
end

-- One session to close, if there is one: idle for so long, or left half closed, or beyond a lowered limit.
-- count, quarantine, owner, closing_ms, idle_ms
function operations.idle(count, quarantine, owner, closing_ms, idle_ms)
    count = tonumber(count)
    for _, row in ipairs(slots(ever(count), tonumber(quarantine))) do
        local unused = row.state == 'open' and row.lease == ''
        local waited_for = row.slot <= count and redis.call('ZCARD', waiters) > 0
        local idle = unused and not waited_for and row.used + tonumber(idle_ms) <= now
        local left_over = row.state == 'closing' and row['until'] <= now
        if idle or left_over then return begin_closing(row, owner, tonumber(closing_ms)) end
    end
    return {'none'}
end

-- fingerprint, message
function operations.refuse(fingerprint, message)
    redis.call('HSET', prefix .. 'circuit', 'fingerprint', fingerprint, 'message', message, 'at', now)
end

function operations.restore()
    redis.call('DEL', prefix .. 'circuit', prefix .. 'full')
    wake(1)
end

-- message, pause_ms
function operations.full(message, pause_ms)
    redis.call('SET', prefix .. 'full', message, 'PX', pause_ms)
end

function operations.leave(waiter)
    leave(waiter)
    wake(1)
end

-- Presence: who else uses this license. worker, alive_ms
function operations.present(worker, alive_ms)
    redis.call('ZADD', prefix .. 'workers', now + tonumber(alive_ms), worker)
    redis.call('PEXPIRE', prefix .. 'workers', QUEUE_TTL)
end

function operations.absent(worker, leaving_ms)
    redis.call('ZREM', prefix .. 'workers', worker)
    redis.call('ZADD', prefix .. 'leaving', now + tonumber(leaving_ms), worker)
    redis.call('PEXPIRE', prefix .. 'leaving', leaving_ms)
    redis.call('ZREMRANGEBYSCORE', prefix .. 'workers', '-inf', now)
    return redis.call('ZRANGE', prefix .. 'workers', 0, -1, 'WITHSCORES')
end

-- One session to close when nobody is left to use any: quarantine, owner, closing_ms
function operations.last(quarantine, owner, closing_ms)
    redis.call('ZREMRANGEBYSCORE', prefix .. 'workers', '-inf', now)
    if redis.call('ZCARD', prefix .. 'workers') > 0 then return {'none'} end
    for _, row in ipairs(slots(ever(0), tonumber(quarantine))) do
        -- Of two that leave together, each closes what it has begun to close.
        local leaving = row.owner ~= owner and redis.call('ZSCORE', prefix .. 'leaving', row.owner or '')
        local others = leaving and tonumber(leaving) > now
        if row.state == 'open' or (row.state == 'closing' and not others) then
            return begin_closing(row, owner, tonumber(closing_ms))
        end
    end
    return {'none'}
end

-- For people: slot, state, generation, milliseconds until the state ends by itself, whether it is lent.
function operations.view(count, quarantine)
    local view = {}
    for _, row in ipairs(slots(ever(tonumber(count)), tonumber(quarantine))) do
        local left = row['until'] > now and row['until'] - now or 0
        view[#view + 1] = {row.slot, row.state, row.generation, left, row.lease == '' and 0 or 1}
    end
    return view
end

local call = operations[operation]
return call(unpack(ARGV, 2))
