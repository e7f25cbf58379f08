-- Rates: counts requests of callers in a sliding window; a request beyond the limit is not counted.
--
-- KEYS: of each request the hash of its caller: number of requests by second.
-- ARGV: now in seconds; the window in seconds; then the limit of each request.
-- Answers of each request: {1 if it passed, else 0; how many more would pass; the second whose end makes room}.
local call = redis.call
local second, window = tonumber(ARGV[1]), tonumber(ARGV[2])

-- The requests within the window: their number, and {second, number} by time. Deletes older ones.
local function counted(key)
  local total, seconds, expired = 0, {}, {}
  local found = call('HGETALL', key)
  for i = 1, #found, 2 do
    local at = tonumber(found[i])
    if at <= second - window then
      expired[#expired + 1] = found[i]
    else
      total = total + found[i + 1]
      seconds[#seconds + 1] = {at, tonumber(found[i + 1])}
    end
  end
  if #expired > 0 then call('HDEL', key, unpack(expired)) end
  table.sort(seconds, function(one, other) return one[1] < other[1] end)
  return total, seconds
end

-- The second whose end lets one more request through than now. With a lowered limit, more than it may be counted.
local function frees(total, seconds, limit)
  local over = math.max(total - limit, 0)
  for _, each in ipairs(seconds) do
    over = over - each[2]
    if over < 0 then return each[1] end
  end
  return second
end

local answers = {}
for n, key in ipairs(KEYS) do
  local limit = tonumber(ARGV[n + 2])
  local total, seconds = counted(key)
  local passed = total < limit
  if passed then
    call('HINCRBY', key, second, 1)
    call('EXPIRE', key, window + 1)
    total, seconds = total + 1, #seconds > 0 and seconds or {{second, 1}}
  end
  answers[n] = {passed and 1 or 0, math.max(limit - total, 0), frees(total, seconds, limit)}
end
return answers
