import { bookLua } from './book-lua.ts';
import { othersLua } from './others-lua.ts';
import { redisScript } from './run-script.ts';
import { slowDownLua } from './slow-down-lua.ts';

/**
 * Reads a book without changing it.
 *
 * KEYS: book, window, leases, parked. ARGV: window ms, arrival spread ms, then for each dimension: name, configured limit.
 * Returns {parked ms or less than 0, calls under way, mean hold ms, refusals, 1 if in high use, share of the limits that may
 * be filled, then for each dimension: name, limit, used by us (booked ahead included), set aside for others}.
 */
export const readScript = redisScript(`${bookLua}${othersLua}${slowDownLua}
local book, window = KEYS[1], KEYS[2]
local period = tonumber(ARGV[1])
local span = period + tonumber(ARGV[2])
local now = clock()
local general = redis.call('HMGET', book, 'hold', 'refusals', 'hot', 'others', 'slow')
local others = openOthers(general[4])
local answer = {redis.call('PTTL', KEYS[4]), redis.call('ZCOUNT', KEYS[3], '(' .. now, '+inf'),
  tonumber(general[1]) or -1, tonumber(general[2]) or 0, general[3] and 1 or 0,
  tostring(shareAllowed(general[5], now, period))}
for i = 3, #ARGV, 2 do
  local d = open(ARGV[i], redis.call('HGET', book, ARGV[i]), ARGV[i + 1], now)
  local first = math.floor((now - span) / SLICE)
  if d.isNew or first > math.floor(d.last / SLICE) then d.sum = 0 end
  local fields = {}
  if d.sum > 0 then
    for k = d.head, first - 1 do fields[#fields + 1] = d.name .. k end
  end
  if #fields > 0 then
    for _, value in ipairs(redis.call('HMGET', window, unpack(fields))) do d.sum = d.sum - (tonumber(value) or 0) end
  end
  for _, value in ipairs({d.name, d.limit, d.sum, setAside(d, others, now, period)}) do answer[#answer + 1] = value end
end
return answer`);
