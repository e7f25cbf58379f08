-- Gates: applies what a submit or poll showed about the vendor; the hold goes on.
--
-- Request: `ticket`, as for enter.lua; `status`, a `VendorStatus`.
-- Answers: ids to wake.
--
-- Uses shared.lua: request.
-- Uses vendor_status.lua: apply_status.
-- Uses wakes.lua: wakes_of_changed.
apply_status(request.ticket, request.status)
return wakes_of_changed()
