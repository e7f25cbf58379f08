-- Gates: all gates and circuit breakers, for operators and metrics.
--
-- Answers: {{gate, held, queued, limit or ''}, …} and {{account, failures, open_until or 0}, …}.
--
-- Uses shared.lua: ACCOUNTS, NAMES, account_key, call, held_key, limit_of, now.
-- Uses wait_queue.lua: lengths_of, sum_of.
local gates, circuit_breakers = {}, {}
for at, name in ipairs(call('ZRANGE', NAMES, 0, -1)) do
  local limit = limit_of(name)
  local held = call('ZCOUNT', held_key(name), '(' .. now, '+inf')
  gates[at] = {name, held, sum_of(lengths_of(name)), limit and string.format('%.17g', limit) or ''}
end
for at, name in ipairs(call('ZRANGE', ACCOUNTS, 0, -1)) do
  local failures, open_until = unpack(call('HMGET', account_key(name), 'failures', 'open_until'))
  circuit_breakers[at] = {name, tonumber(failures or 0), tonumber(open_until or 0)}
end
return {gates, circuit_breakers}
