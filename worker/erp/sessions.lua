-- The slots of one license's sessions. KEYS[1] is the license's prefix, ARGV[1] the operation; times in
-- milliseconds of the store's clock. Every step is a compare-and-set on (slot, generation):
--
--   free -> intent -> open -> closing -> free        what is known
--   intent, sent -> quarantine -> free               a sign-in whose outcome nobody knows
--   intent, not sent -> free                         a sign-in that nobody will send any more
--   closing -> quarantine -> free                    a token that no longer signs out
--   open, closing -> free                            the ERP has closed the session by itself
--
-- A slot: state; generation; until (when its state ends by itself); since, sent (of an intent); token (encrypted);
-- renew (sign out and in again from here on); gone (the ERP has closed the session by itself, unless a request
-- is under way: busy says until when at most); used; lease (whose the session or the intent is), lease_until;
-- owner (the worker that signs in or out).
--
-- A caller may ask twice, because the answer was lost on its way: what it was given, it is given again.
local prefix, operation = KEYS[1], ARGV[1]
local waiters, seen, workers = prefix .. 'waiters', prefix .. 'seen', prefix .. 'workers'
local QUEUE_TTL, WAKE_TTL, ALIVE = 3600000, 10000, 5000
-- Wrong credentials must not be tried once for each slot: accounts get locked.
local ALONE = 5000

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function key(slot) return prefix .. 'slot:' .. slot end

local function read(slot)
    local flat, row = redis.call('HGETALL', key(slot)), {}
    for i = 1, #flat, 2 do row[flat[i]] = flat[i + 1] end
    row.slot = slot
    row.state = row.state or 'free'
    row.generation = tonumber(row.generation or '0')
    for _, name in ipairs({'until', 'since', 'sent', 'renew', 'gone', 'busy', 'lease_until', 'used'}) do
        row[name] = tonumber(row[name] or '0')
    end
    row.lease = row.lease or ''
    return row
end

local function free(slot)
    redis.call('HDEL', key(slot), 'until', 'since', 'sent', 'token', 'renew', 'gone', 'busy', 'lease',
        'lease_until', 'used', 'owner')
    redis.call('HSET', key(slot), 'state', 'free')
end

-- What time alone has done to a slot.
local function settled(slot, quarantine)
    local row = read(slot)
    local lent = row.lease ~= '' and row.lease_until > now
    if row.state == 'intent' and row.sent == 1 and row['until'] <= now then
        redis.call('HSET', key(slot), 'state', 'quarantine', 'until', row['until'] + quarantine, 'lease', '')
    elseif (row.state == 'intent' or row.state == 'quarantine') and row['until'] <= now then
        free(slot)
    elseif (row.state == 'closing' or row.state == 'open') and math.max(row.gone, row.busy) <= now then
        free(slot)
    elseif row.state == 'open' and row.lease ~= '' and not lent then
        redis.call('HSET', key(slot), 'lease', '')
    else
        return row
    end
    return read(slot)
end

local function is_available(row, may_sign_in)
    return (row.state == 'free' and may_sign_in)
        or (row.state == 'open' and row.lease == '')
        or (row.state == 'closing' and row['until'] <= now)
end

local function slots(count, quarantine)
    local rows = {}
    for slot = 1, count do rows[slot] = settled(slot, quarantine) end
    return rows
end

local function available(rows, may_sign_in)
    local count = 0
    for _, row in ipairs(rows) do if is_available(row, may_sign_in) then count = count + 1 end end
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

local function forget_dead_waiters()
    for _, dead in ipairs(redis.call('ZRANGEBYSCORE', seen, '-inf', now - ALIVE)) do
        redis.call('ZREM', waiters, dead)
        redis.call('ZREM', seen, dead)
    end
end

local function queue(waiter, rank)
    if not redis.call('ZSCORE', waiters, waiter) then
        redis.call('ZADD', waiters, rank * 1e14 + redis.call('INCR', prefix .. 'arrivals'), waiter)
    end
    redis.call('ZADD', seen, now, waiter)
    forget_dead_waiters()
    redis.call('PEXPIRE', waiters, QUEUE_TTL)
    redis.call('PEXPIRE', seen, QUEUE_TTL)
end

local function leave(waiter)
    redis.call('ZREM', waiters, waiter)
    redis.call('ZREM', seen, waiter)
    redis.call('DEL', prefix .. 'wake:' .. waiter)
end

