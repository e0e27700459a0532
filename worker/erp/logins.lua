-- The logins of a connection that people sign in to: each is a chain of refresh tokens that a session lives on.
-- A person has signed in: a chain of refresh tokens begins.
function operations.log_in()
    local id = string.format('%.0f', new_generation())
    redis.call('HSET', prefix .. 'logins:' .. args.connection, id, args.chain)
    redis.call('HSET', prefix .. 'logged_in:' .. args.connection, id, now)
    redis.call('DEL', prefix .. 'login_over:' .. args.connection)
    wake()
    return id
end

-- Forgets a login; what it lived on.
local function forget_login()
    local chain = redis.call('HGET', prefix .. 'logins:' .. args.connection, args.login)
    redis.call('HDEL', prefix .. 'logins:' .. args.connection, args.login)
    redis.call('HDEL', prefix .. 'logged_in:' .. args.connection, args.login)
    return chain
end

function operations.log_out() return forget_login() end

-- For people: each login of a connection, its age, and whether a session lives on it.
function operations.logins()
    local used, list = {}, {}
    for slot = 1, number('slots') do
        local row = read(slot)
        used[row.chain] = row.state ~= 'free' or nil
    end
    local since = redis.call('HGETALL', prefix .. 'logged_in:' .. args.connection)
    for i = 1, #since, 2 do
        list[#list + 1] = {id = since[i], age_ms = now - tonumber(since[i + 1]), used = used[since[i]] or false}
    end
    return list
end

-- The ERP has ended a login: it is of no use any more, if this is still what it lived on.
function operations.login_ended()
    if redis.call('HGET', prefix .. 'logins:' .. args.connection, args.login) == args.chain then
        forget_login()
        redis.call('SET', prefix .. 'login_over:' .. args.connection, now)
    end
    return true
end
