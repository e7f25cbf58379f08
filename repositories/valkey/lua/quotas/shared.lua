-- Quotas: counts a task in a quota. All scripts of the quotas begin with this file.
--
-- KEYS[1]: the index, a set of the names of all quotas. ARGV[1], ARGV[2]: now; ms that keys outlive what they count.
local call = redis.call
local now, kept_ms = tonumber(ARGV[1]), tonumber(ARGV[2])

local function extend_ttl(key, ms)
  if call('PTTL', key) < ms then call('PEXPIRE', key, ms) end
end

-- `key` is the quota's sorted set of tasks by the time until which they count; an earlier time does not replace a later.
local function count(key, name, task, until_ms)
  call('ZADD', key, 'GT', until_ms, task)
  extend_ttl(key, math.max(until_ms - now, 0) + kept_ms)
  call('SADD', KEYS[1], name)
  extend_ttl(KEYS[1], math.max(until_ms - now, 0) + kept_ms)
end