local function lend(row, lease, lease_ms, busy_ms)
    redis.call('HSET', key(row.slot), 'lease', lease, 'lease_until', now + lease_ms, 'busy', now + busy_ms, 'used', now)
    return {'use', row.slot, row.generation, redis.call('HGET', key(row.slot), 'token')}
end

local function begin_closing(row, owner, closing_ms)
    redis.call('HSET', key(row.slot), 'state', 'closing', 'until', now + closing_ms, 'lease', '', 'owner', owner)
    return {'sign_out', row.slot, row.generation, redis.call('HGET', key(row.slot), 'token')}
end

local function begin_sign_in(row, lease, owner, intent_ms)
    redis.call('HSET', key(row.slot), 'state', 'intent', 'generation', row.generation + 1, 'since', now,
        'until', now + intent_ms, 'lease', lease, 'owner', owner)
    return {'sign_in', row.slot, row.generation + 1}
end

-- What this lease was given already, by an answer that was lost.
local function given(rows, lease, lease_ms, busy_ms)
    for _, row in ipairs(rows) do
        if row.lease == lease and row.state == 'open' then return lend(row, lease, lease_ms, busy_ms) end
        if row.lease == lease and row.state == 'intent' and row.sent == 0 then
            return {'sign_in', row.slot, row.generation}
        end
    end
    return nil
end

-- Why no sign-in may be tried now, if so: refused credentials, or a full license asked a moment ago.
local function barred(fingerprint)
    local refused = redis.call('HMGET', prefix .. 'circuit', 'fingerprint', 'message')
    if refused[1] == fingerprint then return {'refused', refused[2]} end
    local left = redis.call('PTTL', prefix .. 'full')
    if left > 0 then return {'full', redis.call('GET', prefix .. 'full'), left} end
    return nil
end

local function holds(rows, state)
    for _, row in ipairs(rows) do if row.state == state then return true end end
    return false
end

local function is_signing_in(rows)
    for _, row in ipairs(rows) do
        if row.state == 'intent' and row.since + ALONE > now then return true end
    end
    return false
end

local operations = {}

-- Presence: who else uses this license. worker, alive_ms
function operations.present(worker, alive_ms)
    redis.call('ZADD', workers, now + tonumber(alive_ms), worker)
    redis.call('PEXPIRE', workers, QUEUE_TTL)
end

-- What to do for a waiter who is first, or how to wait: waiter, rank, lease, owner, fingerprint, then the license:
-- count, quarantine, lease_ms, busy_ms, alive_ms, intent_ms, closing_ms
function operations.lease(waiter, rank, lease, owner, fingerprint, count, quarantine, lease_ms, busy_ms, alive_ms,
    intent_ms, closing_ms)
    ever(tonumber(count))
    operations.present(owner, alive_ms)
    local rows = slots(tonumber(count), tonumber(quarantine))
    local before = given(rows, lease, tonumber(lease_ms), tonumber(busy_ms))
    if before then return before end
    queue(waiter, tonumber(rank))
    local bar = barred(fingerprint)
    if bar and not holds(rows, 'open') and not holds(rows, 'closing') then
        leave(waiter)
        return bar
    end
    local may_sign_in = not bar and not is_signing_in(rows)
    local ready = available(rows, may_sign_in)
    if redis.call('ZRANK', waiters, waiter) >= ready then return {'wait'} end
    for _, row in ipairs(rows) do
        if row.state == 'open' and row.lease == '' and row.renew > now then
            leave(waiter)
            wake(ready - 1)
            return lend(row, lease, tonumber(lease_ms), tonumber(busy_ms))
        end
    end
    for _, row in ipairs(rows) do
        if row.state ~= 'free' and is_available(row) then return begin_closing(row, owner, tonumber(closing_ms)) end
    end
    for _, row in ipairs(rows) do
        if row.state == 'free' then
            leave(waiter)
            return begin_sign_in(row, lease, owner, tonumber(intent_ms))
        end
    end
end

-- The last moment before a sign-in is sent: whether it may be. slot, generation, sign_in_ms
function operations.send(slot, generation, sign_in_ms)
    local row = read(slot)
    if row.state ~= 'intent' or row.generation ~= tonumber(generation) or row['until'] <= now then return 0 end
    redis.call('HSET', key(slot), 'sent', 1, 'until', now + tonumber(sign_in_ms))
    return 1
end

-- The answer to a lease was lost, so nothing came of it: lease, count
function operations.withdraw(lease, count)
    for slot = 1, tonumber(count) do
        local row = read(slot)
        if row.lease == lease and row.state == 'intent' and row.sent == 0 then free(slot) end
        if row.lease == lease and row.state == 'open' then redis.call('HSET', key(slot), 'lease', '') end
    end
    wake(1)
