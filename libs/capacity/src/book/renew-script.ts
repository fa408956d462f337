import { bookLua } from './book-lua.ts';
import { redisScript } from './run-script.ts';

/**
 * Carries the leases of calls under way on, and drops those that nobody carries on. One that has run out already is taken up again: its call goes on, whatever
 * the book thinks of it.
 *
 * KEYS: leases. ARGV: lease ms, then booking ids. Only calls that its owner still has open may be named.
 */
export const renewScript = redisScript(`${bookLua}
local now = clock()
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], 'GT', now + tonumber(ARGV[1]), ARGV[i]) end
return #ARGV - 1`);
