-- Which of those who wait gets which slot, and what is to be done with it first.
-- How many sessions of a connection surely have a seat.
local function seated(connection, rows)
    local count = 0
    for _, row in ipairs(rows) do
        local open = row.state == 'open' or row.state == 'refreshing' or row.state == 'closing'
        if open and row.fresh == 0 and row.connection == connection then count = count + 1 end
    end
    return count
end

local function full(whose, of)
    local left = redis.call('PTTL', prefix .. 'full' .. whose)
    if left <= 0 then return nil end
    return {answer = 'full', message = redis.call('GET', prefix .. 'full' .. whose), left = left, of = of}
end

-- Why no sign-in may be tried for a connection now, if so. Where its user's own limit was met, it may have as many
-- sessions as it had then.
local function barred(connection, fingerprint, rows)
    local refused = redis.call('HMGET', prefix .. 'circuit:' .. connection, 'fingerprint', 'message', 'code')
    if refused[1] and refused[1] == fingerprint then
        return {answer = 'refused', message = refused[2], code = refused[3]}
    end
    local held = 0
    for _, row in ipairs(rows) do
        if row.state ~= 'free' and row.connection == connection then held = held + 1 end
    end
    if held >= number('seats:' .. connection) then
        local bar = full(':' .. connection, 'user')
        if bar then return bar end
    end
    return full('', 'license')
end

-- The logins of a connection that lives on them, and one that no slot uses.
local function free_login(connection, rows)
    local used = {}
    for _, row in ipairs(rows) do used[row.chain] = row.state ~= 'free' or nil end
    for _, id in ipairs(redis.call('HKEYS', prefix .. 'logins:' .. connection)) do
        if not used[id] then return id end
    end
    return nil
end

-- Nobody is signed in to a connection that lives on logins: not yet, or not any more.
local function login_wanted(connection)
    return {answer = 'login', ended = redis.call('EXISTS', prefix .. 'login_over:' .. connection) == 1}
end

-- One look at the slots, for all who wait.
local Look = {}
Look.__index = Look

local function look()
    local self = setmetatable({rows = slots(), taken = {}, waiting = {}, bars = {}}, Look)
    self.limit = allowed()
    self.left, self.long, self.held = 0, 0, 0
    for slot, row in ipairs(self.rows) do
        local is_lent = slot <= self.limit or long_operation(row) ~= nil
        if is_lent and (is_idle(row) or row.state == 'free' or is_left_over(row)) then
            self.left = self.left + 1
        end
        if row.long == 1 then self.long = self.long + 1 end
        if row.state ~= 'free' then self.held = self.held + 1 end
        local asking = row.state == 'intent' or row.state == 'refreshing'
        if asking and row.used + ALONE > now and row.owner ~= '' then self.asking = true end
    end
    return self
end

-- In how many ms time alone may change something; who waits looks again then.
function Look:soonest()
    local soonest = LOOK_AGAIN
    for _, row in ipairs(self.rows) do
        local moment = row.lease ~= '' and row.lease_until or row['until']
        if moment > now then soonest = math.min(soonest, moment - now) end
    end
    return soonest
end

-- What bars a connection from a session, for one who knows this of it.
function Look:bar(connection, known)
    local key = connection .. '|' .. known.fingerprint
    if self.bars[key] == nil then
        local nobody = known.by_login and not free_login(connection, self.rows)
        self.bars[key] = halted(known.name, connection) or barred(connection, known.fingerprint, self.rows)
            or (nobody and login_wanted(connection)) or false
    end
    return self.bars[key]
end

