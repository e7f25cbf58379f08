-- Answers {{name, held, line, limit or ''}, …} and {{account, failures, open_until or 0}, …}.
local gates, circuits = {}, {}
for at, name in ipairs(call('ZRANGE', NAMES, 0, -1)) do
  local lengths, limit = lengths_of(name), limit_of(name)
  local held = call('ZCOUNT', held_key(name), '(' .. now, '+inf')
  gates[at] = {name, held, lengths[1] + lengths[2] + lengths[3], limit and string.format('%.17g', limit) or ''}
end
for at, name in ipairs(call('ZRANGE', ACCOUNTS, 0, -1)) do
  local failures, open_until = unpack(call('HMGET', account_key(name), 'failures', 'open_until'))
  circuits[at] = {name, tonumber(failures or 0), tonumber(open_until or 0)}
end
return {gates, circuits}
