import { redisScript } from '../book/run-script.ts';

const clock = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`;

/**
 * Keeps a worker among the living. KEYS: fleet. ARGV: worker id, its sign (JSON), expiry of the key in ms. The sign is kept
 * behind the server's clock, so that no clock of a worker matters.
 */
export const announceScript = redisScript(`${clock}
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', now) .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1`);

/** The signs of those who live; the dead are removed. KEYS: fleet. ARGV: ms after which a silent worker counts as dead. */
export const listScript = redisScript(`${clock}
local signs = {}
local entries = redis.call('HGETALL', KEYS[1])
for i = 1, #entries, 2 do
  local at, sign = string.match(entries[i + 1], '^(%d+) (.*)$')
  if at and now - tonumber(at) <= tonumber(ARGV[1]) then
    signs[#signs + 1] = sign
  else
    redis.call('HDEL', KEYS[1], entries[i])
  end
end
return signs`);
