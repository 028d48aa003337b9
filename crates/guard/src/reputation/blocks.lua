-- The blocks that nodes have in common: one value, a line for each address.
--
-- KEYS: the value. ARGV: 1 what to do.
--   read: 2 the version that is known. Answers the version, and the whole value where it is another one.
--   put:  2 the name of the address, 3 for how many milliseconds it is kept, 4 the block, sealed. Answers 1, or 0 where
--         there is no room. What was there under the name is gone.
--   clear: 2 the version that is known. Takes the value away and answers 1, or 0 where it is another one by now.
-- A value begins with its version; a line is name, end (milliseconds of this server's clock) and block, in hexadecimal
-- digits. What has ended is dropped with the next line that is written, and the value goes with the last of its lines.

local LINES_MAX = 1000
-- No block is longer, and nothing larger was written here.
local LONGEST = 86400000
local BYTES_MAX = 2097152

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local value = redis.pcall('GET', KEYS[1])
if type(value) ~= 'string' or #value > BYTES_MAX then
  value = ''
end

if ARGV[1] == 'read' then
  local version = string.match(value, '^(%d+)\n') or ''
  -- What has no version was not written here, and is shown.
  if version == ARGV[2] and (version ~= '' or value == '') then
    return {version}
  end
  return {version, value}
end

if ARGV[1] == 'clear' then
  if (string.match(value, '^(%d+)\n') or '') ~= ARGV[2] then
    return 0
  end
  redis.call('DEL', KEYS[1])
  return 1
end

local name, kept = ARGV[2], math.min(tonumber(ARGV[3]), LONGEST)
local lines, latest = {}, now + kept
for known, ends, block in string.gmatch(value, '(%x+) (%d+) (%x+)\n') do
  local moment = tonumber(ends)
  if known ~= name and moment > now and moment <= now + LONGEST then
    lines[#lines + 1] = known .. ' ' .. ends .. ' ' .. block .. '\n'
    latest = math.max(latest, moment)
  end
end
if kept < 1 or #lines >= LINES_MAX then
  return 0
end
lines[#lines + 1] = name .. ' ' .. string.format('%.0f', now + kept) .. ' ' .. ARGV[4] .. '\n'
-- The moment is a version that no later value has, also after everything was forgotten.
local version = string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2]))
redis.call('SET', KEYS[1], version .. '\n' .. table.concat(lines), 'PX', string.format('%.0f', latest - now))
return 1
