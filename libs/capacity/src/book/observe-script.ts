import { bookLua } from './book-lua.ts';
import { othersLua } from './others-lua.ts';
import { redisScript } from './run-script.ts';

/**
 * Corrects a book by what a vendor's answer said of its limits.
 *
 * A limit that differs from ours is adopted, until the configuration names another. What the vendor has counted and we
 * have not was sent by somebody else. Our part is that of the booking whose answer it is, as it stood when that call left,
 * so that calls under way since then are no riddle. Where the vendor counts a window, what others have sent since the answer
 * before is noted where it came ({@link othersLua}); that they have sent less than noted nobody believes on the word of one
 * answer: it runs out of the window. Where the vendor counts a bucket, the others' part goes into our bucket's debt,
 * once (later answers of calls that left before say the same again: `corrected` tells how much of it is known).
 *
 * KEYS: book. ARGV: window ms, instant of the call's departure (-1: now), then for each dimension: name, configured limit, 1 if headers may change it, vendor's limit, remaining,
 * our use (-1: all that is booked by now), our bucket's debt, corrected by as of the booking (-1 without one), `window`, `bucket` or ''
 * (not to be told by this answer), units within which an answer may be wrong.
 *
 * Returns for each limit that changed: name, from, to.
 */
export const observeScript = redisScript(`${bookLua}${othersLua}
local book = KEYS[1]
local now, period = clock(), tonumber(ARGV[1])
local at = tonumber(ARGV[2])
if at < 0 or at > now then at = now end
local names = {'others'}
for i = 3, #ARGV, 10 do names[#names + 1], names[#names + 2] = ARGV[i], 'seen' .. ARGV[i] end
local state = redis.call('HMGET', book, unpack(names))
local changes, fields, others, hasChanged = {}, {}, openOthers(state[1]), false
for i = 3, #ARGV, 10 do
  local place = 2 + (i - 3) / 5
  local text, seen = state[place], tonumber(state[place + 1]) or 0
  if text then
    local d = open(ARGV[i], text, ARGV[i + 1], now)
    local told, remaining, own = tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4]), tonumber(ARGV[i + 5])
    local debt, known, doubt = tonumber(ARGV[i + 6]), tonumber(ARGV[i + 7]), tonumber(ARGV[i + 9])
    if told > 0 and ARGV[i + 2] == '1' and told ~= d.limit then
      for _, value in ipairs({d.name, d.limit, told}) do changes[#changes + 1] = value end
      d.limit = told
    end
    if ARGV[i + 8] ~= '' then d.counting = ARGV[i + 8] == 'bucket' and 1 or 0 end
    local used = told - remaining
    if told > 0 and remaining >= 0 and d.counting == 0 then
      if own < 0 then own = d.sum end
      local theirs = used - own
      -- An account of which we may use a part only has room for others.
      theirs = theirs > doubt and math.max(0, theirs + doubt - math.max(0, told - d.limit)) or 0
      local o = others[d.name]
      if isYetToCome(seen, now, period) then seen, o = 0, nil end
      seen = math.min(seen, now)
      -- An answer of a call that left long before another's is of yesterday.
      if at > seen - period / 240 then
        local asOf = math.max(at, seen)
        if o and asOf - o.at > period then o = nil end
        local more = theirs - (o and heldByOthers(o, asOf, period) or 0)
        if o or more > 0 then
          others[d.name], hasChanged = noteOthers(o, more, seen, asOf, period), true
          if more <= 0 and heldByOthers(others[d.name], asOf, period) == 0 then others[d.name] = nil end
        end
        fields[#fields + 1], fields[#fields + 2] = 'seen' .. d.name, asOf
      end
    elseif told > 0 and remaining >= 0 and debt >= 0 then
      local theirs = used - debt - (d.corrected - known)
      if theirs > doubt then
        d.corrected = d.corrected + theirs
        d.tat = math.max(d.tat, now) + theirs * period / d.limit
      end
    end
    fields[#fields + 1], fields[#fields + 2] = d.name, close(d)
  end
end
if hasChanged and next(others) then
  fields[#fields + 1], fields[#fields + 2] = 'others', cmsgpack.pack(others)
elseif hasChanged then
  redis.call('HDEL', book, 'others')
end
if #fields > 0 then redis.call('HSET', book, unpack(fields)) end
return changes`);
