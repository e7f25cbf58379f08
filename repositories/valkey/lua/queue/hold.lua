-- Wake queue: renews the locks of claims that are still the worker's.
--
-- KEYS: of each served priority its queue and its notification list.
-- ARGV: worker; ms of a lock; then of each claim: number of its queue, id.
--
-- Uses shared.lua: call, now.
for i = 3, #ARGV, 2 do
  local lock_key = 'arq:in-progress:' .. ARGV[i + 1]
  if call('GET', lock_key) == ARGV[1] then
    call('PEXPIRE', lock_key, ARGV[2])
    call('ZADD', KEYS[2 * ARGV[i] - 1], 'XX', now + ARGV[2], ARGV[i + 1])
  end
end
