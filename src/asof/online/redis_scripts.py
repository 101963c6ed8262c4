"""The scripts that run inside Redis, each as one atomic step.

`applied` is a string: how many groups are loading (8 bytes), then a mark of 64 bytes a group (`remote.Mark`). A group's
rows are a hash, key to row. While a large change is folded in, it lies beside them in a hash of its own, whose values
have a flag before the row: ">" applies if it is newer, "=" in any case ("=" alone deletes).

Lua knows integers up to 2^53 and compares text by the server's locale, so versions are compared as numbers of 48 bits.
"""

from hashlib import sha1

_COMMON = """
local function newer(row, than)
  local a, b, c = struct.unpack('>I6I6I4', row)
  local x, y, z = struct.unpack('>I6I6I4', than)
  if a ~= x then return a > x end
  if b ~= y then return b > y end
  return c > z
end
local function winner(flagged, have)
  local row = string.sub(flagged, 2)
  if string.byte(flagged) == 61 then return row ~= '' and row end
  if not have or newer(row, have) then return row end
  return have
end
local function settle(rows, key, flagged)
  local have = redis.call('HGET', rows, key)
  local row = winner(flagged, have)
  if not row then redis.call('HDEL', rows, key)
  elseif row ~= have then redis.call('HSET', rows, key, row) end
end
local function settle_many(rows, pairs, first, last)
  for from = first, last, 4000 do
    local upto = math.min(from + 3999, last)
    local keys, sets, gone = {}, {}, {}
    for i = from, upto, 2 do keys[#keys + 1] = pairs[i] end
    local have = redis.call('HMGET', rows, unpack(keys))
    for i = 1, #keys do
      local row = winner(pairs[from + 2 * i - 1], have[i])
      if not row then gone[#gone + 1] = keys[i]
      elseif row ~= have[i] then
        sets[#sets + 1] = keys[i]
        sets[#sets + 1] = row
      end
    end
    if #sets > 0 then redis.call('HSET', rows, unpack(sets)) end
    if #gone > 0 then redis.call('HDEL', rows, unpack(gone)) end
  end
end
local function settle_loaded(rows, load, key)
  local flagged = redis.call('HGET', load, key)
  if flagged then
    settle(rows, key, flagged)
    redis.call('HDEL', load, key)
  end
end
local function applied()
  return redis.call('GET', KEYS[1]) or string.rep('\\0', 8)
end
local function place(marks, group)
  for at = 9, #marks, 64 do
    if string.sub(marks, at, at + 7) == group then return at end
  end
end
local function stamp(marks)
  local now = redis.call('TIME')
  local stamp = now[1] * 1000000 + now[2]
  for at = 9, #marks, 64 do
    stamp = math.max(stamp, struct.unpack('>I8', marks, at + 40) + 1)
  end
  return struct.pack('>I8', stamp)
end
local function count_loading(marks, more)
  return struct.pack('>I8', struct.unpack('>I8', marks) + more) .. string.sub(marks, 9)
end
local function put(marks, at, field, value)
  local first = at + field * 8
  return string.sub(marks, 1, first - 1) .. value .. string.sub(marks, first + 8)
end
"""

# KEYS: applied, the groups' rows, the groups' loads. ARGV: for each group how many keys, and these.
READ = """
local marks = applied()
local loading = struct.unpack('>I8', marks) > 0
local groups, out, at = (#KEYS - 1) / 2, {marks}, 1
for group = 2, groups + 1 do
  local last = at + ARGV[at]
  for first = at + 1, last, 4000 do
    local upto = math.min(first + 3999, last)
    local rows = redis.call('HMGET', KEYS[group], unpack(ARGV, first, upto))
    local loads = loading and redis.call('HMGET', KEYS[group + groups], unpack(ARGV, first, upto))
    for i = 1, #rows do
      local row = rows[i]
      if loads and loads[i] then row = winner(loads[i], row) end
      out[#out + 1] = row
    end
  end
  at = last + 1
end
return out
"""

