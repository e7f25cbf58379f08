-- Gates: ends the hold or the place of a task, after applying what its submit or poll showed about the vendor.
--
-- Request: `ticket`, as for enter.lua; `status`, a `VendorStatus`, optional.
-- Answers: ids to wake.
--
-- Uses shared.lua: declare, read_task, request.
-- Uses holds.lua: release.
-- Uses vendor_status.lua: apply_status.
-- Uses wakes.lua: wakes_of_changed.
local ticket = request.ticket

if request.status then apply_status(ticket, request.status) end
local task = read_task(ticket.id)
if task then release(ticket.id, task) end
-- The record may be older than the ticket, or lost.
local given = {account = ticket.account, gates = {}, lines = {}, class = ticket.class}
for _, gate in ipairs(ticket.gates) do
  declare(gate)
  given.gates[#given.gates + 1] = gate.name
end
release(ticket.id, given)
return wakes_of_changed()