end

-- A sign-in ended with a token: slot, generation, token, renew_ms, gone_ms, lease, lease_ms, busy_ms
function operations.opened(slot, generation, token, renew_ms, gone_ms, lease, lease_ms, busy_ms)
    local row = read(slot)
    if row.generation ~= tonumber(generation) or row.lease ~= lease then return {'late'} end
    if row.state == 'open' then return lend(row, lease, tonumber(lease_ms), tonumber(busy_ms)) end
    if row.state ~= 'intent' then return {'late'} end
    redis.call('HSET', key(slot), 'state', 'open', 'token', token, 'renew', now + renew_ms, 'gone', now + gone_ms,
        'until', now + gone_ms)
    redis.call('HDEL', key(slot), 'since', 'sent')
    redis.call('DEL', prefix .. 'circuit', prefix .. 'full')
    wake(1)
    return lend(row, lease, tonumber(lease_ms), tonumber(busy_ms))
end

-- A sign-in that surely opened nothing: slot, generation
function operations.not_opened(slot, generation)
    local row = read(slot)
    if row.state == 'intent' and row.generation == tonumber(generation) then free(slot) end
    wake(1)
end

-- A session that was opened, but never written down as open, was closed again: slot, generation
function operations.undone(slot, generation)
    local row = read(slot)
    if row.generation == tonumber(generation) and row.state ~= 'closing' then free(slot) end
    wake(1)
end

-- A sign-in of unknown outcome: slot, generation, quarantine
function operations.unknown(slot, generation, quarantine)
    local row = read(slot)
    if row.state == 'intent' and row.generation == tonumber(generation) then
        redis.call('HSET', key(slot), 'state', 'quarantine', 'until', now + tonumber(quarantine), 'lease', '')
    end
    wake(1)
end

-- slot, generation, lease
function operations.release(slot, generation, lease)
    local row = read(slot)
    if row.state == 'open' and row.generation == tonumber(generation) and row.lease == lease then
        redis.call('HSET', key(slot), 'lease', '', 'busy', 0, 'used', now)
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

-- The ERP no longer takes the token, or never opened its session: slot, generation, lease, owner,
-- closing_ms. Whoever has the session on a later lease will find out, if it is so.
function operations.lost(slot, generation, lease, owner, closing_ms)
    local row = read(slot)
    if row.state ~= 'open' or row.generation ~= tonumber(generation) then return {'late'} end
    if row.lease ~= '' and row.lease ~= lease and row.lease_until > now then return {'late'} end
    return begin_closing(row, owner, tonumber(closing_ms))
end

-- A session was closed, even one of which we had lost sight: slot, generation
function operations.closed(slot, generation)
    local row = read(slot)
    local known = row.state == 'closing' or row.state == 'quarantine'
    if known and row.generation == tonumber(generation) then free(slot) end
    wake(1)
end

-- A token that no longer signs out: the seat frees when the ERP closes the session: slot, generation
function operations.dead(slot, generation)
    local row = read(slot)
    if row.state == 'closing' and row.generation == tonumber(generation) then
        redis.call('HSET', key(slot), 'state', 'quarantine', 'until', math.max(row.gone, row.busy))
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
    forget_dead_waiters()
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
    redis.call('HSET', prefix .. 'circuit', 'fingerprint', fingerprint, 'message', message)
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

-- worker, leaving_ms. Who else is there, and when each was last seen to beat.
function operations.absent(worker, leaving_ms)
    redis.call('ZREM', workers, worker)
    redis.call('ZADD', prefix .. 'leaving', now + tonumber(leaving_ms), worker)
    redis.call('PEXPIRE', prefix .. 'leaving', leaving_ms)
    redis.call('ZREMRANGEBYSCORE', workers, '-inf', now)
    return redis.call('ZRANGE', workers, 0, -1, 'WITHSCORES')
end

-- One session to close when nobody is left to use any: quarantine, owner, closing_ms
function operations.last(quarantine, owner, closing_ms)
    redis.call('ZREMRANGEBYSCORE', workers, '-inf', now)
    redis.call('ZREM', workers, owner)
    if redis.call('ZCARD', workers) > 0 then return {'none'} end
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
        view[#view + 1] = {row.slot, row.state, row.generation, left, row.state == 'open' and row.lease ~= '' and 1 or 0}
    end
    return view
end

local call = operations[operation]
return call(unpack(ARGV, 2))
