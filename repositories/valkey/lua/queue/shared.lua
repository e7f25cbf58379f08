-- Wake queue: what its scripts share. All of them begin with this file.
--
-- Jobs and their keys are arq's: a queue is a sorted set of job ids by time in milliseconds, `arq:job:<id>` holds the job,
-- and `arq:in-progress:<id>` is its lock while it runs. Three things are added:
-- - The lock of a claimed job names the worker that holds it.
-- - The time of a claimed job is when its lock expires, so that claimed jobs never precede those that are due.
-- - Each queue has a notification list of at most one element, on which idle workers block. A job that is due at once, or
--   before all others, notifies; so does a worker that leaves due jobs to others.
-- Time is that of Redis, so that all workers have the same.
local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- Wakes one idle worker; the notification is kept for `kept_ms` where no worker is idle.
local function notify(list, kept_ms)
  if call('LLEN', list) == 0 then
    call('RPUSH', list, '1')
    call('PEXPIRE', list, kept_ms)
  end
end
