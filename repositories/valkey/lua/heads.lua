-- Answers the ids to wake.
for _, name in ipairs(call('ZRANGE', LINES, 0, -1)) do mark(name) end
return wakes_of_dirty()
