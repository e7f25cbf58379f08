-- Quotas: counts tasks, however full their quotas are.
--
-- KEYS: the index, then of each count the set of its quota.
-- ARGV: now; ms that keys are kept; then of each count: name of the quota, task, until.
--
-- Uses shared.lua: count.
for n = 2, #KEYS do count(KEYS[n], ARGV[3 * n - 3], ARGV[3 * n - 2], tonumber(ARGV[3 * n - 1])) end
