-- The long operations that are at work in sessions. While one is, the ERP fails any other request on its form in that
-- session, and a second one in it (vendor's guide, Executing an Action); the session is not signed out.
local long_operations = prefix .. 'long_operations'
-- One that nobody has asked after for so long bars nobody any more: its job is cancelled, or does not know where to ask.
local UNHEARD = 300000

-- What is at work in a slot's session: the job that began it, its form, and when it is given up.
local function long_operation(row)
    local text = redis.call('HGET', long_operations, row.slot)
    local known = text and cjson.decode(text)
    if known and known.opened == row.opened and known.over > now and row.state ~= 'free' then return known end
    return nil
end

-- Whether one who wants a session cannot use this one for the long operation that is at work in it.
local function is_barred(row, wanted)
    local known = long_operation(row)
    if (wanted.polls or '') ~= '' then return not known or known.job ~= wanted.polls end
    -- Who is alone has surely not begun its own operation yet: something has died just before.
    local left_behind = known and wanted.alone and known.job == wanted.begins
    local bars = known and not left_behind and known.heard + UNHEARD > now
    return bars and (known.form == wanted.what or (wanted.begins or '') ~= '')
end

-- Whether one who wants to be alone in a session cannot be sure of it.
local function is_unsure(row, wanted) return wanted.alone and row.busy > now end

-- Somebody asks after it now.
local function hear_of(row)
    local known = long_operation(row)
    known.heard = now
    redis.call('HSET', long_operations, row.slot, cjson.encode(known))
end

-- Whether what is at work in a session keeps it from being closed as long as its token is good.
local function is_kept(row) return row.expires > now and long_operation(row) ~= nil end

-- Forgets what is at work no more, so that a lease needs no look at it.
local function forget_operations()
    for _, slot in ipairs(redis.call('HKEYS', long_operations)) do
        if not long_operation(read(slot)) then redis.call('HDEL', long_operations, slot) end
    end
end