function Look:idle(connection, known)
    local found = {}
    -- An operation may be at work beyond a limit that was lowered since.
    for slot = 1, (known.polls or '') ~= '' and #self.rows or self.limit do
        local row = self.rows[slot]
        local fits = is_idle(row) and not self.taken[slot] and row.connection == connection
        if fits and not is_barred(row, known) and not is_unsure(row, known) then found[#found + 1] = row end
    end
    return found
end

-- The form of the long operations that keep one who waits from every session that there may be.
function Look:form_at_work(known)
    local form = nil
    for slot = 1, self.limit do
        local row = self.rows[slot]
        local operation_of, is_others = long_operation(row), row.connection ~= args.connection
        if not operation_of or not (is_barred(row, known) or (is_others and is_kept(row))) then return nil end
        form = operation_of.form
    end
    return form
end

-- Whether the session in which a job's long operation is at work can still be asked after it.
function Look:is_at_work(job)
    for _, row in ipairs(self.rows) do
        local known = long_operation(row)
        if known and known.job == job and (row.renew > now or row.renewable == 1) then return true end
    end
    return false
end

-- Whether one who wants to be alone could have a session, if it were sure that nothing is at work in it.
function Look:is_unsure(known)
    for slot = 1, self.limit do
        local row = self.rows[slot]
        local waits = is_idle(row) and row.connection == args.connection and is_unsure(row, known)
        if waits and not is_barred(row, known) then return true end
    end
    return false
end

-- What stands in the way of one who waits beside those who use the sessions, if so: what is at work in them.
function Look:work_in_the_way(known)
    if self:is_unsure(known) then return {answer = 'unsure'} end
    if (known.polls or '') ~= '' and not self:is_at_work(known.polls) then return {answer = 'no_operation'} end
    local form = self:form_at_work(known)
    return form and {answer = 'operation', form = form}
end

-- Whether a session that is another connection's may be closed for this one.
function Look:may_change(row)
    local wanted = self.waiting[row.connection]
    if wanted == nil then
        wanted = false
        for _, member in ipairs(redis.call('ZRANGE', waiters, 0, -1)) do
            if parse(member).connection == row.connection then wanted = true break end
        end
        self.waiting[row.connection] = wanted
    end
    if not wanted then return row.used + LINGER <= now end
    local age = now - row.opened
    return (age >= TENURE and row.uses >= TENURE_USES) or age >= TENURE_MOST
end

-- What one who waits knows: by this, and not by what who looks knows, is its slot chosen.
local function known_to(waiter)
    local text = redis.call('HGET', facts, waiter.waiter)
    return text and cjson.decode(text) or nil
end

-- Whether a session can be closed for one who waits: by itself, or else by who looks; and by whom.
local function closable(known, row)
    if known.known[row.connection] then return true, false end
    return args.known and args.known[row.connection], true
end

-- The best slot for one who waits, what is to be done with it, and whether who looks must do it for it.
function Look:best(waiter)
    local known = known_to(waiter)
    if not known or (waiter.long and self.limit > 1 and self.long >= self.limit - 1) then return nil end
    local bar = self:bar(waiter.connection, known)
    if bar and bar.halts then return nil end
    local idle = self:idle(waiter.connection, known)
    for _, row in ipairs(idle) do if row.renew > now then return row, 'use' end end
    for _, row in ipairs(idle) do
        local spent = row.renewable == 0 or row.expires <= now
        if spent and not is_kept(row) then return row, 'close' end
        if not spent and not self.asking and (not bar or bar.answer == 'login') then return row, 'refresh' end
    end
    if (known.polls or '') ~= '' then return nil end
    for slot = 1, self.limit do
        local row = self.rows[slot]
        local can, for_it = closable(known, row)
        if is_left_over(row) and can and not self.taken[slot] then return row, 'close', for_it end
    end
    if bar and (bar.answer ~= 'full' or bar.of == 'user') then return nil end
    for slot = 1, self.limit do
        local row = self.rows[slot]
        local may = row.state == 'free' and self.held < self.limit and not self.asking
        if may and not bar and not self.taken[slot] then return row, 'sign_in' end
    end
    for slot = 1, self.limit do
        local row = self.rows[slot]
        local others = is_idle(row) and row.connection ~= waiter.connection and not is_kept(row)
        local can, for_it = closable(known, row)
        if others and can and not self.taken[slot] and self:may_change(row) then return row, 'close', for_it end
    end
    return nil
end

-- Give the slots to those who wait, in their order, until ``stop`` says so of one; in pieces, as mostly few are free.
function Look:share(stop)
    local from = 0
    while self.left > 0 do
        local members = redis.call('ZRANGE', waiters, from, from + 15)
        for _, member in ipairs(members) do
            local waiter = parse(member)
            local row, what, for_it = self:best(waiter)
            if stop(waiter, row, what, for_it) then return end
            if row then
                self.taken[row.slot] = true
                self.left = self.left - 1
                if waiter.long then self.long = self.long + 1 end
                if what == 'sign_in' or what == 'refresh' then self.asking = true end
                if self.left == 0 then return end
            end
        end
        if #members < 16 then return end
        from = from + 16
    end
end

-- Tell those who would get a slot now to look.
local function wake()
    if redis.call('ZCARD', waiters) == 0 then return end
    look():share(function(waiter, row)
        if row then
            redis.call('RPUSH', prefix .. 'wake:' .. waiter.waiter, '1')
            redis.call('PEXPIRE', prefix .. 'wake:' .. waiter.waiter, WAKE_TTL)
        end
    end)
end

