-- Answers 1 or 0 for each id.
local answers = {}
for at, id in ipairs(request.task_ids) do
  local task = read_task(id)
  answers[at] = task and #task.lines > 0 and task.stale_at > now and 1 or 0
end
return answers
