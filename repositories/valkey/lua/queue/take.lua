-- Wake queue: ends claims of a worker, then claims due jobs for it, by the weights of the priorities.
--
-- KEYS: of each served priority its queue and its notification list.
-- ARGV: worker; most claims; ms of a lock; ms that an idle worker sleeps; ms that a notification is kept; turns, one digit
--   each: numbers of queues; the index of the next turn;
--   then of each ended claim: number of its queue, id, ms until it is due again or ''.
-- Answers: the index of the next turn; ms until the next job is due or -1; {{number of its queue, id, job}, …}.
--
-- Uses shared.lua: call, notify, now.
local worker, most, lock_ms, idle_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local turns, turn = ARGV[6], tonumber(ARGV[7])

-- Ends a claim, unless another worker holds the lock by now.
local function settle(queue, id, again_ms)
  local lock_key = 'arq:in-progress:' .. id
  local holder = call('GET', lock_key)
  if holder and holder ~= worker then
    return
  end
  if again_ms == '' then
    call('ZREM', queue, id)
    call('DEL', lock_key, 'arq:job:' .. id, 'arq:retry:' .. id)
  else
    call('DEL', lock_key)
    call('ZADD', queue, 'XX', now + again_ms, id)
  end
end

-- The job, locked; nil where it has no content, or is locked already and then due when that lock expires.
local function claim(queue, id)
  local job = call('GET', 'arq:job:' .. id)
  if not job then
    call('ZREM', queue, id)
    return nil
  end
  local lock_key = 'arq:in-progress:' .. id
  if not call('SET', lock_key, worker, 'NX', 'PX', lock_ms) then
    local left_ms = call('PTTL', lock_key)
    call('ZADD', queue, 'XX', now + (left_ms == -1 and lock_ms or math.max(left_ms, 1)), id)
    return nil
  end
  call('ZADD', queue, 'XX', now + lock_ms, id)
  return job
end

for i = 8, #ARGV, 3 do
  settle(KEYS[2 * ARGV[i] - 1], ARGV[i + 1], ARGV[i + 2])
end

local due, place = {}, {}
for n = 1, #KEYS / 2 do
  place[n] = 0
  due[n] = most > 0 and call('ZRANGEBYSCORE', KEYS[2 * n - 1], '-inf', now, 'LIMIT', 0, most) or {}
end

local claims, taken, passed = {}, 0, 0
while taken < most and passed < #turns do
  local n = tonumber(string.sub(turns, turn + 1, turn + 1))
  turn = (turn + 1) % #turns
  local id, job
  repeat
    place[n] = place[n] + 1
    id = due[n][place[n]]
    job = id and claim(KEYS[2 * n - 1], id)
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
  local first = call('ZRANGE', KEYS[2 * n - 1], 0, 0, 'WITHSCORES')
  if first[2] then
    local left_ms = math.max(0, first[2] - now)
    if soonest < 0 or left_ms < soonest then
      soonest = left_ms
    end
    if taken == most and left_ms < idle_ms then
      notify(KEYS[2 * n], ARGV[5])
    end
  end
end
return {turn, soonest, claims}
