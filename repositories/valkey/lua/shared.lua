-- What all operations on gates share; `repositories.valkey.gates` puts it before each of them. One argument: the request as JSON.
-- Times are milliseconds of the caller's clock; keys are built here, so a cluster is not supported.
local call = redis.call
local request = cjson.decode(ARGV[1])
local now, rules = request.now, request.rules

local PREFIX = 'polyrelay:gate:'
local NAMES, LINES, HOLDERS, ACCOUNTS = PREFIX .. 'names', PREFIX .. 'lines', PREFIX .. 'holders', PREFIX .. 'accounts'
local WEIGHTS = {6, 3, 1}
local CREDITS = {'credit1', 'credit2', 'credit3'}
local MOST_WAKES, MOST_MOVES, MOST_STALE, MOST_PICKS = 100, 16, 8, 1000

local wakes, woken = {}, {}
local dirty, is_dirty = {}, {}

local function gate_key(name) return PREFIX .. 'of:' .. name end
local function held_key(name) return PREFIX .. 'held:' .. name end
local function line_key(name, class) return PREFIX .. 'line:' .. class .. ':' .. name end
local function task_key(id) return PREFIX .. 'task:' .. id end
local function account_key(name) return PREFIX .. 'account:' .. name end
local function pacer_of(account) return 'spacing:' .. account end
local function is_pacer(name) return string.sub(name, 1, 8) == 'spacing:' end

local function contains(list, item)
  for _, each in ipairs(list) do
    if each == item then return true end
  end
  return false
end

