import { redisScript } from './run-script.ts';

/**
 * Closes a pool for a time; a longer time that is set stays.
 *
 * KEYS: parked. ARGV: ms.
 */
export const parkScript = redisScript(`
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], '1', 'PX', ARGV[1]) end
return 1`);
