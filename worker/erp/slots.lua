-- The slots of one license: reading one, and writing one as a step of the table in slots.py says, and in no other way.
-- KEYS[1] is the license's prefix; ARGV[1] the operation, ARGV[2] its arguments as JSON; times in milliseconds of the
-- store's clock.
local prefix, operation = KEYS[1], ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function key(slot) return prefix .. 'slot:' .. slot end

local function clear(row)
    row.state = 'free'
    for _, name in ipairs(NUMBERS) do row[name] = 0 end
    for _, name in ipairs(TEXTS) do row[name] = '' end
end

local function read(slot)
    local row, flat = {slot = slot}, redis.call('HGETALL', key(slot))
    clear(row)
    for i = 1, #flat, 2 do
        local name, value = flat[i], flat[i + 1]
        row[name] = type(row[name]) == 'number' and tonumber(value) or value
    end
    return row
end

local function become(row, state, writes)
    if state == 'free' then
        redis.call('DEL', key(row.slot))
        return clear(row)
    end
    row.state = state
    local flat = {'state', state}
    for name, value in pairs(writes) do
        row[name] = value
        flat[#flat + 1], flat[#flat + 2] = name, type(value) == 'number' and string.format('%.0f', value) or value
    end
    redis.call('HSET', key(row.slot), unpack(flat))
end
