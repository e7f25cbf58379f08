-- Answers the ids to wake.
local ticket = request.ticket

if request.verdict then take_verdict(ticket, request.verdict) end
local task = read_task(ticket.id)
if task then release(ticket.id, task) end
-- What is on record may be older than the ticket, or lost.
local given = {account = ticket.account, gates = {}, lines = {}, class = ticket.class}
for _, gate in ipairs(ticket.gates) do
  declare(gate)
  given.gates[#given.gates + 1] = gate.name
end
release(ticket.id, given)
return wakes_of_dirty()
