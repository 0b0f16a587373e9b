-- One step of a circuit breaker that all processes share: the machine of reliability/core/breaker.py.
-- KEYS: hash, probes (token -> end of lease), failing hosts (host -> last failure), log of changes
-- ARGV: operation, now in ms ('' = the server's clock), channel, name, process, known settings version, arguments
-- Answers JSON: {missing = true}, or the view of the circuit after the step.
local KEY, PROBES, HOSTS, LOG = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local operation, channel, name, process, known = ARGV[1], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local function argument(place) return ARGV[6 + place] end

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local at_us = string.format('%.0f', clock[1] * 1000000 + clock[2])
if ARGV[2] ~= '' then
  now = tonumber(ARGV[2])
  at_us = string.format('%.0f', now * 1000)
end

local FIELDS = {'gen', 'ver', 'state', 'opened', 'proving', 'wins', 'openings', 'streak', 'failed', 'window', 'settings',
  'cfg', 'pin', 'pin_ver', 'pin_restored'}
local values = redis.call('HMGET', KEY, unpack(FIELDS))
local b = {}
for place, field in ipairs(FIELDS) do b[field] = values[place] or nil end

if operation == 'create' and not b.gen then
  b = {gen = argument(1), ver = 0, state = 'closed', settings = argument(2), cfg = argument(3)}
  if argument(4) ~= '' then
    local kept = {state = argument(4), author = argument(6), reason = argument(7), since_us = at_us}
    if argument(5) ~= '' then kept.until_ms = now + tonumber(argument(5)) end
    b.pin, b.pin_restored = cjson.encode(kept), '1'
  end
  redis.call('DEL', PROBES, HOSTS, LOG)
end
if not b.gen then return '{"missing":true}' end

for _, field in ipairs({'ver', 'opened', 'proving', 'wins', 'openings', 'streak', 'failed', 'cfg', 'pin_ver'}) do
  b[field] = tonumber(b[field] or '0')
end
local settings = cjson.decode(b.settings)
local pin = b.pin and b.pin ~= '' and cjson.decode(b.pin) or nil
local answer = {}

local function effective() return pin and pin.state or b.state end

local function cooldown()
  local doublings = math.min(math.max(0, b.openings - 1), 64)
  local grown = settings.cooldown_ms * settings.cooldown_multiplier ^ doublings
  return math.floor(math.min(grown, math.max(settings.cooldown_ms, settings.cooldown_max_ms)))
end

-- The window is text: bucket,successes,failures,slow;...
local function read_window()
  local current, live = math.floor(now / settings.bucket_ms), {}
  for bucket, ok, bad, slow in string.gmatch(b.window or '', '(%d+),(%d+),(%d+),(%d+);') do
    bucket = tonumber(bucket)
    if current - 10 < bucket and bucket <= current then
      live[#live + 1] = {bucket, tonumber(ok), tonumber(bad), tonumber(slow)}
    end
  end
  return live, current
end

local function counts()
  local total = {successes = 0, failures = 0, slow = 0, consecutive_failures = b.streak}
  for _, bucket in ipairs(read_window()) do
    total.successes, total.failures = total.successes + bucket[2], total.failures + bucket[3]
    total.slow = total.slow + bucket[4]
  end
  return total
end

-- How long calls are refused at least, or a permissive pin lasts; nil for ever.
local function remaining()
  if pin then
    if not pin.until_ms then return nil end
    return math.max(0, pin.until_ms - now)
  end
  if b.state == 'open' then return math.max(0, math.min(cooldown(), b.opened + cooldown() - now)) end
  return 0
end

local function changed(before, cause, before_counts, reason)
  b.ver = b.ver + 1
  local change = {name = name, gen = b.gen, ver = b.ver, from = before, to = effective(), cause = cause,
    reason = reason or '', counts = before_counts, at_us = at_us, process = process, wait = remaining(), pin = pin,
    cfg = b.cfg}
  local text = cjson.encode(change)
  answer.changes = answer.changes or {}
  table.insert(answer.changes, text)
  redis.call('LPUSH', LOG, text)
  redis.call('LTRIM', LOG, 0, 49)
  redis.call('PUBLISH', channel, text)
end

local function forget()
  b.window, b.streak, b.failed, b.openings, b.wins = '', 0, 0, 0, 0
  redis.call('DEL', PROBES, HOSTS)
end

local function clear_probes()
  b.wins = 0
  redis.call('DEL', PROBES)
end

local function open(cause, opened, reason)
  local before, seen = effective(), counts()
  b.state, b.openings = 'open', b.openings + 1
  b.opened = opened and opened() or now
  clear_probes()
  changed(before, cause, seen, reason)
end

local function end_pin(cause, reason)
  local before, seen = effective(), counts()
  forget()
  if before == 'forced_open' then b.state, b.proving = 'half_open', now end
  pin, b.pin, b.pin_restored = nil, '', ''
  changed(before, cause, seen, reason)
end

local function settle()
  b.opened, b.proving = math.min(b.opened, now), math.min(b.proving, now)
  b.failed = math.min(b.failed, now)
  if pin and pin.until_ms and pin.until_ms <= now then end_pin('pin_expired') end
end

local function admit(token)
  if pin then
    answer.granted = pin.state ~= 'forced_open'
    return
  end
  if b.state == 'closed' then
    answer.granted = true
    return
  end
  if b.state == 'open' then
    if remaining() > 0 then return end
    local seen = counts()
    b.state, b.proving = 'half_open', now
    clear_probes()
    changed('open', 'cooldown_over', seen)
  end
  redis.call('ZREMRANGEBYSCORE', PROBES, '-inf', now)
  local inside = redis.call('ZCARD', PROBES)
  if now - b.proving >= settings.half_open_limit_ms and not (b.wins > 0 and inside == 0) then
    return open('half_open_limit')
  end
  if inside >= settings.success_threshold then
    answer.retry = 20
    return
  end
  redis.call('ZADD', PROBES, now + settings.probe_lease_ms, token)
  answer.granted, answer.probe = true, true
end

local function verdict()
  local seen = counts()
  local calls = seen.successes + seen.failures
  if seen.consecutive_failures >= settings.failure_threshold then return 'consecutive_failures' end
  if calls < settings.volume_threshold then return nil end
  if 100 * seen.failures >= settings.error_threshold_percentage * calls then return 'error_rate' end
  if settings.slow_call_ms and 100 * seen.slow >= settings.slow_call_percentage * calls then return 'slow_calls' end
end

local function is_current(generation, version) return generation == b.gen and tonumber(version) == b.ver end

local function record(generation, version, ok, bad, slow, host, success_age)
  if not is_current(generation, version) or b.state ~= 'closed' then return end
  if pin and pin.state ~= 'metrics_only' then return end
  ok, bad, slow = tonumber(ok), tonumber(bad), tonumber(slow)
  local live, current = read_window()
  local last = live[#live]
  if not last or last[1] ~= current then
    last = {current, 0, 0, 0}
    table.insert(live, last)
  end
  last[2], last[3], last[4] = last[2] + ok, last[3] + bad, last[4] + slow
  local parts = {}
  for _, bucket in ipairs(live) do
    parts[#parts + 1] = string.format('%.0f,%.0f,%.0f,%.0f;', bucket[1], bucket[2], bucket[3], bucket[4])
  end
  b.window = table.concat(parts)
  if ok > 0 and now - tonumber(success_age or '0') >= b.failed then b.streak = 0 end
  b.streak = b.streak + bad
  if bad > 0 then b.failed = now end
  redis.call('ZREMRANGEBYSCORE', HOSTS, '-inf', now - settings.bucket_ms * 10)
  if bad > 0 or slow > 0 then redis.call('ZADD', HOSTS, now, host) end
  local cause = verdict()
  if not cause or pin then return end
  if redis.call('ZCARD', HOSTS) < settings.quorum then
    answer.alone = cause
    return
  end
  open(cause)
end

local function report(generation, version, token, outcome)
  if not is_current(generation, version) or b.state ~= 'half_open' or pin then return end
  local lease = redis.call('ZSCORE', PROBES, token)
  if not lease then return end
  redis.call('ZREM', PROBES, token)
  if tonumber(lease) <= now then return end
  if outcome == 'failure' then return open('probe_failed') end
  if outcome ~= 'success' then return end
  b.wins, b.proving = b.wins + 1, now
  if b.wins < settings.success_threshold then return end
  local seen = counts()
  forget()
  b.state = 'closed'
  changed('half_open', 'probes_succeeded', seen)
end

-- The dependency answered another kind of question: probes may decide before the cooldown is over.
local function hear_life()
  local doublings = math.min(math.max(0, b.openings - 1), 64)
  local earliest = math.min(1000 * 2 ^ doublings, cooldown())
  if pin or b.state ~= 'open' or now - b.opened < earliest then return end
  local seen = counts()
  b.state, b.proving = 'half_open', now
  clear_probes()
  changed('open', 'sign_of_life', seen)
end

-- A pin or its removal is taken if its version is newer than the last one; '' is always newer.
local function takes_pin(version)
  if version == '' then
    b.pin_ver = b.pin_ver + 1
    return true
  end
  if tonumber(version) <= b.pin_ver and b.pin_restored ~= '1' then return false end
  b.pin_ver = tonumber(version)
  return true
end

local function set_pin(version, state, lasts_ms, author, reason)
  if not takes_pin(version) then return end
  local before = effective()
  forget()
  pin = {state = state, author = author, reason = reason, since_us = at_us}
  if lasts_ms ~= '' then pin.until_ms = now + tonumber(lasts_ms) end
  b.state, b.pin, b.pin_restored = 'closed', cjson.encode(pin), ''
  changed(before, 'pinned', counts(), reason)
end

-- A pin that a process had seen before the store lost it; a later decision stands.
local function keep_pin(state, lasts_ms, author, reason)
  if pin or b.pin_ver > 0 then return end
  set_pin('', state, lasts_ms, author, reason)
  b.pin_ver, b.pin_restored = 0, '1'
end

local function configure(version, text)
  if tonumber(version) <= b.cfg then return end
  local bucket_ms = settings.bucket_ms
  b.settings, b.cfg, settings = text, tonumber(version), cjson.decode(text)
  if settings.bucket_ms ~= bucket_ms then b.window = '' end
  redis.call('PUBLISH', channel, cjson.encode({name = name, gen = b.gen, ver = b.ver, cfg = b.cfg}))
end

local function restore_opening(generation, left, reason)
  left = tonumber(left)
  if generation ~= b.gen or pin or b.state ~= 'closed' or left <= 0 then return end
  open('restored', function() return now + math.min(left, cooldown()) - cooldown() end, reason)
end

local operations = {
  create = function() restore_opening(argument(1), argument(8) or '0', '') end,
  read = function() end,
  admit = function() admit(argument(1)) end,
  record = function()
    record(argument(1), argument(2), argument(3), argument(4), argument(5), argument(6), argument(7))
  end,
  report = function() report(argument(1), argument(2), argument(3), argument(4)) end,
  life = hear_life,
  pin = function() set_pin(argument(1), argument(2), argument(3), argument(4), argument(5)) end,
  keep = function() keep_pin(argument(1), argument(2), argument(3), argument(4)) end,
  unpin = function()
    if pin and takes_pin(argument(1)) then end_pin('unpinned', argument(2)) end
  end,
  reset = function()
    local before, seen = effective(), counts()
    forget()
    b.state = 'closed'
    changed(before, 'reset', seen, argument(1))
  end,
  configure = function() configure(argument(1), argument(2)) end,
  restore = function() restore_opening(argument(1), argument(2), argument(3)) end,
}
settle()
operations[operation]()

local stored = {}
for place, field in ipairs(FIELDS) do
  local value = b[field] or ''
  if type(value) == 'number' then value = string.format('%.0f', value) end
  if value ~= values[place] then
    stored[#stored + 1] = field
    stored[#stored + 1] = value
  end
end
if #stored > 0 then redis.call('HSET', KEY, unpack(stored)) end

answer.gen, answer.ver, answer.state, answer.cfg, answer.pin = b.gen, b.ver, effective(), b.cfg, pin
answer.wait = answer.retry or remaining()
if tonumber(known) ~= b.cfg then answer.settings = settings end
if operation == 'read' then
  answer.counts, answer.wins, answer.opened_ms = counts(), b.wins, b.opened
  answer.probes = redis.call('ZCOUNT', PROBES, now + 1, '+inf')
  answer.settings, answer.openings = settings, b.openings
  local since = tonumber(argument(1) or '-1')
  if since >= 0 and since < b.ver then answer.log = redis.call('LRANGE', LOG, 0, b.ver - since - 1) end
end
return cjson.encode(answer)
