"""
What the queue does inside Redis, each in one step that nothing can come between.

Jobs and their keys are arq's: a sorted set of ids by time in milliseconds, `arq:job:` with the job, `arq:in-progress:`
while it runs. Three things are added. The lock of a claim names the worker that holds it. A claimed job's time is when
its lock runs out, so claims never lie between a worker and what is due. And each queue has a bell, a list of at most
one element, on which an idle worker waits: it is rung by what is due at once or earlier than all else, and by a worker
that leaves something for others. Time is that of Redis, so that workers agree on it.
"""

from typing import Final

_COMMON: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function ring(bell, keep)
  if redis.call('LLEN', bell) == 0 then
    redis.call('RPUSH', bell, '1')
    redis.call('PEXPIRE', bell, keep)
  end
end
"""

WAKE: Final = (
    _COMMON
    + """
-- KEYS: of each priority its queue and its bell
-- ARGV: ms that a bell is kept, ids tried, NX or LT for what exists;
--       then of each wake number of its queue, task, time, ms kept, job
-- Returns the tasks for which no id was free.
local function enqueue(queue, task, at, keep, job)
  for later = 0, ARGV[2] - 1 do
    local id = task .. ':' .. string.format('%.0f', at + later)
    if redis.call('EXISTS', 'arq:in-progress:' .. id, 'arq:result:' .. id) == 0 then
      redis.call('SET', 'arq:job:' .. id, job, 'PX', keep)
      redis.call('ZADD', queue, ARGV[3], string.format('%.0f', at), id)
      return id
    end
  end
end

local refused = {}
for i = 4, #ARGV, 5 do
  local queue, bell = KEYS[2 * ARGV[i] - 1], KEYS[2 * ARGV[i]]
  local at = tonumber(ARGV[i + 2])
  local id = enqueue(queue, ARGV[i + 1], at, ARGV[i + 3], ARGV[i + 4])
  if not id then
    table.insert(refused, ARGV[i + 1])
  elseif at <= now or redis.call('ZRANK', queue, id) == 0 then
    ring(bell, ARGV[1])
  end
end
return refused
"""
)

TAKE: Final = (
    _COMMON
    + """
-- KEYS: of each served priority its queue and its bell
-- ARGV: worker, most, ms of a lock, ms of an idle worker's sleep, ms that a bell is kept, turns as digits, turn;
--       then of each ended claim number of its queue, id, ms until it is due again or ''
-- Returns the next turn, ms until the next one is due or -1; then of each claim number of its queue, id, job.
local worker, most, lock, idle = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local turns, turn = ARGV[6], tonumber(ARGV[7])

local function settle(queue, id, again)
  local lock_key = 'arq:in-progress:' .. id
  local holder = redis.call('GET', lock_key)
  if holder and holder ~= worker then
    return
  end
  if again == '' then
    redis.call('ZREM', queue, id)
    redis.call('DEL', lock_key, 'arq:job:' .. id, 'arq:retry:' .. id)
  else
    redis.call('DEL', lock_key)
    redis.call('ZADD', queue, 'XX', now + again, id)
  end
end

local function take(queue, id)
  local job = redis.call('GET', 'arq:job:' .. id)
  if not job then
    redis.call('ZREM', queue, id)
    return nil
  end
  local lock_key = 'arq:in-progress:' .. id
  if not redis.call('SET', lock_key, worker, 'NX', 'PX', lock) then
    local left = redis.call('PTTL', lock_key)
    redis.call('ZADD', queue, 'XX', now + (left == -1 and lock or math.max(left, 1)), id)
    return nil
  end
  redis.call('ZADD', queue, 'XX', now + lock, id)
  return job
end

for i = 8, #ARGV, 3 do
  settle(KEYS[2 * ARGV[i] - 1], ARGV[i + 1], ARGV[i + 2])
end

local due, place = {}, {}
for n = 1, #KEYS / 2 do
  place[n] = 0
  due[n] = most > 0 and redis.call('ZRANGEBYSCORE', KEYS[2 * n - 1], '-inf', now, 'LIMIT', 0, most) or {}
end

local claims, taken, passed = {}, 0, 0
while taken < most and passed < #turns do
  local n = tonumber(string.sub(turns, turn + 1, turn + 1))
  turn = (turn + 1) % #turns
  local id, job
  repeat
    place[n] = place[n] + 1
    id = due[n][place[n]]
    job = id and take(KEYS[2 * n - 1], id)
  until job or not id
  if job then
    table.insert(claims, {n, id, job})
    taken, passed = taken + 1, 0
  else
    passed = passed + 1
  end
end

local soonest = -1
for n = 1, #KEYS / 2 do
  local head = redis.call('ZRANGE', KEYS[2 * n - 1], 0, 0, 'WITHSCORES')
  if head[2] then
    local left = math.max(0, head[2] - now)
    if soonest < 0 or left < soonest then
      soonest = left
    end
    if taken == most and left < idle then
      ring(KEYS[2 * n], ARGV[5])
    end
  end
end
return {turn, soonest, claims}
"""
)

HOLD: Final = (
    _COMMON
    + """
-- KEYS: the queues of each served priority, each followed by its bell
-- ARGV: worker, ms of a lock; then of each claim number of its queue, id
for i = 3, #ARGV, 2 do
  local lock_key = 'arq:in-progress:' .. ARGV[i + 1]
  if redis.call('GET', lock_key) == ARGV[1] then
    redis.call('PEXPIRE', lock_key, ARGV[2])
    redis.call('ZADD', KEYS[2 * ARGV[i] - 1], 'XX', now + ARGV[2], ARGV[i + 1])
  end
end
"""
)
