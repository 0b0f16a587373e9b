"""What the shared limits do inside Redis: each is one script, decided by the clock of Redis alone."""

# Instants are microseconds since EPOCH_SECONDS, small enough for Lua's numbers to keep fractions of them.
EPOCH_SECONDS = 1_700_000_000

_NOW = f"""
local clock = redis.call('TIME')
local now = (clock[1] - {EPOCH_SECONDS}) * 1000000 + clock[2]
"""

# KEYS: limiter. ARGV: interval, capacity, floor (microseconds), wanted tokens, life of the key (ms).
# Returns tokens granted, wait in microseconds, and 1 when the wait is a pause for everybody.
TAKE_TOKENS = (
    _NOW
    + """
local interval, capacity, floor = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local state = redis.call('HMGET', KEYS[1], 'full_at', 'paused_until')
local full_at, paused_until = tonumber(state[1] or 0), tonumber(state[2] or 0)
if now < paused_until then return {0, math.ceil(paused_until - now), 1} end
local missing = math.min(math.max(full_at - now, 0), capacity)
local free = capacity - floor - missing
local granted = math.min(tonumber(ARGV[4]), math.floor(free / interval + 1e-9))
if granted < 1 then return {0, math.ceil(math.max(interval - free, 1)), 0} end
redis.call('HSET', KEYS[1], 'full_at', string.format('%.4f', now + missing + granted * interval))
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return {granted, 0, 0}
"""
)

# KEYS: limiter. ARGV: pause in microseconds, life of the key (ms), channel, limiter's name.
# Returns the pause that is left, in microseconds: a longer one that was there stays.
PAUSE = (
    _NOW
    + """
local paused_until = tonumber(redis.call('HGET', KEYS[1], 'paused_until') or 0)
if now + ARGV[1] > paused_until then
  paused_until = now + ARGV[1]
  redis.call('HSET', KEYS[1], 'paused_until', string.format('%.4f', paused_until))
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
local left = math.ceil(paused_until - now)
redis.call('PUBLISH', ARGV[3], ARGV[4] .. '|' .. left)
return {left}
"""
)

# KEYS: budget. ARGV: deposit and cost in units, floor in units, length of a slot (microseconds), slots, life (ms),
# units that the spending leaves alone.
# Returns 1 when the cost was taken, and the units left.
SPEND_BUDGET = (
    _NOW
    + """
local deposit, cost = tonumber(ARGV[1]), tonumber(ARGV[2])
local slot = math.floor(now / tonumber(ARGV[4]))
local oldest = slot - tonumber(ARGV[5])
if deposit > 0 then redis.call('HINCRBY', KEYS[1], slot, deposit) end
local slots = redis.call('HGETALL', KEYS[1])
local left = tonumber(ARGV[3])
for i = 1, #slots, 2 do
  if tonumber(slots[i]) <= oldest then redis.call('HDEL', KEYS[1], slots[i])
  else left = left + tonumber(slots[i + 1]) end
end
left = math.max(left, 0)
local granted = 0
if cost > 0 and left >= cost + tonumber(ARGV[7]) then
  redis.call('HINCRBY', KEYS[1], slot, -cost)
  granted, left = 1, left - cost
end
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return {granted, left}
"""
)

# KEYS: places. ARGV: most that may be taken by this caller, lease (microseconds), token, life of the key (ms).
# Returns 1 when a place was taken.
ENTER = (
    _NOW
    + """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return {0} end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {1}
"""
)

# KEYS: places. ARGV: token. Returns 1 when its lease was still there.
LEAVE = "return {redis.call('ZREM', KEYS[1], ARGV[1])}"
