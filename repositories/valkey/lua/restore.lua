for _, ticket in ipairs(request.tickets) do
  local task = read_task(ticket.id)
  if task and is_same(task, ticket) then
    step_out(ticket.id, task)
  elseif task then
    release(ticket.id, task)
  end
  for _, gate in ipairs(ticket.gates) do declare(gate) end
  hold(ticket)
end
