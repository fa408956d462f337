/**
 * What the scripts of the book have in common: the fleet's clock, and how a dimension is kept in the book. A dimension is
 * one field of doubles, because a script spends its time in commands and in turning numbers into text. Its parts:
 *
 * - `sum`: what the slices from `head` on hold; `head`: the first slice that still counts
 * - `last`: the instant of the last booking; no slice lies behind it
 * - `tat`: when the bucket will be full (the theoretical arrival time of GCRA)
 * - `limit`, `base`: a limit that headers told, and the configured limit that it replaces (another one ends it, and so do ten
 *   minutes in which nothing left: what nobody confirms must not keep calls from leaving for ever)
 * - `outside`, `outsideAt`: what a refusal made us set aside, and when; it fades within a window
 * - `corrected`: what was added to the bucket's debt for others, in all
 * - `counting`: how the vendor counts, 0 for a window, 1 for a bucket
 *
 * The clock may go back. A call books 10 s ahead at most, or a twelfth of a window, so a departure that is further ahead
 * tells of it: then the book is as good as lost, and begins anew. By less, all wait until it has caught up.
 */
export const bookLua = `
local SLICE, FORGET_MS = 50, 600000
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
-- What was noted as of an instant further ahead is of a clock that has gone back since.
local function furthest(now, period) return now + 20000 + period / 12 end
-- A dimension from its field.
local function open(name, field, configured, now)
  local d = {name = name, configured = tonumber(configured), isNew = not field}
  if not field then
    d.limit, d.sum, d.last, d.tat, d.outside, d.outsideAt, d.corrected, d.counting = d.configured, 0, now, now, 0, now, 0, 0
    return d
  end
  local base
  d.sum, d.head, d.last, d.tat, d.limit, base, d.outside, d.outsideAt, d.corrected, d.counting =
    struct.unpack('<dddddddddd', field)
  if base ~= d.configured or now - d.last > FORGET_MS then d.limit = d.configured end
  return d
end
local function close(d)
  return struct.pack('<dddddddddd', d.sum, d.head, d.last, d.tat, d.limit, d.configured, d.outside, d.outsideAt, d.corrected,
    d.counting)
end
-- What is left of what a refusal made us set aside.
local function fading(d, now, period)
  if d.outside == 0 or d.outsideAt > furthest(now, period) then return 0 end
  return d.outside * math.max(0, 1 - math.max(0, now - d.outsideAt) / period)
end
`;
