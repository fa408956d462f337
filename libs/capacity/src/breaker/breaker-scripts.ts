import { redisScript } from '../book/run-script.ts';

/**
 * A breaker's states and legal moves: closed → open (too many errors) → half-open (the time is over; one probe at a time)
 * → closed (enough probes succeed) or → open (one fails), each time for twice as long, up to a longest.
 *
 * In the hash: `state` (open or half; absent is closed), `until` (end of the open time), `openMs`, `probe` (end of the
 * probe's lease), `good` (probes that succeeded in a row), and for each slot of ten seconds `s<slot>` and `f<slot>`, calls
 * that succeeded and failed.
 */
const breakerLua = `
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local state, till, openMs, probe, good = unpack(redis.call('HMGET', key, 'state', 'until', 'openMs', 'probe', 'good'))
till, openMs, probe, good = tonumber(till) or 0, tonumber(openMs) or 0, tonumber(probe) or 0, tonumber(good) or 0
state = state or 'closed'
`;

/**
 * Whether a call may go. KEYS: breaker. ARGV: probe's lease ms. Guarantees that one probe is under way in the fleet.
 * Returns {answer, state, ms for which the answer `no` holds}.
 */
export const allowScript = redisScript(`${breakerLua}
if state == 'closed' then return {'yes', state, 0} end
if state == 'open' and now < till then return {'no', state, till - now} end
if now < probe then return {'no', 'half_open', math.min(probe - now, 250)} end
redis.call('HSET', key, 'state', 'half_open', 'probe', now + tonumber(ARGV[1]))
return {'probe', 'half_open', 0}`);

/**
 * Counts how a call ended. Ordinary calls count while the breaker is closed (those that end later left before it opened);
 * probes while it is half open.
 *
 * KEYS: breaker. ARGV: 1 if it went well, 1 if it was a probe, window ms, least calls, share of errors, first and longest
 * open time in ms, probes to close, further calls that went well. Returns {state, 1 if this call opened it from closed, calls, errors}.
 */
export const recordScript = redisScript(`${breakerLua}
local ok, isProbe, window = ARGV[1] == '1', ARGV[2] == '1', tonumber(ARGV[3])
local function open(ms)
  redis.call('DEL', key)
  redis.call('HSET', key, 'state', 'open', 'until', now + ms, 'openMs', ms)
  redis.call('PEXPIRE', key, window * 60)
end
if isProbe and state == 'half_open' then
  if not ok then
    open(math.min(openMs * 2, tonumber(ARGV[7])))
    return {'open', 0, 0, 0}
  end
  if good + 1 >= tonumber(ARGV[8]) then
    redis.call('DEL', key)
    return {'closed', 0, 0, 0}
  end
  redis.call('HSET', key, 'good', good + 1, 'probe', 0)
  return {state, 0, 0, 0}
end
if isProbe or state ~= 'closed' then return {state, 0, 0, 0} end

local length = window / 6
local slot = math.floor(now / length)
local well = (ok and 1 or 0) + tonumber(ARGV[9])
if well > 0 then redis.call('HINCRBY', key, 's' .. slot, well) end
if not ok then redis.call('HINCRBY', key, 'f' .. slot, 1) end
redis.call('PEXPIRE', key, window * 2)
if ok then return {state, 0, 0, 0} end
local fields = {}
for each = slot - 5, slot do
  fields[#fields + 1] = 's' .. each
  fields[#fields + 1] = 'f' .. each
end
local counts, calls, errors = redis.call('HMGET', key, unpack(fields)), 0, 0
for i = 1, 12 do
  calls = calls + (tonumber(counts[i]) or 0)
  if i % 2 == 0 then errors = errors + (tonumber(counts[i]) or 0) end
end
if calls < tonumber(ARGV[4]) or errors <= calls * tonumber(ARGV[5]) then return {state, 0, calls, errors} end
open(tonumber(ARGV[6]))
return {'open', 1, calls, errors}`);

/** Makes room for another probe at once, because one says nothing. KEYS: breaker. */
export const releaseScript = redisScript(`${breakerLua}
if state == 'half_open' then redis.call('HSET', key, 'probe', 0) end
return 1`);

/** Reads the state. KEYS: breaker. Returns {state, ms until a probe may go}. */
export const stateScript = redisScript(`${breakerLua}
if state == 'open' and now >= till then state = 'half_open' end
return {state, math.max(0, till - now)}`);
