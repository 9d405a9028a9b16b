-- Puts changes at the end of the log and into what is in force, or looks after both when there are none.
-- All reads that could fail come before the first write: a script that fails is not undone.
-- KEYS: the hash about the log, its stream, then each bucket.
-- ARGV: an epoch to begin with if need be, a nonce, how many changes to keep, whether to write in any case, how many
-- buckets; then their names; then each change with the number of its bucket.
local meta, changes = KEYS[1], KEYS[2]
local fresh, nonce, keep, always, count = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
-- How long something is counted behind its end, and its key kept behind that. The next server may have a slower clock.
local grace = 600000

local function digits(number)
  return string.format('%.0f', number)
end

local function ends(name)
  return tonumber(name) * 3600000
end

local function live(name)
  return name == 'ever' or ends(name) + grace > now
end

-- The later of two big-endian signed numbers. `<` would compare them as text of some language.
local function later(a, b)
  for place = 1, 8 do
    local x, y = a:byte(place), b:byte(place)
    if x ~= y then
      if place == 1 then
        x, y = (x + 128) % 256, (y + 128) % 256
      end
      return x > y and a or b
    end
  end
  return a
end

-- What the log knows of itself.
local counts, over, epoch, born, head, last = {}, {}, nil, nil, nil, nil
local facts = redis.call('HGETALL', meta)
for place = 1, #facts, 2 do
  local field, value = facts[place], facts[place + 1]
  if field == 'epoch' then
    epoch = value
  elseif field == 'born' then
    born = tonumber(value)
  elseif field == 'head' then
    head = tonumber(value)
  elseif field == 'nonce' then
    last = value
  elseif field:sub(1, 2) == 'n:' then
    local name = field:sub(3)
    if live(name) then
      counts[name] = tonumber(value)
    else
      over[#over + 1] = field
    end
  end
end
local is_new = not (epoch and born and head and last)

-- Every bucket has to be among the keys.
local names, place_of = {}, {}
for place = 1, count do
  names[place] = ARGV[5 + place]
  place_of[names[place]] = place
end
local missing = {}
for name in pairs(counts) do
  if not place_of[name] then
    missing[#missing + 1] = name
  end
end
if #missing > 0 then
  return {'buckets', missing}
end

-- What the server dropped by itself, or what is left of a log that it dropped.
local mended = {}
for place = 1, count do
  local name = names[place]
  if live(name) then
    local length = redis.call('HLEN', KEYS[2 + place])
    if length ~= (counts[name] or 0) then
      mended[name] = length
    end
  end
end
local newest = redis.call('XREVRANGE', changes, '+', '-', 'COUNT', 1)
local is_stray = false
if #newest > 0 then
  local sequence = tonumber(newest[1][1]:match('^(%d+)-'))
  -- A script that ended half-way: some of what it put into force was never told.
  is_stray = is_new or sequence ~= head
end

-- What is in force of that which the changes are about.
local current = {}
local asked, seen = {}, {}
for place = 6 + count, #ARGV, 2 do
  local id = ARGV[place]:sub(1, 13)
  if not seen[id] then
    seen[id] = true
    asked[#asked + 1] = id
  end
end
for place = 1, count do
  local known = mended[names[place]] or counts[names[place]] or 0
  if live(names[place]) and known > 0 then
    for from = 1, #asked, 500 do
      local part = {unpack(asked, from, math.min(from + 499, #asked))}
      local values = redis.call('HMGET', KEYS[2 + place], unpack(part))
      for index, id in ipairs(part) do
        local value = values[index]
        if value then
          if current[id] then
            -- In two buckets, which only a log that was mended can have: both count.
            local other = current[id].value
            value = id .. later(value:sub(14, 21), other:sub(14, 21)) .. later(value:sub(22, 29), other:sub(22, 29))
            current[id].also = current[id].also or {}
            table.insert(current[id].also, current[id].place)
          else
            current[id] = {}
          end
          current[id].value, current[id].place = value, place
        end
      end
    end
  end
end

-- From here on it is written.
if #over > 0 then
  for from = 1, #over, 500 do
    redis.call('HDEL', meta, unpack(over, from, math.min(from + 499, #over)))
  end
end
local is_mended = next(mended) ~= nil
if is_new or is_mended or is_stray then
  epoch, born = fresh, now
  -- No follower of before finds the end of its chain.
  last, head = fresh, head or 0
  redis.call('HSET', meta, 'epoch', epoch, 'born', digits(born), 'head', digits(head), 'nonce', last)
end
if is_new or is_stray then
  redis.call('DEL', changes)
end
local dirty, touched = {}, {}
for name, length in pairs(mended) do
  counts[name] = length
  dirty[name] = true
  touched[name] = true
end

local function emit(change)
  head = head + 1
  redis.call('XADD', changes, 'MAXLEN', keep, digits(head) .. '-0', 'c', change, 'n', nonce, 'p', last)
  last = nonce
end

local function forget(place, id)
  local name = names[place]
  if redis.call('HDEL', KEYS[2 + place], id) == 1 then
    counts[name] = (counts[name] or 0) - 1
    dirty[name] = true
  end
end

local function remember(place, id, value)
  local name = names[place]
  if redis.call('HSET', KEYS[2 + place], id, value) == 1 then
    counts[name] = (counts[name] or 0) + 1
    dirty[name] = true
  end
end

local before = head
for place = 6 + count, #ARGV, 2 do
  local change, target = ARGV[place], tonumber(ARGV[place + 1])
  local id = change:sub(1, 13)
  local old = current[id]
  if #change == 13 then
    if old then
      forget(old.place, id)
      for _, other in ipairs(old.also or {}) do
        forget(other, id)
      end
      current[id] = nil
    end
    emit(change)
  elseif old then
    -- Also where nothing changes: whoever says it again may be the first to get this far.
    touched[names[old.place]] = true
    local issued = later(change:sub(14, 21), old.value:sub(14, 21))
    local till = later(change:sub(22, 29), old.value:sub(22, 29))
    local merged = id .. issued .. till
    if merged ~= old.value then
      if till == old.value:sub(22, 29) then
        target = old.place
      elseif target ~= old.place then
        forget(old.place, id)
      end
      touched[names[target]] = true
      remember(target, id, merged)
      current[id] = {value = merged, place = target, also = old.also}
      emit(merged)
    end
  else
    if live(names[target]) then
      touched[names[target]] = true
      remember(target, id, change)
      current[id] = {value = change, place = target}
    end
    -- What is over by this clock may be in force by that of a follower.
    emit(change)
  end
end

-- First of all where the stream ends, so that nothing that was told is taken for a stray.
if head ~= before then
  redis.call('HSET', meta, 'head', digits(head), 'nonce', last)
end
for name in pairs(dirty) do
  if (counts[name] or 0) > 0 then
    redis.call('HSET', meta, 'n:' .. name, digits(counts[name]))
  else
    redis.call('HDEL', meta, 'n:' .. name)
  end
end
for name in pairs(touched) do
  if name ~= 'ever' then
    redis.call('PEXPIREAT', KEYS[2 + place_of[name]], digits(ends(name) + 2 * grace))
  end
end
if always == '1' then
  -- So that waiting for replicas waits for what was written before, too: newer servers wait for the last write of the
  -- connection only.
  redis.call('HSET', meta, 'beat', digits(now))
end
return {'ok', epoch, digits(head), last, digits(born), digits(now), is_mended and not is_new and 1 or 0}
