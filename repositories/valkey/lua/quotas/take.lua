-- Quotas: counts tasks, each in all of its quotas or, where one of them is full, in none.
--
-- KEYS: the index, then of each task the set of each of its quotas.
-- ARGV: now; ms that keys are kept; then of each task: id, until, number of quotas, and of each quota its name and limit.
-- Answers of each task: the number of its first full quota, or 0. A task that counts already is not refused.
--
-- Uses shared.lua: call, count, now.

-- The last key and the last argument that were read.
local key, arg = 1, 2

local function take(task, until_ms, quotas)
  local function limit_of(n) return tonumber(ARGV[arg + 2 * n]) end
  for n = 1, quotas do
    call('ZREMRANGEBYSCORE', KEYS[key + n], '-inf', now)
    local is_full = call('ZCARD', KEYS[key + n]) >= limit_of(n)
    if is_full and not call('ZSCORE', KEYS[key + n], task) then return n end
  end
  for n = 1, quotas do count(KEYS[key + n], ARGV[arg + 2 * n - 1], task, until_ms) end
  return 0
end

local answers = {}
while arg < #ARGV do
  local task, until_ms, quotas = ARGV[arg + 1], tonumber(ARGV[arg + 2]), tonumber(ARGV[arg + 3])
  arg = arg + 3
  answers[#answers + 1] = take(task, until_ms, quotas)
  key, arg = key + quotas, arg + 2 * quotas
end
return answers
