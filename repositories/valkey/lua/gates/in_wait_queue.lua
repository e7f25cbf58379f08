-- Gates: which tasks have a place in a wait queue that has not expired.
--
-- Request: `task_ids`.
-- Answers: 1 or 0 for each id.
--
-- Uses shared.lua: now, read_task, request.
local answers = {}
for at, id in ipairs(request.task_ids) do
  local task = read_task(id)
  answers[at] = task and #task.lines > 0 and task.stale_at > now and 1 or 0
end
return answers
