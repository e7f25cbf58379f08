-- Wake queue: adds wakes, and notifies idle workers of those that are due first.
--
-- KEYS: of each priority its queue and its notification list.
-- ARGV: ms that a notification is kept; number of ids to try; 'NX' or 'LT' for a job that exists already;
--   then of each wake: number of its queue, task, time, ms that the job is kept, job.
-- Answers: the tasks for which no id was free.
--
-- Uses shared.lua: call, notify, now.

local function enqueue(queue, task, at, kept_ms, job)
  for later = 0, ARGV[2] - 1 do
    local id = task .. ':' .. string.format('%.0f', at + later)
    if call('EXISTS', 'arq:in-progress:' .. id, 'arq:result:' .. id) == 0 then
      call('SET', 'arq:job:' .. id, job, 'PX', kept_ms)
      call('ZADD', queue, ARGV[3], string.format('%.0f', at), id)
      return id
    end
  end
end

local refused = {}
for i = 4, #ARGV, 5 do
  local queue, list = KEYS[2 * ARGV[i] - 1], KEYS[2 * ARGV[i]]
  local at = tonumber(ARGV[i + 2])
  local id = enqueue(queue, ARGV[i + 1], at, ARGV[i + 3], ARGV[i + 4])
  if not id then
    table.insert(refused, ARGV[i + 1])
  elseif at <= now or call('ZRANK', queue, id) == 0 then
    notify(list, ARGV[1])
  end
end
return refused
