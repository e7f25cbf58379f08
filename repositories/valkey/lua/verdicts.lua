-- What an answer of the vendor, or its absence, changes: learned limits and the circuit. For `report` and `leave`.
local function take_verdict(ticket, verdict)
  local account = account_key(ticket.account)

  local function learn(gate)
    local learned = tonumber(call('HGET', gate_key(gate.name), 'learned') or nil)
    if verdict == 'crowded' then
      local held = call('ZCARD', held_key(gate.name))
      local beside = held - (call('ZSCORE', held_key(gate.name), ticket.id) and 1 or 0)
      learned = math.max(1, math.min(learned or math.huge, beside))
    elseif not learned then
      return
    else
      learned = learned + 1 / learned
      mark(gate.name)
      if learned > 64 and learned > 10 * call('ZCARD', held_key(gate.name)) then
        call('HDEL', gate_key(gate.name), 'learned')
        return
      end
    end
    call('HSET', gate_key(gate.name), 'learned', string.format('%.17g', learned))
  end

  local function close_circuit()
    local was_open = call('HEXISTS', account, 'open_until') == 1
    call('HDEL', account, 'failures', 'opened', 'open_until', 'probe', 'probe_until')
    if was_open then
      for _, gate in ipairs(ticket.gates) do mark(gate.name) end
    end
  end

  local function open_circuit()
    local opened = call('HINCRBY', account, 'opened', 1)
    local ms = math.min(rules.open_for_ms * 2 ^ (opened - 1), rules.open_for_most_ms)
    call('HSET', account, 'open_until', now + ms)
    call('HDEL', account, 'probe', 'probe_until')
  end

  local function count_failure()
    local failures = call('HINCRBY', account, 'failures', 1)
    local open_until = tonumber(call('HGET', account, 'open_until') or nil)
    if open_until and now >= open_until or not open_until and failures >= rules.open_after then open_circuit() end
    keep(account, rules.open_for_most_ms + rules.kept_ms)
  end

  remember(ACCOUNTS, ticket.account)
  for _, gate in ipairs(ticket.gates) do
    declare(gate)
    sweep(gate.name)
    if gate.limit < 0 and gate.learns == 1 and (verdict == 'well' or verdict == 'crowded') then learn(gate) end
  end
  if verdict == 'well' or verdict == 'crowded' then
    close_circuit()
  elseif verdict == 'away' then
    count_failure()
  else
    free_probe(ticket.account, ticket.id)
  end
end
