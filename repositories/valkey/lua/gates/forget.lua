-- Gates: ends the hold or the place of a task by its id. Where the task has no record, all gates are searched.
--
-- Request: `task_id`.
-- Answers: ids to wake.
--
-- Uses shared.lua: CLASSES, HOLDERS, NAMES, call, held_key, mark_changed, queue_key, read_task, request.
-- Uses holds.lua: release.
-- Uses wakes.lua: wakes_of_changed.
local id = request.task_id

local function remove_from(name)
  local found = call('ZREM', held_key(name), id)
  for class = 1, CLASSES do found = found + call('ZREM', queue_key(name, class), id) end
  if found > 0 then mark_changed(name) end
end

local task = read_task(id)
if task then
  release(id, task)
else
  call('ZREM', HOLDERS, id)
  for _, name in ipairs(call('ZRANGE', NAMES, 0, -1)) do remove_from(name) end
end
return wakes_of_changed()
