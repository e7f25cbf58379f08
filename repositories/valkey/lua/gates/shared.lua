-- Gates: the request, the keys, and the stored records of gates and tasks. All scripts of the gates begin with this file.
--
-- Request, the only argument, as JSON: `now`, `rules` (the fields of `GateRules`; durations in ms, named `…_ms`) and
-- what the head of the script names. Times are milliseconds of the caller's clock. The scripts build their keys
-- themselves, so Redis must be one node, not a cluster.
--
-- Workers of other versions read and write the same keys, hash fields and task records: never rename those. In stored
-- names `line` is a wait queue, `spacing:<account>` the wait queue of an account's submit interval, and `paced` is set
-- in the record of a task that waits for the submit interval only.
local call = redis.call
local request = cjson.decode(ARGV[1])
local now, rules = request.now, request.rules

local PREFIX = 'polyrelay:gate:'
local NAMES, QUEUES, HOLDERS, ACCOUNTS = PREFIX .. 'names', PREFIX .. 'lines', PREFIX .. 'holders', PREFIX .. 'accounts'

-- Priority classes, numbered from 1: as many as there are weights.
local CLASSES = #rules.weights

-- Answer of the script: ids of the tasks to wake, each once.
local wakes, woken = {}, {}
-- Gates whose slots or waiting tasks changed, in order: some of their waiting tasks may be admitted now.
local changed, is_changed = {}, {}

-- Keys -----------------------------------------------------------------------------------------------------------------

local function gate_key(name) return PREFIX .. 'of:' .. name end
local function held_key(name) return PREFIX .. 'held:' .. name end
local function queue_key(name, class) return PREFIX .. 'line:' .. class .. ':' .. name end
local function task_key(id) return PREFIX .. 'task:' .. id end
local function account_key(name) return PREFIX .. 'account:' .. name end
local function interval_queue_of(account) return 'spacing:' .. account end
local function is_interval_queue(name) return string.sub(name, 1, 8) == 'spacing:' end

-- Makes the key live for at least `ms` from now on. Every key has a time to live.
local function extend_ttl(key, ms)
  if call('PTTL', key) < ms then call('PEXPIRE', key, ms) end
end

-- Adds the name to an index, from which names are dropped that were not used for twice `kept_ms`.
local function add_to_index(index, name)
  call('ZADD', index, now, name)
  call('ZREMRANGEBYSCORE', index, '-inf', now - 2 * rules.kept_ms)
  extend_ttl(index, 2 * rules.kept_ms)
end

-- Wakes ----------------------------------------------------------------------------------------------------------------

local function contains(list, item)
  for _, each in ipairs(list) do
    if each == item then return true end
  end
  return false
end

local function mark_changed(name)
  if not is_changed[name] then
    is_changed[name] = true
    changed[#changed + 1] = name
  end
end

local function wake(id)
  if not woken[id] then
    woken[id] = true
    wakes[#wakes + 1] = id
  end
end

-- Task records ---------------------------------------------------------------------------------------------------------
-- Of a task that holds gates or waits: {account, gates = names, class, since, lines = names of its wait queues,
-- stale_at = when its place in them expires, paced}.

local function read_task(id)
  local text = call('GET', task_key(id))
  return text and cjson.decode(text)
end

-- The record outlives the next `ms` by `kept_ms`.
local function write_task(id, task, ms)
  call('SET', task_key(id), cjson.encode(task), 'PX', math.max(ms, 0) + rules.kept_ms)
end

-- Whether the record names the account and the gates of the ticket.
local function is_same(task, ticket)
  if not task or task.account ~= ticket.account or #task.gates ~= #ticket.gates then return false end
  for at, gate in ipairs(ticket.gates) do
    if task.gates[at] ~= gate.name then return false end
  end
  return true
end

-- Gates and their slots ------------------------------------------------------------------------------------------------

-- Stores the limit of a gate as the ticket has it.
local function declare(gate)
  local key = gate_key(gate.name)
  call('HSET', key, 'limit', gate.limit, 'learns', gate.learns)
  extend_ttl(key, rules.kept_ms)
  add_to_index(NAMES, gate.name)
end

-- Ends the holds of a gate whose time has passed.
local function expire_holds(name)
  if call('ZREMRANGEBYSCORE', held_key(name), '-inf', now) > 0 then mark_changed(name) end
end

-- The limit in force, with its fraction where it is learned; nil for none.
local function limit_of(name)
  local limit, learns, learned = unpack(call('HMGET', gate_key(name), 'limit', 'learns', 'learned'))
  limit = tonumber(limit or -1)
  if limit >= 0 then return limit end
  if learns == '1' and learned then return tonumber(learned) end
  return nil
end

local function free_slots(name)
  local limit = limit_of(name)
  if not limit then return math.huge end
  return math.floor(limit) - call('ZCARD', held_key(name))
end

-- Makes the task that the circuit breaker let through as a probe no longer the probe.
local function free_probe(account, id)
  if call('HGET', account_key(account), 'probe') == id then
    call('HDEL', account_key(account), 'probe', 'probe_until')
  end
end
