import type { Redis } from 'ioredis';

/**
 * Appends text to a job's live stream and announces it, in one step. The entry's id is a position `sequence-delta`, one
 * after the highest of: the last entry, and the position the caller gives (which keeps ids growing when Redis has lost
 * the stream). KEYS: stream. ARGV: sequence, delta, payload, time to live in ms, channel. Returns the id.
 */
const APPEND_DELTA = `
local sequence, delta = tonumber(ARGV[1]), tonumber(ARGV[2])
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if last[1] then
  local s, d = string.match(last[1][1], '(%d+)-(%d+)')
  s, d = tonumber(s), tonumber(d)
  if s > sequence or (s == sequence and d > delta) then sequence, delta = s, d end
end
local id = string.format('%d-%d', sequence, delta + 1)
redis.call('XADD', KEYS[1], id, 'd', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PUBLISH', ARGV[5], id .. ' ' .. ARGV[3])
return id`;

/**
 * Puts the mark of a lifecycle event into a job's stream, after which no delta can get an earlier position. Only where
 * there is a stream already, unless forced (a reader is about to read past it). KEYS: stream. ARGV: sequence, payload,
 * time to live in ms, channel, "1" to force. A payload of "" is not announced.
 */
const MARK_EVENT = `
if ARGV[5] == '1' or redis.call('EXISTS', KEYS[1]) == 1 then
  local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
  local top = last[1] and tonumber(string.match(last[1][1], '(%d+)-')) or 0
  if top < tonumber(ARGV[1]) then redis.call('XADD', KEYS[1], ARGV[1] .. '-0', 'e', '') end
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
if ARGV[2] ~= '' then redis.call('PUBLISH', ARGV[4], ARGV[1] .. '-0 ' .. ARGV[2]) end`;

/** A connection that knows the scripts of the live streams. */
export type LiveRedis = Redis & {
  millraceAppendDelta(
    stream: string,
    sequence: number,
    delta: number,
    payload: string,
    ttlMs: number,
    channel: string,
  ): Promise<string>;
  millraceMarkEvent(
    stream: string,
    sequence: number,
    payload: string,
    ttlMs: number,
    channel: string,
    force: '0' | '1',
  ): Promise<null>;
};

/** Teaches a connection the scripts; ioredis sends a script's text once per server and its hash afterwards. */
export function withLiveScripts(redis: Redis): LiveRedis {
  redis.defineCommand('millraceAppendDelta', { numberOfKeys: 1, lua: APPEND_DELTA });
  redis.defineCommand('millraceMarkEvent', { numberOfKeys: 1, lua: MARK_EVENT });
  return redis as LiveRedis;
}
