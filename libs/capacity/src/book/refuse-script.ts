import { bookLua } from './book-lua.ts';
import { redisScript } from './run-script.ts';

/**
 * Takes note of a call that a vendor refused although the book had let it go. The pool pauses, and afterwards begins at
 * the limit's rate without a burst. The account could take no more than we had sent by then: what we thought was left is
 * set aside, and a fiftieth of the limit with it, and comes back within a window. The refusals of one pause count once.
 *
 * KEYS: parked, book. ARGV: pause ms, window ms, burst ms, then for each dimension of the refused call: name, configured
 * limit, our use with this call. Without a booking no dimension is named.
 * Returns 1 when the pool was not paused before.
 */
export const refuseScript = redisScript(`${bookLua}
local pause, period, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = clock()
local left = redis.call('PTTL', KEYS[1])
if left < pause then redis.call('SET', KEYS[1], '1', 'PX', pause) end
redis.call('HINCRBY', KEYS[2], 'refusals', 1)
for i = 4, #ARGV, 3 do
  local text = redis.call('HGET', KEYS[2], ARGV[i])
  if text then
    local d = open(ARGV[i], text, ARGV[i + 1], now)
    if d.counting == 0 and left < 0 then
      d.outside = math.max(d.limit - tonumber(ARGV[i + 2]), fading(d, now, period)) + d.limit / 50
      d.outsideAt = now
    end
    d.tat = math.max(d.tat, now + pause + burst / 5)
    redis.call('HSET', KEYS[2], ARGV[i], close(d))
  end
end
return left < 0 and 1 or 0`);
