import { bookLua } from './book-lua.ts';
import { redisScript } from './run-script.ts';
import { slowDownLua } from './slow-down-lua.ts';

/**
 * Takes note of a call that a vendor refused although the book had let it go. The pool pauses, and afterwards begins at
 * the limit's rate without a burst. The account could take no more than we had sent by then: what we thought was left is
 * set aside, and a fiftieth of the limit with it, and comes back within a window. The refusals of one pause count once.
 * Where the vendor asks to slow down, a share of the limits is given up besides ({@link slowDownLua}).
 *
 * KEYS: parked, book. ARGV: pause ms, window ms, burst ms, instant of the call's departure if it was asked to slow down (else
 * -1), then for each dimension of the refused call: name, configured limit, our use with this call. Without a booking no
 * dimension is named.
 * Returns 1 when the pool was not paused before.
 */
export const refuseScript = redisScript(`${bookLua}${slowDownLua}
local pause, period, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = clock()
local left = redis.call('PTTL', KEYS[1])
if left < pause then redis.call('SET', KEYS[1], '1', 'PX', pause) end
redis.call('HINCRBY', KEYS[2], 'refusals', 1)
if tonumber(ARGV[4]) >= 0 then
  local slow = slowDown(redis.call('HGET', KEYS[2], 'slow'), tonumber(ARGV[4]), now, period)
  if slow then redis.call('HSET', KEYS[2], 'slow', slow) end
end
for i = 5, #ARGV, 3 do
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
