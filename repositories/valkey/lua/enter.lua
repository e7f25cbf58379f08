-- Answers {refusal or '', gate or '', again_at or 0, ids to wake}.
local ticket = request.ticket
local id, class, since = ticket.id, ticket.class, ticket.since
local task
woken[id] = true  -- It is awake.

local function answer(refusal, gate, again_at)
  return {refusal, gate, again_at, wakes_of_dirty()}
end

-- When to ask again, where the circuit does not let the task through.
local function circuit_refuses()
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
    if room_in(gate.name) > 0 then drop_stale(gate.name) end
    if not has_room_for(gate.name, id, class, since) then return gate.name end
  end
  return nil
end

-- The lines that it leaves without having been let through go on.
local function stand_in(lines, stale_at, paced)
  if task then
    for _, name in ipairs(task.lines) do
      if not contains(lines, name) then mark(name) end
    end
    step_out(id, task)
  end
  local names = {}
  for _, gate in ipairs(ticket.gates) do names[#names + 1] = gate.name end
  for _, name in ipairs(lines) do stand(name, id, class, since) end
  write_task(id, {
    account = ticket.account, gates = names, class = class, since = since, lines = lines, stale_at = stale_at,
    paced = paced,
  }, stale_at - now)
end

-- When its turn comes, where the spacing does not let it through yet.
local function spacing_refuses()
  local next_at = call('HGET', account_key(ticket.account), 'next_at')
  if ticket.spacing == 0 or not next_at then return nil end
  local pacer = pacer_of(ticket.account)
  drop_stale(pacer)
  local due = tonumber(next_at) + ticket.spacing * place_of(pacer, id, class, since, MOST_PICKS)
  return due > now and due or nil
end

local function limited_lines()
  local lines = {pacer_of(ticket.account)}
  for _, gate in ipairs(ticket.gates) do
    if limit_of(gate.name) then lines[#lines + 1] = gate.name end
  end
  return lines
end

local function grant()
  local account, lines = account_key(ticket.account), limited_lines()
  local stood = task and task.lines or {}
  for _, name in ipairs(lines) do take_turn(name, class, contains(stood, name)) end
  for _, name in ipairs(stood) do
    if not contains(lines, name) then mark(name) end
  end
  if task then step_out(id, task) end
  hold(ticket)
  remember(ACCOUNTS, ticket.account)
  if ticket.spacing > 0 then
    call('HSET', account, 'next_at', now + ticket.spacing)
    keep(account, ticket.spacing + rules.kept_ms)
  end
  if call('HEXISTS', account, 'open_until') == 1 then
    call('HSET', account, 'probe', id, 'probe_until', now + rules.probe_for_ms)
  end
  return answer('', '', 0)
end

for _, gate in ipairs(ticket.gates) do
  declare(gate)
  sweep(gate.name)
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

local closed_until = circuit_refuses()
if closed_until then
  if task and #task.lines > 0 then
    task.stale_at = closed_until + rules.wait_queue_late_ms
    write_task(id, task, task.stale_at - now)
  end
  return answer('circuit_open', '', closed_until)
end

local full = first_full()
-- Stale places may have been dropped, the task's own among them.
task = read_task(id)
if full then
  stand_in({full}, now + rules.wait_queue_check_ms + rules.wait_queue_late_ms)
  return answer('full', full, now + rules.wait_queue_check_ms)
end
local due = spacing_refuses()
task = read_task(id)
if due then
  stand_in(limited_lines(), due + rules.submit_interval_late_ms, true)
  return answer('spacing', '', due)
end
return grant()
