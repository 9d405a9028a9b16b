-- Takes units from every limit of a caller, or from none: what `decide` says in gateless-core, by the clock of the server.
-- All numbers are whole and below 2^53, where they are exact; the quotient of two of them is never rounded up to a whole
-- number that it is not.
-- KEYS: the caller. Its value is, for each limit, up to when is paid for what the caller had: microseconds since 1970,
-- sixteen digits each.
-- ARGV: the fewest units that are of use, the most that are wanted, which part of what there is may be taken at most;
-- then for each limit the time in which a unit comes back and the time in which a burst does, in microseconds.
local least, most, divisor = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local DIGITS = 16

local interval, tolerance = {}, {}
for place = 4, #ARGV, 2 do
  interval[#interval + 1] = tonumber(ARGV[place])
  tolerance[#tolerance + 1] = tonumber(ARGV[place + 1])
end
local count = #interval

local value = redis.call('GET', KEYS[1])
local is_sound = not value or #value == count * DIGITS and not value:find('%D')
-- What is stored may be ahead of all that can be: by a clock that was set back, or by a value that is not ours. It is
-- brought back at once, as who is refused pays nothing, and would find it there again.
local is_changed = not is_sound

-- By how much the caller is ahead.
local debt = {}
for place = 1, count do
  if not value then
    debt[place] = 0
  elseif is_sound then
    local paid = tonumber(value:sub((place - 1) * DIGITS + 1, place * DIGITS))
    debt[place] = math.max(paid - now, 0)
    if debt[place] > tolerance[place] then
      debt[place] = tolerance[place]
      is_changed = true
    end
  else
    -- Nobody knows. A whole burst is the most that it can be, and over in the time that one takes.
    debt[place] = tolerance[place]
  end
end

local longest, limit = 0, 0
for place = 1, count do
  local wait = debt[place] - math.max(tolerance[place] - interval[place] * least, 0)
  if wait > longest then
    longest, limit = wait, place
  end
end
local is_granted = longest == 0
local units = 0
if is_granted then
  units = least
  if most > least then
    local available = math.huge
    for place = 1, count do
      available = math.min(available, math.floor((tolerance[place] - debt[place]) / interval[place]))
    end
    units = math.min(math.max(math.floor(available / divisor), least), most)
  end
  if units > 0 then
    is_changed = true
    for place = 1, count do
      debt[place] = math.min(debt[place] + interval[place] * units, tolerance[place])
    end
  end
end

if is_changed then
  local paid, last = {}, 0
  for place = 1, count do
    paid[place] = string.format('%016.0f', now + debt[place])
    last = math.max(last, now + debt[place])
  end
  -- The server forgets whoever is no longer ahead, in the millisecond in which that is so.
  redis.call('SET', KEYS[1], table.concat(paid), 'PXAT', string.format('%.0f', math.ceil(last / 1000)))
end
if is_granted then
  return {1, units, 0, unpack(debt)}
end
return {0, limit - 1, longest, unpack(debt)}
