-- Gates: the length of a wait queue.
--
-- Request: `gate`.
--
-- Uses shared.lua: request.
-- Uses wait_queue.lua: lengths_of, sum_of.
return sum_of(lengths_of(request.gate))
