-- Gates: the wait queue of a gate, one sorted set for each priority class, scored by time of creation; ties break by id.
--
-- The classes share free slots by smooth weighted round robin: the fields `credit1` to `credit3` of the gate say whose
-- turn it is.
--
-- Uses shared.lua: CLASSES, NAMES, QUEUES, add_to_index, call, contains, extend_ttl, free_slots, gate_key,
--   is_interval_queue, mark_changed, now, queue_key, read_task, rules, task_key, wake.

local CREDITS = {}
for class = 1, CLASSES do CREDITS[class] = 'credit' .. class end

local function lengths_of(name)
  local lengths = {}
  for class = 1, CLASSES do lengths[class] = call('ZCARD', queue_key(name, class)) end
  return lengths
end

local function sum_of(lengths)
  local sum = 0
  for class = 1, CLASSES do sum = sum + lengths[class] end
  return sum
end

local function credits_of(name)
  local credits = call('HMGET', gate_key(name), unpack(CREDITS))
  for class = 1, CLASSES do credits[class] = tonumber(credits[class] or 0) end
  return credits
end

-- The class whose turn it is among those that have waiting tasks, or nil. Changes both arguments to after that turn.
local function pick(lengths, credits)
  local total, chosen = 0, nil
  for class = 1, CLASSES do
    if lengths[class] > 0 then
      credits[class] = credits[class] + rules.weights[class]
      total = total + rules.weights[class]
      if not chosen or credits[class] > credits[chosen] then chosen = class end
    end
  end
  if chosen then
    credits[chosen] = credits[chosen] - total
    lengths[chosen] = lengths[chosen] - 1
  end
  return chosen
end

-- How many tasks precede the one at that index of its class; exact below `most`.
local function count_before(name, class, index, most)
  local lengths = lengths_of(name)
  if sum_of(lengths) == lengths[class] then return index end
  local credits = credits_of(name)
  for before = 0, most - 1 do
    if pick(lengths, credits) == class then
      if index == 0 then return before end
      index = index - 1
    end
  end
  return most + index
end

-- As `count_before` for a task, at its place or at the one that it would get.
local function position_of(name, id, class, since, most)
  local key = queue_key(name, class)
  local added = call('ZADD', key, since, id)
  local before = count_before(name, class, call('ZRANK', key, id), most)
  if added == 1 then call('ZREM', key, id) end
  return before
end

-- Whether there is a slot for the task and for all that precede it.
local function has_slot_for(name, id, class, since)
  local free = free_slots(name)
  if free == math.huge then return true end
  return free > 0 and position_of(name, id, class, since, free) < free
end

local function enqueue(name, id, class, since)
  call('ZADD', queue_key(name, class), since, id)
  extend_ttl(queue_key(name, class), rules.kept_ms)
  add_to_index(QUEUES, name)
  if is_interval_queue(name) then add_to_index(NAMES, name) end
end

-- Takes the task out of all its wait queues.
local function dequeue(id, task)
  for _, name in ipairs(task.lines) do
    call('ZREM', queue_key(name, task.class), id)
  end
  task.lines = {}
end

-- Stores that a task of that class had its turn; `waited`: it is still in the queue.
local function count_turn(name, class, waited)
  local lengths, total = lengths_of(name), 0
  if not waited then lengths[class] = lengths[class] + 1 end
  if sum_of(lengths) == lengths[class] then return end
  local credits, fields = credits_of(name), {}
  for each = 1, CLASSES do
    if lengths[each] > 0 then
      credits[each] = credits[each] + rules.weights[each]
      total = total + rules.weights[each]
    end
  end
  credits[class] = credits[class] - total
  for each = 1, CLASSES do
    fields[#fields + 1] = CREDITS[each]
    fields[#fields + 1] = credits[each]
  end
  call('HSET', gate_key(name), unpack(fields))
  extend_ttl(gate_key(name), rules.kept_ms)
end

-- Removes the first tasks of each class that did not ask again in time, and wakes them once: a task whose worker is alive
-- then gets the same place again. At most `most_expired` of a class.
local function expire_waiting(name)
  for class = 1, CLASSES do
    for _ = 1, rules.most_expired do
      local id = call('ZRANGE', queue_key(name, class), 0, 0)[1]
      if not id then break end
      local task = read_task(id)
      if task and contains(task.lines, name) and task.stale_at > now then break end
      call('ZREM', queue_key(name, class), id)
      if task and task.stale_at <= now then
        dequeue(id, task)
        for _, gate in ipairs(task.gates) do mark_changed(gate) end
        call('DEL', task_key(id))
      end
      wake(id)
    end
  end
end
