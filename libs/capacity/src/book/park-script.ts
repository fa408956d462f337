import { redisScript } from './run-script.ts';

/**
 * Closes a pool for a time; a longer time that is set stays. Counts a refusal with it.
 *
 * KEYS: parked, book. ARGV: ms, refusals to count. Returns 1 when the pool was open before.
 */
export const parkScript = redisScript(`
local left = redis.call('PTTL', KEYS[1])
if left < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], '1', 'PX', ARGV[1]) end
if ARGV[2] ~= '0' then redis.call('HINCRBY', KEYS[2], 'refusals', ARGV[2]) end
return left < 0 and 1 or 0`);
