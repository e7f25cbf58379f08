-- Gates: begins and ends the hold of a task.
--
-- Uses shared.lua: HOLDERS, call, extend_ttl, free_probe, held_key, mark_changed, now, rules, task_key, write_task.
-- Uses wait_queue.lua: dequeue.

-- Holds all gates of the ticket until its `held_until`; an earlier hold is never shortened.
local function hold(ticket)
  local names, ms = {}, math.max(ticket.held_until - now, 0) + rules.kept_ms
  for _, gate in ipairs(ticket.gates) do
    names[#names + 1] = gate.name
    call('ZADD', held_key(gate.name), 'GT', ticket.held_until, ticket.id)
    extend_ttl(held_key(gate.name), ms)
  end
  call('ZADD', HOLDERS, 'GT', ticket.held_until, ticket.id)
  extend_ttl(HOLDERS, ms)
  write_task(ticket.id, {
    account = ticket.account, gates = names, class = ticket.class, since = ticket.since, lines = {}, stale_at = 0,
  }, ticket.held_until - now)
end

-- Ends the hold and the places in wait queues that the record names.
local function release(id, task)
  for _, name in ipairs(task.gates) do
    call('ZREM', held_key(name), id)
    mark_changed(name)
  end
  for _, name in ipairs(task.lines) do mark_changed(name) end
  dequeue(id, task)
  call('ZREM', HOLDERS, id)
  call('DEL', task_key(id))
  free_probe(task.account, id)
end
