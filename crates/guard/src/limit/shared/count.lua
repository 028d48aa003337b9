-- The leaky buckets of one subject, decided and written as one step (GCRA, as in limiter.rs).
--
-- KEYS: the subject's counters, and behind them, where a guess is meant, how many guesses are undecided.
-- ARGV: 1 what to do (charge, refund), 2 how many, 3 the moment or 0 for this server's, 4 how many windows,
--       5 whether a guess is meant (1) or not (0), then per counter and window: interval and depth.
-- All times are microseconds; moments count from 2026, so that a double holds them exactly.
-- Answers: 1 or 0, the wait, the undecided guesses, then of each window what is left and when it is whole again.

-- What doubles round away: a bucket that is full to the brim is not over it.
local TOLERANCE = 1
-- No bucket takes so long to empty: whatever says so was not written here.
local LONGEST = 3000000000000
-- Who begins a guess and is never heard of again is forgotten after so many milliseconds.
local UNDECIDED_KEPT = 40000

local what, count, now = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local windows, is_guess = tonumber(ARGV[4]), ARGV[5] == '1'
if now == 0 then
  local time = redis.call('TIME')
  now = (tonumber(time[1]) - 1767225600) * 1000000 + tonumber(time[2])
end
local counters = #KEYS
if is_guess then
  counters = counters - 1
end

local function setting(counter, window)
  local at = 5 + ((counter - 1) * windows + window - 1) * 2
  return tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
end

-- Whatever else somebody left under this name counts as nothing; nobody owes more than a full bucket.
local function read(counter)
  local kept = redis.pcall('GET', KEYS[counter])
  local row, window = {}, 0
  if type(kept) == 'string' then
    for number in string.gmatch(kept, '%S+') do
      window = window + 1
      row[window] = tonumber(number)
    end
  end
  for each = 1, windows do
    local _, depth = setting(counter, each)
    local empty = row[each]
    if not empty or not (empty > now) or empty - now > LONGEST then
      empty = now
    end
    row[each] = math.min(empty, now + depth)
  end
  return row, window > 0
end

local function write(counter, row)
  local longest, text = 0, {}
  for each = 1, windows do
    longest = math.max(longest, row[each] - now)
    text[each] = string.format('%.3f', row[each])
  end
  if longest <= 0 then
    redis.call('DEL', KEYS[counter])
  else
    redis.call('SET', KEYS[counter], table.concat(text, ' '), 'PX', math.ceil(longest / 1000) + 1)
  end
end

local before, after, is_kept, wait = {}, {}, {}, 0
for counter = 1, counters do
  before[counter], is_kept[counter] = read(counter)
  after[counter] = {}
  for window = 1, windows do
    local interval, depth = setting(counter, window)
    local empty = before[counter][window]
    if what == 'refund' then
      after[counter][window] = math.max(empty - interval * count, now)
    else
      after[counter][window] = empty + interval * count
      wait = math.max(wait, after[counter][window] - now - depth)
    end
  end
end

local passes = wait <= TOLERANCE
local shown = before
if passes then
  shown = after
  for counter = 1, counters do
    -- What was forgotten meanwhile stays forgotten.
    if what ~= 'refund' or is_kept[counter] then
      write(counter, after[counter])
    end
  end
end

local undecided = 0
if is_guess then
  local name = KEYS[#KEYS]
  undecided = tonumber(redis.pcall('GET', name)) or 0
  if what == 'refund' then
    if undecided > 1 then
      redis.call('SET', name, undecided - 1, 'PX', UNDECIDED_KEPT)
    else
      redis.call('DEL', name)
    end
  elseif passes then
    redis.call('SET', name, undecided + 1, 'PX', UNDECIDED_KEPT)
  end
end

local answer = { passes and 1 or 0, math.ceil(math.max(wait, 0)), undecided }
for window = 1, windows do
  local left, whole = math.huge, 0
  for counter = 1, counters do
    local interval, depth = setting(counter, window)
    local debt = shown[counter][window] - now
    left = math.min(left, math.floor((depth - debt + TOLERANCE) / interval))
    whole = math.max(whole, debt)
  end
  answer[#answer + 1] = math.max(left, 0)
  answer[#answer + 1] = math.ceil(whole)
end
return answer
