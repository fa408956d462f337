import type { Redis } from 'ioredis';

/**
 * Appends text to a job's live stream and announces it, in one step. The entry's id is a position `sequence-delta`, after
 * the last entry and after the position that the caller gives.
 *
 * Ids must go on growing when Redis has lost the stream, although nobody knows then which were given. So `delta` is at
 * least the job's age in quarters of a millisecond, and a second more in a stream that has no text: text that came in
 * bursts may have been ahead of the clock. (This holds for 62 hours and below 4,000 pieces a second in a job.) A missing stream is only begun by a caller who has asked the ledger
 * where the record stands (else a watcher may already be further than the position given).
 *
 * The time to live is looked at now and then; that of an ended stream is left as it is.
 *
 * KEYS: stream. ARGV: sequence, delta, payload, channel, the job's creation in ms since 1970, time to live of an open and
 * of an ended stream in ms, "1" to begin a missing stream. Announces `<id> <id of the entry before> <payload>`. Returns
 * the id, or nil when the stream is missing.
 */
const APPEND_DELTA = `
local sequence, delta = tonumber(ARGV[1]), tonumber(ARGV[2])
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if not last and ARGV[8] ~= '1' then return false end
local previous = '0-0'
if last then
  previous = last[1]
  local s, d = string.match(previous, '(%d+)-(%d+)')
  s, d = tonumber(s), tonumber(d)
  if s > sequence or (s == sequence and d > delta) then sequence, delta = s, d end
end
local time = redis.call('TIME')
local age = math.floor((time[1] * 1000 + time[2] / 1000 - tonumber(ARGV[5])) * 4)
if not last or (last[2][1] == 'e' and redis.call('XLEN', KEYS[1]) == 1) then age = age + 4000 end
delta = math.max(delta + 1, math.min(age, 900000000))
local id = string.format('%d-%d', sequence, delta)
redis.call('XADD', KEYS[1], id, 'd', ARGV[3])
if not last or delta % 32 == 0 then
  local ttl, open, ended = redis.call('PTTL', KEYS[1]), tonumber(ARGV[6]), tonumber(ARGV[7])
  if ttl < 0 or (ttl > ended and ttl < open / 2) then redis.call('PEXPIRE', KEYS[1], open) end
end
redis.call('PUBLISH', ARGV[4], id .. ' ' .. previous .. ' ' .. ARGV[3])
return id`;

/**
 * Puts the mark of a lifecycle event into a job's stream, after which no delta can get an earlier position. Only where
 * there is a stream already, unless forced (a reader is about to read past it).
 * Of marks with no text between them only the last is kept, and a stream that has none but marks goes with the job's end:
 * even a single entry takes some 5 kB.
 *
 * KEYS: stream. ARGV: sequence, payload, time to live in ms, channel, "1" to force, "1" if the job ends with this (else
 * the time to live only counts for a stream that is new). Announces `<id> <id of the entry before> <payload>`, with `-`
 * for the entry before when this call put no mark: then a watcher cannot know what lies between. A payload of "" is not
 * announced.
 */
const MARK_EVENT = `
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local previous = '-'
if last or ARGV[5] == '1' then
  local top = last and tonumber(string.match(last[1], '(%d+)-')) or 0
  if top < tonumber(ARGV[1]) then
    redis.call('XADD', KEYS[1], ARGV[1] .. '-0', 'e', '')
    previous = last and last[1] or '0-0'
    if last and last[2][1] == 'e' then redis.call('XDEL', KEYS[1], previous) end
  end
  local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
  if ARGV[6] == '1' and first[2][1] == 'e' and redis.call('XLEN', KEYS[1]) == 1 then
    redis.call('DEL', KEYS[1])
  elseif ARGV[6] == '1' or redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
end
if ARGV[2] ~= '' then redis.call('PUBLISH', ARGV[4], ARGV[1] .. '-0 ' .. previous .. ' ' .. ARGV[2]) end`;

/** A stream that nobody ends is kept for a day; after the job's end for an hour. */
export const openStreamTtlMs = 86_400_000;
export const endedStreamTtlMs = 3_600_000;

/** A connection that knows the scripts of the live streams. */
export type LiveRedis = Redis & {
  millraceAppendDelta(
    stream: string,
    sequence: number,
    delta: number,
    payload: string,
    channel: string,
    createdAt: number,
    openTtlMs: number,
    endedTtlMs: number,
    begin: '0' | '1',
  ): Promise<string | null>;
  millraceMarkEvent(
    stream: string,
    sequence: number,
    payload: string,
    ttlMs: number,
    channel: string,
    force: '0' | '1',
    ends: '0' | '1',
  ): Promise<null>;
};

/** Teaches a connection the scripts; ioredis sends a script's text once per server and its hash afterwards. */
export function withLiveScripts(redis: Redis): LiveRedis {
  redis.defineCommand('millraceAppendDelta', { numberOfKeys: 1, lua: APPEND_DELTA });
  redis.defineCommand('millraceMarkEvent', { numberOfKeys: 1, lua: MARK_EVENT });
  return redis as LiveRedis;
}
