import type { Redis } from 'ioredis';

/** A clock that a test moves, in ms. */
export interface TestClock {
  now: number;
}

/**
 * A Redis whose scripts read a test's clock instead of its own, so that minutes pass at once and time can go back. What
 * expires for the scripts (`SET … PX`, `PTTL`) does so by that clock, too.
 */
export function withClock(redis: Redis, clock: TestClock, key: string): Redis {
  const prelude = `local real, now = redis, tonumber(redis.call('GET', '${key}'))
    local redis = {call = function(command, key, ...)
      if command == 'TIME' then return {math.floor(now / 1000), now % 1000 * 1000} end
      if command == 'SET' then return real.call('SET', key, now + select(3, ...)) end
      if command == 'PEXPIRE' then return 1 end
      if command ~= 'PTTL' then return real.call(command, key, ...) end
      local left = (tonumber(real.call('GET', key)) or 0) - now
      if left <= 0 then real.call('DEL', key) end
      return left > 0 and left or -2
    end}\n`;
  const replaced: Record<string, unknown> = {
    evalsha: () => Promise.reject(new Error('NOSCRIPT of this clock')),
    eval: async (lua: string, ...parameters: [number, ...(string | number)[]]) => {
      const [, answer] = await Promise.all([
        redis.set(key, Math.floor(clock.now)),
        redis.eval(prelude + lua, ...parameters),
      ]);
      return answer;
    },
    pttl: async (name: string) => Math.max(-2, Number(await redis.get(name)) - clock.now),
  };
  return new Proxy(redis, {
    get(target, name) {
      const value: unknown = replaced[String(name)] ?? Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
