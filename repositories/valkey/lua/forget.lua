-- Answers the ids to wake. Where the task is not on record, all gates are searched.
local id = request.task_id

local function search(name)
  local found = call('ZREM', held_key(name), id)
  for class = 1, 3 do found = found + call('ZREM', line_key(name, class), id) end
  if found > 0 then mark(name) end
end

local task = read_task(id)
if task then
  release(id, task)
else
  call('ZREM', HOLDERS, id)
  for _, name in ipairs(call('ZRANGE', NAMES, 0, -1)) do search(name) end
end
return wakes_of_dirty()
