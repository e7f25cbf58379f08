-- Gates: the waiting tasks of all gates that may be admitted now, or whose place expired.
--
-- Answers: ids to wake.
--
-- Uses shared.lua: QUEUES, call, mark_changed.
-- Uses wakes.lua: wakes_of_changed.
for _, name in ipairs(call('ZRANGE', QUEUES, 0, -1)) do mark_changed(name) end
return wakes_of_changed()
