-- Gates: applies what a submit or poll showed about the vendor to learned limits and to the circuit breaker.
--
-- A status is 'available', 'throttled', 'unavailable' or 'unknown'; see `VendorStatus`.
--
-- Uses shared.lua: ACCOUNTS, account_key, add_to_index, call, declare, expire_holds, extend_ttl, free_probe, gate_key,
--   held_key, mark_changed, now, rules.

local function apply_status(ticket, status)
  local account = account_key(ticket.account)

  local function learn(gate)
    local learned = tonumber(call('HGET', gate_key(gate.name), 'learned') or nil)
    if status == 'throttled' then
      local held = call('ZCARD', held_key(gate.name))
      local beside = held - (call('ZSCORE', held_key(gate.name), ticket.id) and 1 or 0)
      learned = math.max(1, math.min(learned or math.huge, beside))
    elseif not learned then
      return
    else
      learned = learned + 1 / learned
      mark_changed(gate.name)
      if learned > rules.unlearned_above and learned > rules.unlearned_times * call('ZCARD', held_key(gate.name)) then
        call('HDEL', gate_key(gate.name), 'learned')
        return
      end
    end
    call('HSET', gate_key(gate.name), 'learned', string.format('%.17g', learned))
  end

  local function close_circuit_breaker()
    local was_open = call('HEXISTS', account, 'open_until') == 1
    call('HDEL', account, 'failures', 'opened', 'open_until', 'probe', 'probe_until')
    if was_open then
      for _, gate in ipairs(ticket.gates) do mark_changed(gate.name) end
    end
  end

  local function open_circuit_breaker()
    local opened = call('HINCRBY', account, 'opened', 1)
    local ms = math.min(rules.open_for_ms * 2 ^ (opened - 1), rules.open_for_most_ms)
    call('HSET', account, 'open_until', now + ms)
    call('HDEL', account, 'probe', 'probe_until')
  end

  local function count_failure()
    local failures = call('HINCRBY', account, 'failures', 1)
    local open_until = tonumber(call('HGET', account, 'open_until') or nil)
    if open_until and now >= open_until or not open_until and failures >= rules.open_after then
      open_circuit_breaker()
    end
    extend_ttl(account, rules.open_for_most_ms + rules.kept_ms)
  end

  add_to_index(ACCOUNTS, ticket.account)
  for _, gate in ipairs(ticket.gates) do
    declare(gate)
    expire_holds(gate.name)
    if gate.limit < 0 and gate.learns == 1 and (status == 'available' or status == 'throttled') then learn(gate) end
  end
  if status == 'available' or status == 'throttled' then
    close_circuit_breaker()
  elseif status == 'unavailable' then
    count_failure()
  else
    free_probe(ticket.account, ticket.id)
  end
end
