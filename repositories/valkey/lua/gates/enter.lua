-- Gates: holds all gates of a ticket, or none; a task that is refused gets a place in a wait queue.
--
-- Request: `ticket` = {id, account, gates = {{name, limit or -1, learns = 0 or 1}, …}, class, since, submit_interval in
-- ms, held_until}.
-- Answers: {refusal or '', full gate or '', when to ask again or 0, ids to wake}.
--
-- Uses shared.lua: ACCOUNTS, HOLDERS, account_key, add_to_index, call, contains, declare, expire_holds, extend_ttl,
--   free_slots, interval_queue_of, is_same, limit_of, mark_changed, now, read_task, request, rules, woken, write_task.
-- Uses wait_queue.lua: count_turn, dequeue, enqueue, expire_waiting, has_slot_for, position_of.
-- Uses holds.lua: hold, release.
-- Uses wakes.lua: wakes_of_changed.
local ticket = request.ticket
local id, class, since = ticket.id, ticket.class, ticket.since
local task
woken[id] = true  -- the caller is awake

local function answer(refusal, gate, again_at)
  return {refusal, gate, again_at, wakes_of_changed()}
end

-- When to ask again, where the circuit breaker refuses the task; else nil.
local function circuit_breaker_refuses()
  local open_until, probe, probe_until = unpack(
    call('HMGET', account_key(ticket.account), 'open_until', 'probe', 'probe_until'))
  if not open_until then return nil end
  if now < tonumber(open_until) then return tonumber(open_until) end
  if probe and probe ~= id and now < tonumber(probe_until) then
    return math.min(tonumber(probe_until), now + rules.probe_check_ms)
  end
  return nil
end

local function first_full()
  for _, gate in ipairs(ticket.gates) do
    if free_slots(gate.name) > 0 then expire_waiting(gate.name) end
    if not has_slot_for(gate.name, id, class, since) then return gate.name end
  end
  return nil
end

-- Waits in these queues and no others. Those that the task leaves may have a slot for another task now.
local function wait_in(queues, stale_at, paced)
  if task then
    for _, name in ipairs(task.lines) do
      if not contains(queues, name) then mark_changed(name) end
    end
    dequeue(id, task)
  end
  local names = {}
  for _, gate in ipairs(ticket.gates) do names[#names + 1] = gate.name end
  for _, name in ipairs(queues) do enqueue(name, id, class, since) end
  write_task(id, {
    account = ticket.account, gates = names, class = class, since = since, lines = queues, stale_at = stale_at,
    paced = paced,
  }, stale_at - now)
end

-- When the submit interval lets the task through, where that is later than now; else nil.
local function submit_interval_refuses()
  local next_at = call('HGET', account_key(ticket.account), 'next_at')
  if ticket.submit_interval == 0 or not next_at then return nil end
  local queue = interval_queue_of(ticket.account)
  expire_waiting(queue)
  local due = tonumber(next_at) + ticket.submit_interval * position_of(queue, id, class, since, rules.most_positions)
  return due > now and due or nil
end

-- The wait queues that count the task's turn: of its account's submit interval and of each gate that has a limit.
local function counting_queues()
  local queues = {interval_queue_of(ticket.account)}
  for _, gate in ipairs(ticket.gates) do
    if limit_of(gate.name) then queues[#queues + 1] = gate.name end
  end
  return queues
end

local function grant()
  local account, queues = account_key(ticket.account), counting_queues()
  local waited_in = task and task.lines or {}
  for _, name in ipairs(queues) do count_turn(name, class, contains(waited_in, name)) end
  for _, name in ipairs(waited_in) do
    if not contains(queues, name) then mark_changed(name) end
  end
  if task then dequeue(id, task) end
  hold(ticket)
  add_to_index(ACCOUNTS, ticket.account)
  if ticket.submit_interval > 0 then
    call('HSET', account, 'next_at', now + ticket.submit_interval)
    extend_ttl(account, ticket.submit_interval + rules.kept_ms)
  end
  if call('HEXISTS', account, 'open_until') == 1 then
    call('HSET', account, 'probe', id, 'probe_until', now + rules.probe_for_ms)
  end
  return answer('', '', 0)
end

for _, gate in ipairs(ticket.gates) do
  declare(gate)
  expire_holds(gate.name)
end
call('ZREMRANGEBYSCORE', HOLDERS, '-inf', now)
task = read_task(id)
if call('ZSCORE', HOLDERS, id) then
  if is_same(task, ticket) then
    hold(ticket)
    return answer('', '', 0)
  end
end
if task and not is_same(task, ticket) then
  release(id, task)
  task = nil
end

local closed_until = circuit_breaker_refuses()
if closed_until then
  if task and #task.lines > 0 then
    task.stale_at = closed_until + rules.wait_queue_late_ms
    write_task(id, task, task.stale_at - now)
  end
  return answer('circuit_open', '', closed_until)
end

local full = first_full()
-- Expired places may have been removed, the task's own among them.
task = read_task(id)
if full then
  wait_in({full}, now + rules.wait_queue_check_ms + rules.wait_queue_late_ms)
  return answer('full', full, now + rules.wait_queue_check_ms)
end
local due = submit_interval_refuses()
task = read_task(id)
if due then
  wait_in(counting_queues(), due + rules.submit_interval_late_ms, true)
  return answer('spacing', '', due)
end
return grant()
