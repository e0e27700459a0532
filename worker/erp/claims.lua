local function drop(lease)
    for _, row in ipairs(slots()) do
        local known = long_operation(row)
        local named = known and known.job == args.job and (not lease or known.lease == lease)
        if named then redis.call('HDEL', long_operations, row.slot) end
    end
end

-- A job's long operation: it claims the session of its lease, on the form, before the request that begins it is sent.
function operations.claim()
    local row = read(args.slot)
    if row.lease ~= args.lease then return false end
    -- It is looked for where it was begun last.
    drop()
    redis.call('HSET', long_operations, args.slot, cjson.encode({
        job = args.job, lease = args.lease, form = args.form, opened = row.opened, over = now + args.over_ms, heard = now,
    }))
    return true
end

-- It has ended, or was not begun by a lease.
function operations.disclaim()
    drop(args.lease)
    wake()
    return true
end
