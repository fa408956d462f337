import { redisScript } from '../book/run-script.ts';

/**
 * Counts one answer's length in a histogram. When it holds as many as it may, all counts are halved: old answers fade by
 * new ones, not by time, so that what runs once a day is remembered as well as what runs every second.
 *
 * A kind that is hardly known is forgotten soon, because clients make up kinds.
 *
 * KEYS: histogram (hash of bucket → answers, and `n`). ARGV: bucket, answers held before halving, time to live in ms, the
 * shorter one while there are too few answers to count, and how many are enough.
 */
export const recordOutputScript = redisScript(`
redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
local n = redis.call('HINCRBY', KEYS[1], 'n', 1)
if n >= tonumber(ARGV[2]) then
  local all, sum = redis.call('HGETALL', KEYS[1]), 0
  for i = 1, #all, 2 do
    if all[i] ~= 'n' then
      local half = math.floor(tonumber(all[i + 1]) / 2)
      sum = sum + half
      if half == 0 then redis.call('HDEL', KEYS[1], all[i]) else redis.call('HSET', KEYS[1], all[i], half) end
    end
  end
  redis.call('HSET', KEYS[1], 'n', sum)
end
redis.call('PEXPIRE', KEYS[1], n < tonumber(ARGV[5]) and ARGV[4] or ARGV[3])
return n`);
