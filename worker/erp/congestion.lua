-- What other software leaves us of a license's minute, judged by how late the ERP answers: decisions alone, nothing
-- is read or written. Counts are requests in a minute; times are milliseconds, but where a name says seconds.
--
-- From half of its limit on the ERP holds each request for (rest of the window) / (rest of the limit), which for one
-- who spends the whole limit alone is half of a unit, a minute / limit; over the limit a request waits a unit for each
-- that waits before it. So lateness means that the minute is full, and then our share is what we have in it, less
-- those that wait. It is cut to that, and grows back as a power of the time (TCP's CUBIC shares a line so, with the third):
-- lingering about the wall that it met, then ever faster, as whoever was there may have gone.
--
-- ``heard`` is what is remembered. Of the last cut: when it was (``cut_at``), its number (``round``), the lateness that
-- it was for (``late``), what the minute held (``counted``), the ``wall``, how deep below it the share begins (``depth``),
-- and from when on it grows (``from``); all was ours until ``began``. Since then: the ``evidence``, the lateness of the
-- ``latest`` few, how many in a row spoke against (``calm``), whether we have come down to the share (``settled``). How
-- many cuts helped nothing (``vain``), since the minute held ``full``.
local MINUTE = 60000
local LEAST_SHARE = 0.1
-- An answer that is late by a part of a unit tells nothing, nor by what answers differ anyway.
local TOLERANCE, LEAST_UNIT, SPREADS = 0.5, 125, 1
local EVIDENCE, LATEST = 3, 3
local MARGIN, GROWTH = 0.037, 4.5e-8
-- Others who have just come are not all in the minute yet: what they will add is given up before they ask.
local HOLD_SECONDS, TREND_SECONDS, DAMPING = 8, 20, 0.7
local SETTLE_DOWN, SETTLE_UP, PATIENCE = 4000, 8000, 4000
local CALM, VAIN, VAIN_STEP, VAIN_SHARE = 2, 4, 0.05, 0.3

-- Requests that we may have in the minute now.
local function share(heard, now, limit)
    if not heard.cut_at then return limit end
    local growth = GROWTH * limit
    local seconds = math.max(0, now - heard.from) / 1000 - (heard.depth / growth) ^ (1 / 4)
    return math.max(math.ceil(limit * LEAST_SHARE), math.min(limit, heard.wall + growth * seconds * math.abs(seconds) ^ 3))
end

-- Requests a minute at which those that are spread bring ``counted`` to the share, when so many a minute leave it.
local function speed(counted, allowed, leaving, limit)
    if counted < allowed then
        return math.min(limit, math.max(allowed, leaving + (allowed - counted) * MINUTE / SETTLE_UP))
    end
    return math.max(limit / 20, math.min(allowed, leaving) + (allowed - counted) * MINUTE / SETTLE_DOWN)
end

-- The delay that the ERP imposes on account of our own requests; where hardly any is left, one more may wait.
local function own_delay(counted, oldest, now, limit)
    if counted * 2 < limit then return 0 end
    local rest = limit - counted
    return math.max(0, oldest + MINUTE - now) / math.max(1, rest) + (rest < 3 and MINUTE / limit or 0)
end

local function listen_anew(heard)
    heard.evidence, heard.latest, heard.settled = 0, {}, false
end

-- Give way. Where a cut follows another, the part of the others still grows.
local function cut(heard, now, limit, counted)
    heard.late = math.min(unpack(heard.latest))
    local passed = heard.cut_at and (now - heard.cut_at) / 1000 or TREND_SECONDS
    local trend = passed < TREND_SECONDS and math.max(0, heard.counted - counted) / passed or 0
    if share(heard, now, limit) == limit then heard.began = now end
    heard.wall = counted - heard.late * limit / MINUTE - math.max(1, MARGIN * counted)
    heard.depth = math.max(1, trend * HOLD_SECONDS * (1 - DAMPING * passed / TREND_SECONDS))
    heard.from = now + (trend > 0 and HOLD_SECONDS or 0) * 1000
    heard.cut_at, heard.counted, heard.round = now, counted, (heard.round or 0) + 1
    listen_anew(heard)
end

-- Take back what was given in vain: it is the ERP itself that has become slow.
local function restore(heard, now)
    heard.wall, heard.depth, heard.from, heard.cut_at = heard.full, 1, now, now
    heard.round, heard.full, heard.vain = heard.round + 1, nil, 0
    listen_anew(heard)
end

-- Take in how late an answer was, where answers differ by ``spread``; true when what is usual must be learned anew.
-- One answer says little, be it ever so late: each counts for at most one, for or against.
local function hear(heard, late, spread, now, limit, counted)
    local weight = late / math.max(MINUTE / limit, LEAST_UNIT, SPREADS * spread) - TOLERANCE
    heard.evidence = math.max(0, (heard.evidence or 0) + math.max(-1, math.min(1, weight)))
    heard.latest = heard.latest or {}
    table.insert(heard.latest, math.max(0, late))
    if #heard.latest > LATEST then table.remove(heard.latest, 1) end
    heard.calm = heard.evidence == 0 and (heard.calm or 0) + 1 or 0
    if heard.calm >= CALM then heard.full, heard.vain = nil, 0 end
    heard.settled = heard.settled or counted <= share(heard, now, limit) + 1
    if heard.evidence < EVIDENCE or not heard.settled and now - heard.cut_at < PATIENCE then return false end
    local obeyed = heard.settled or heard.counted - counted >= VAIN_STEP * limit
    heard.full, heard.vain = heard.full or counted, (heard.vain or 0) + (obeyed and 1 or 0)
    if heard.vain >= VAIN and heard.full - counted > VAIN_SHARE * limit then
        restore(heard, now)
        return true
    end
    cut(heard, now, limit, counted)
    return false
end
