-- Gates: which waiting tasks to wake at the end of an operation.
--
-- Uses shared.lua: QUEUES, call, changed, expire_holds, free_slots, is_interval_queue, now, queue_key, read_task, rules,
--   wake, wakes, write_task.
-- Uses wait_queue.lua: credits_of, dequeue, enqueue, expire_waiting, has_slot_for, lengths_of, pick, sum_of.

-- The ids of the first `most` tasks of a wait queue, in the order of their turns.
local function first_of(name, most)
  local lengths, credits, taken, ids = lengths_of(name), credits_of(name), {}, {}
  while #ids < most do
    local class = pick(lengths, credits)
    if not class then break end
    local index = taken[class] or 0
    ids[#ids + 1] = call('ZRANGE', queue_key(name, class), index, index)[1]
    taken[class] = index + 1
  end
  return ids
end

-- Another gate of the task that has no slot for it, or nil.
local function other_full(name, id, task)
  for _, other in ipairs(task.gates) do
    if other ~= name then
      expire_holds(other)
      if not has_slot_for(other, id, task.class, task.since) then return other end
    end
  end
  return nil
end

-- Moves the first of these tasks that now waits for another gate to that gate's wait queue; false where there is none.
-- Sets `checked` of the others: 'wake' for those that wait for this gate.
local function move_one(name, ids, checked)
  for _, id in ipairs(ids) do
    if not checked[id] then
      checked[id] = true
      local task = read_task(id)
      local other = task and not task.paced and other_full(name, id, task)
      if other then
        dequeue(id, task)
        enqueue(other, id, task.class, task.since)
        task.lines = {other}
        write_task(id, task, task.stale_at - now)
        return true
      end
      checked[id] = not (task and task.paced) and 'wake'
    end
  end
  return false
end

-- Wakes the tasks for which the gate has slots. A task that waits for the submit interval only keeps its slot free for
-- itself and is not woken.
local function wake_waiting(name)
  if sum_of(lengths_of(name)) == 0 then
    call('ZREM', QUEUES, name)
    return
  end
  expire_holds(name)
  expire_waiting(name)
  local free = math.min(free_slots(name), rules.most_wakes)
  if free <= 0 then return end
  local checked, moves, ids = {}, 0, first_of(name, free)
  while moves < rules.most_moves and move_one(name, ids, checked) do
    moves = moves + 1
    ids = first_of(name, free)
  end
  for _, id in ipairs(ids) do
    if checked[id] == 'wake' then wake(id) end
  end
end

-- Ends an operation: the ids to wake. Looks once at each changed gate, those included that change meanwhile.
local function wakes_of_changed()
  local at = 1
  while at <= #changed do
    if not is_interval_queue(changed[at]) then wake_waiting(changed[at]) end
    at = at + 1
  end
  return wakes
end