# KEYS: applied, rows, loads, staged loads. ARGV: for each group its id, its mark as we know it (40 bytes, without
# stamps of changes), the new head of 32 bytes ("" leaves the group alone), whether it may put older rows, whether a
# load is staged, how many rows follow, and these: key, flagged row.
# Returns 1 and the marks; 0 and the marks if they are not as we know them: nothing is applied then.
APPLY = """
local marks = applied()
local groups, starts, at = (#KEYS - 1) / 3, {}, 1
for group = 1, groups do
  local mark = place(marks, ARGV[at])
  if (mark and string.sub(marks, mark, mark + 39) or '') ~= ARGV[at + 1] then return {0, marks} end
  if ARGV[at + 4] == '1' then
    local load, staged = KEYS[1 + group + groups], KEYS[1 + group + 2 * groups]
    if mark and redis.call('EXISTS', load) == 1 or redis.call('EXISTS', staged) == 0 then return {0, marks} end
  end
  starts[group] = at
  at = at + 6 + 2 * ARGV[at + 5]
end
local now = stamp(marks)
for group = 1, groups do if ARGV[starts[group] + 2] ~= '' then
  at = starts[group]
  local rows, load, staged = KEYS[1 + group], KEYS[1 + group + groups], KEYS[1 + group + 2 * groups]
  local mark = place(marks, ARGV[at])
  if not mark then
    redis.call('UNLINK', rows, load)
    mark = #marks + 1
    marks = marks .. ARGV[at + 2] .. now .. now .. now .. string.rep('\\0', 8)
  else
    marks = string.sub(marks, 1, mark - 1) .. ARGV[at + 2] .. string.sub(marks, mark + 32)
    marks = put(marks, mark, 5, now)
    if ARGV[at + 3] == '1' then marks = put(marks, mark, 6, now) end
  end
  local loading = struct.unpack('>I8', marks, mark + 56) == 1
  local first, last = at + 6, at + 5 + 2 * ARGV[at + 5]
  if loading then
    for i = first, last, 2 do settle_loaded(rows, load, ARGV[i]) end
  end
  settle_many(rows, ARGV, first, last)
  if ARGV[at + 4] == '1' then
    redis.call('RENAME', staged, load)
    redis.call('PERSIST', load)
    if not loading then
      marks = count_loading(put(marks, mark, 7, struct.pack('>I8', 1)), 1)
    end
  end
end end
redis.call('SET', KEYS[1], marks)
return {1, marks}
"""

# KEYS: applied, rows, load. ARGV: the group's id, a cursor, how many rows. Returns the next cursor; "" at the end.
FOLD = """
local page = redis.call('HSCAN', KEYS[3], ARGV[2], 'COUNT', ARGV[3])
settle_many(KEYS[2], page[2], 1, #page[2])
for first = 1, #page[2], 4000 do
  local keys = {}
  for i = first, math.min(first + 3999, #page[2]), 2 do keys[#keys + 1] = page[2][i] end
  redis.call('HDEL', KEYS[3], unpack(keys))
end
if redis.call('EXISTS', KEYS[3]) == 1 then return page[1] end
local marks = applied()
local mark = place(marks, ARGV[1])
if mark and struct.unpack('>I8', marks, mark + 56) == 1 then
  redis.call('SET', KEYS[1], count_loading(put(marks, mark, 7, string.rep('\\0', 8)), -1))
end
return ''
"""

# KEYS: applied, rows, load. ARGV: the group's id.
CLEAR = """
redis.call('UNLINK', KEYS[2], KEYS[3])
local marks = applied()
local mark = place(marks, ARGV[1])
if mark then
  if struct.unpack('>I8', marks, mark + 56) == 1 then marks = count_loading(marks, -1) end
  redis.call('SET', KEYS[1], string.sub(marks, 1, mark - 1) .. string.sub(marks, mark + 64))
end
return 1
"""

# KEYS: applied, rows, load. ARGV: the group's id, keys. Returns how many rows there were.
ERASE = """
local count = 0
for i = 2, #ARGV do
  settle_loaded(KEYS[2], KEYS[3], ARGV[i])
  count = count + redis.call('HDEL', KEYS[2], ARGV[i])
end
local marks = applied()
local mark = place(marks, ARGV[1])
if mark then
  local now = stamp(marks)
  redis.call('SET', KEYS[1], put(put(marks, mark, 5, now), mark, 6, now))
end
return count
"""

SCRIPTS = {
    name: _COMMON + body
    for name, body in (("read", READ), ("apply", APPLY), ("fold", FOLD), ("clear", CLEAR), ("erase", ERASE))
}
DIGESTS = {name: sha1(text.encode(), usedforsecurity=False).hexdigest() for name, text in SCRIPTS.items()}
