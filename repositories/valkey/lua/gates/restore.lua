-- Gates: holds gates for tasks that are stored as submitted, whatever the limits.
--
-- Request: `tickets`, each as for enter.lua.
--
-- Uses shared.lua: declare, is_same, read_task, request.
-- Uses wait_queue.lua: dequeue.
-- Uses holds.lua: hold, release.
for _, ticket in ipairs(request.tickets) do
  local task = read_task(ticket.id)
  if task and is_same(task, ticket) then
    dequeue(ticket.id, task)
  elseif task then
    release(ticket.id, task)
  end
  for _, gate in ipairs(ticket.gates) do declare(gate) end
  hold(ticket)
end
