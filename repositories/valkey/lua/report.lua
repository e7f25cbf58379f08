-- Answers the ids to wake.
take_verdict(request.ticket, request.verdict)
return wakes_of_dirty()
