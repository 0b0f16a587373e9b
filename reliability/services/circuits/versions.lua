-- What a process compares with what it knows: generation, version and settings version of each hash in KEYS.
local found = {}
for place, key in ipairs(KEYS) do
  local values = redis.call('HMGET', key, 'gen', 'ver', 'cfg')
  found[place] = (values[1] or '') .. ' ' .. (values[2] or '') .. ' ' .. (values[3] or '')
end
return found
