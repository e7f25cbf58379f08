-- Gates: the tasks that hold any gate.
--
-- Answers: their ids, by the end of their hold.
--
-- Uses shared.lua: HOLDERS, call, now.
return call('ZRANGE', HOLDERS, '(' .. now, '+inf', 'BYSCORE')
