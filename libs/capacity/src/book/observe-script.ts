import { bookLua } from './book-lua.ts';
import { redisScript } from './run-script.ts';

/**
 * Corrects a book by what a vendor's answer said of its limits.
 *
 * A limit that differs from ours is adopted, until the configuration names another. What the vendor has counted and we
 * have not was sent by somebody else. Our part is that of the booking whose answer it is, as it stood when that call left,
 * so that calls under way since then are no riddle. Where the vendor counts a window, the others' part is set aside for
 * the next minute, less from second to second; a larger one replaces it, a smaller one never does, so that nothing is
 * handed out on the word of one answer. Where the vendor counts a bucket, the others' part goes into our bucket's debt,
 * once (later answers of calls that left before say the same again: `corrected` tells how much of it is known).
 *
 * KEYS: book. ARGV: window ms, then for each dimension: name, configured limit, 1 if headers may change it, vendor's limit, remaining,
 * our use (-1: all that is booked by now), our bucket's debt, corrected by as of the booking (-1 without one), `window`, `bucket` or ''
 * (not to be told by this answer), units within which an answer may be wrong.
 *
 * Returns for each limit that changed: name, from, to.
 */
export const observeScript = redisScript(`${bookLua}
local book = KEYS[1]
local now, period = clock(), tonumber(ARGV[1])
local changes, fields = {}, {}
for i = 2, #ARGV, 10 do
  local text = redis.call('HGET', book, ARGV[i])
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
      local others = used - own
      if others > doubt then
        -- An account of which we may use a part only has room for others.
        others = others + doubt - math.max(0, told - d.limit)
        if others > 0 and others >= outsideOf(d, now, period) then d.outside, d.outsideAt = others, now end
      end
    elseif told > 0 and remaining >= 0 and debt >= 0 then
      local others = used - debt - (d.corrected - known)
      if others > doubt then
        d.corrected = d.corrected + others
        d.tat = math.max(d.tat, now) + others * period / d.limit
      end
    end
    fields[#fields + 1], fields[#fields + 2] = d.name, close(d)
  end
end
if #fields > 0 then redis.call('HSET', book, unpack(fields)) end
return changes`);