-- The gate may have room for others now.
local function mark(name)
  if not is_dirty[name] then
    is_dirty[name] = true
    dirty[#dirty + 1] = name
  end
end

local function wake(id)
  if not woken[id] then
    woken[id] = true
    wakes[#wakes + 1] = id
  end
end

-- Keys live at least so long from now on; a key never lives for ever.
local function keep(key, ms)
  if call('PTTL', key) < ms then call('PEXPIRE', key, ms) end
end

local function remember(index, name)
  call('ZADD', index, now, name)
  call('ZREMRANGEBYSCORE', index, '-inf', now - 2 * rules.kept_ms)
  keep(index, 2 * rules.kept_ms)
end

local function read_task(id)
  local text = call('GET', task_key(id))
  return text and cjson.decode(text)
end

local function write_task(id, task, ms)
  call('SET', task_key(id), cjson.encode(task), 'PX', math.max(ms, 0) + rules.kept_ms)
end

-- Gates ---------------------------------------------------------------------------------------------------------------

local function declare(gate)
  local key = gate_key(gate.name)
  call('HSET', key, 'limit', gate.limit, 'learns', gate.learns)
  keep(key, rules.kept_ms)
  remember(NAMES, gate.name)
end

-- Drops the holds that nobody ended in time.
local function sweep(name)
  if call('ZREMRANGEBYSCORE', held_key(name), '-inf', now) > 0 then mark(name) end
end

-- The limit in force, with its fraction where it is learned; nil for none.
local function limit_of(name)
  local limit, learns, learned = unpack(call('HMGET', gate_key(name), 'limit', 'learns', 'learned'))
  limit = tonumber(limit or -1)
  if limit >= 0 then return limit end
  if learns == '1' and learned then return tonumber(learned) end
  return nil
end

local function room_in(name)
  local limit = limit_of(name)
  if not limit then return math.huge end
  return math.floor(limit) - call('ZCARD', held_key(name))
end

-- Lines: one sorted set for each priority class, scored by time of creation; ties break by id ----------------------------

local function lengths_of(name)
  return {
    call('ZCARD', line_key(name, 1)), call('ZCARD', line_key(name, 2)), call('ZCARD', line_key(name, 3)),
  }
end

local function credits_of(name)
  local credits = call('HMGET', gate_key(name), unpack(CREDITS))
  return {tonumber(credits[1] or 0), tonumber(credits[2] or 0), tonumber(credits[3] or 0)}
end

-- Smooth weighted round robin among the classes that have somebody: the class whose turn it is, or nil.
local function pick(lengths, credits)
  local total, chosen = 0, nil
  for class = 1, 3 do
    if lengths[class] > 0 then
      credits[class] = credits[class] + WEIGHTS[class]
      total = total + WEIGHTS[class]
      if not chosen or credits[class] > credits[chosen] then chosen = class end
    end
  end
  if chosen then
    credits[chosen] = credits[chosen] - total
    lengths[chosen] = lengths[chosen] - 1
  end
  return chosen
end

-- How many stand before the one at that index of its class; exact below `most`.
local function count_before(name, class, index, most)
  local lengths = lengths_of(name)
  if lengths[1] + lengths[2] + lengths[3] == lengths[class] then return index end
  local credits = credits_of(name)
  for before = 0, most - 1 do
    if pick(lengths, credits) == class then
      if index == 0 then return before end
      index = index - 1
    end
  end
  return most + index
end

-- As `count_before` for a task, whether it stands there already or would come to stand there.
local function place_of(name, id, class, since, most)
  local key = line_key(name, class)
  local came = call('ZADD', key, since, id)
  local before = count_before(name, class, call('ZRANK', key, id), most)
  if came == 1 then call('ZREM', key, id) end
  return before
end

local function has_room_for(name, id, class, since)
  local room = room_in(name)
  if room == math.huge then return true end
  return room > 0 and place_of(name, id, class, since, room) < room
end

local function stand(name, id, class, since)
  call('ZADD', line_key(name, class), since, id)
  keep(line_key(name, class), rules.kept_ms)
  remember(LINES, name)
  if is_pacer(name) then remember(NAMES, name) end
end

local function step_out(id, task)
  for _, name in ipairs(task.lines) do
    call('ZREM', line_key(name, task.class), id)
  end
  task.lines = {}
end

-- One of that class had its turn.
local function take_turn(name, class, stood)
  local lengths, total = lengths_of(name), 0
  if not stood then lengths[class] = lengths[class] + 1 end
  if lengths[1] + lengths[2] + lengths[3] == lengths[class] then return end
  local credits = credits_of(name)
  for each = 1, 3 do
    if lengths[each] > 0 then
      credits[each] = credits[each] + WEIGHTS[each]
      total = total + WEIGHTS[each]
    end
  end
  credits[class] = credits[class] - total
  call('HSET', gate_key(name), CREDITS[1], credits[1], CREDITS[2], credits[2], CREDITS[3], credits[3])
  keep(gate_key(name), rules.kept_ms)
end

-- Whoever did not ask again in time gives up the place and is woken once more: alive, it gets the same place again.
local function drop_stale(name)
  for class = 1, 3 do
    for _ = 1, MOST_STALE do
      local id = call('ZRANGE', line_key(name, class), 0, 0)[1]
      if not id then break end
      local task = read_task(id)
      if task and contains(task.lines, name) and task.stale_at > now then break end
      call('ZREM', line_key(name, class), id)
      if task and task.stale_at <= now then
        step_out(id, task)
        for _, gate in ipairs(task.gates) do mark(gate) end
        call('DEL', task_key(id))
      end
      wake(id)
    end
  end
end

-- Wakes -----------------------------------------------------------------------------------------------------------------

local function first_picks(name, room)
  local lengths, credits, taken, ids = lengths_of(name), credits_of(name), {0, 0, 0}, {}
  while #ids < room do
    local class = pick(lengths, credits)
    if not class then break end
    ids[#ids + 1] = call('ZRANGE', line_key(name, class), taken[class], taken[class])[1]
    taken[class] = taken[class] + 1
  end
  return ids
end

local function other_full(name, id, task)
  for _, other in ipairs(task.gates) do
    if other ~= name then
      sweep(other)
      if not has_room_for(other, id, task.class, task.since) then return other end
    end
  end
  return nil
end

-- Moves the first of these who waits for another gate by now to that gate's line; false where there is none.
local function move_one(name, ids, checked)
  for _, id in ipairs(ids) do
    if not checked[id] then
      checked[id] = true
      local task = read_task(id)
      local other = task and not task.paced and other_full(name, id, task)
      if other then
        step_out(id, task)
        stand(other, id, task.class, task.since)
        task.lines = {other}
        write_task(id, task, task.stale_at - now)
        return true
      end
      checked[id] = not (task and task.paced) and 'wake'
    end
  end
  return false
end

-- Wakes those for whom there is room; who waits for its time only is not woken and keeps its room.
local function invite(name)
  local lengths = lengths_of(name)
  if lengths[1] + lengths[2] + lengths[3] == 0 then
    call('ZREM', LINES, name)
    return
  end
  sweep(name)
  drop_stale(name)
  local room = math.min(room_in(name), MOST_WAKES)
  if room <= 0 then return end
  local checked, moves, ids = {}, 0, first_picks(name, room)
  while moves < MOST_MOVES and move_one(name, ids, checked) do
    moves = moves + 1
    ids = first_picks(name, room)
  end
  for _, id in ipairs(ids) do
    if checked[id] == 'wake' then wake(id) end
  end
end

-- Ends an operation: all whom it lets through, each gate looked at once.
local function wakes_of_dirty()
  local at = 1
  while at <= #dirty do
    if not is_pacer(dirty[at]) then invite(dirty[at]) end
    at = at + 1
  end
  return wakes
end

-- Holds -----------------------------------------------------------------------------------------------------------------

local function hold(ticket)
  local names, ms = {}, math.max(ticket.held_until - now, 0) + rules.kept_ms
  for _, gate in ipairs(ticket.gates) do
    names[#names + 1] = gate.name
    call('ZADD', held_key(gate.name), 'GT', ticket.held_until, ticket.id)
    keep(held_key(gate.name), ms)
  end
  call('ZADD', HOLDERS, 'GT', ticket.held_until, ticket.id)
  keep(HOLDERS, ms)
  write_task(ticket.id, {
    account = ticket.account, gates = names, class = ticket.class, since = ticket.since, lines = {}, stale_at = 0,
  }, ticket.held_until - now)
end

local function free_probe(account, id)
  if call('HGET', account_key(account), 'probe') == id then
    call('HDEL', account_key(account), 'probe', 'probe_until')
  end
end

-- Ends the hold and the places of a task as they are on record.
local function release(id, task)
  for _, name in ipairs(task.gates) do
    call('ZREM', held_key(name), id)
    mark(name)
  end
  for _, name in ipairs(task.lines) do mark(name) end
  step_out(id, task)
  call('ZREM', HOLDERS, id)
  call('DEL', task_key(id))
  free_probe(task.account, id)
end

local function is_same(task, ticket)
  if not task or task.account ~= ticket.account or #task.gates ~= #ticket.gates then return false end
  for at, gate in ipairs(ticket.gates) do
    if task.gates[at] ~= gate.name then return false end
  end
  return true
end
