"""How calls are counted among nodes: one script, one key, one trip, by the server's own clock.

A window is cut into `PARTS`; a part leaves it whole, and late: calls wait up to a part longer than they must, and no
window ever holds one too many. So calls that come late, from a node that could not tell before, are counted where they
belong, and what is kept of a window does not grow with its calls.

Of a key that the server has just begun to count it may not know all: then a call needs room in its node's own share
as well.
"""

from collections.abc import Sequence
from typing import Final

from gateway.shared.protocol import Late, Window

PARTS: Final = 50

YOUNG_S: Final = 3.0
"""For so long after it began to count a key, the server does not know enough of it; nodes tell within a second."""

KEPT_S: Final = 86_400
"""A key that nobody calls is kept a day longer than its window, so that it is not young again each morning."""

SCRIPT: Final = """
local calls, reads, length, asks_read = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1'
local in_share, alone, parts = ARGV[5] == '1', ARGV[6] == '1', tonumber(ARGV[7])
local young, kept, asks = tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10] == '1'
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local width = math.ceil(length / parts)
local index = math.floor(now / width)

local function add(kind, at, count)
  if count > 0 then redis.call('HINCRBY', KEYS[1], kind .. string.format('%.0f', at), count) end
end

if redis.call('HSETNX', KEYS[1], 'born', string.format('%.0f', now)) == 0 then
  local born = tonumber(redis.call('HGET', KEYS[1], 'born'))
  alone = alone or (now - born < young)
else
  alone = true
end
for position = 11, #ARGV, 3 do
  local at = math.floor((now - tonumber(ARGV[position])) / width)
  if at >= index - parts then
    add('a', at, tonumber(ARGV[position + 1]))
    add('r', at, tonumber(ARGV[position + 2]))
  end
end
redis.call('EXPIRE', KEYS[1], math.ceil(length / 1000000) + kept)

local counts, sums = {a = {}, r = {}}, {a = 0, r = 0}
local fields = redis.call('HGETALL', KEYS[1])
for position = 1, #fields, 2 do
  local kind, at = string.sub(fields[position], 1, 1), tonumber(string.sub(fields[position], 2))
  if at then
    if at < index - parts or at > index + parts then
      redis.call('HDEL', KEYS[1], fields[position])
    else
      local count = tonumber(fields[position + 1])
      table.insert(counts[kind], {at, count})
      sums[kind] = sums[kind] + count
    end
  end
end

local function wait(kind, limit)
  local over = sums[kind] - limit + 1
  if over <= 0 then return 0 end
  table.sort(counts[kind], function(one, other) return one[1] < other[1] end)
  for _, part in ipairs(counts[kind]) do
    over = over - part[2]
    if over <= 0 then return math.max((part[1] + parts + 1) * width - now, 1) end
  end
  return length
end

local longest = wait('a', calls)
if asks_read then longest = math.max(longest, wait('r', reads)) end
if not asks or longest > 0 then return {0, math.ceil(longest)} end
if alone and not in_share then return {0, 0} end
add('a', index, 1)
if asks_read then add('r', index, 1) end
return {1, 0}
"""


def arguments(
    window: Window, *, is_read: bool, late: Sequence[Late], in_share: bool, alone: bool, asks: bool = True
) -> list[str]:
    """What the script is given; times in microseconds. Not `asks`: `late` is counted, and no turn taken."""
    words = [
        window.calls,
        window.reads,
        int(window.length_s * 1e6),
        int(is_read),
        int(in_share),
        int(alone),
        PARTS,
        int(YOUNG_S * 1e6),
        KEPT_S,
        int(asks),
    ]
    for one in late:
        words += [int(one.age_s * 1e6), one.calls, one.reads]
    return [str(word) for word in words]
