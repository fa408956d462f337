/**
 * The limits that headers told, as calls met them that were larger than those, but not than the configured ones. Such a call waits,
 * because the next answer may name another limit; but not for ever: one that is larger than all that was told for five minutes is
 * refused. What is remembered is of the dimension and not of a call, so a thousand such calls need no more than one.
 *
 * In the field `oversized` of a book (cmsgpack), by dimension: `most`, the highest limit that any call met since `since`; `before`, the
 * same of the five minutes before that, absent at first; `till`, after which nothing is known (renewed by each call that is too large).
 */
export const oversizedLua = `
local TOLD_FOR_MS, TOLD_UNTIL_MS = 300000, 900000
local function openOversized(text, now)
  local alive = {}
  for name, each in pairs(text and cmsgpack.unpack(text) or {}) do
    if each.since <= now and each.till > now then alive[name] = each end
  end
  return alive
end
-- Notes the limit that a call meets where one was too large lately; false if that is nothing new.
local function noteToldLimit(oversized, d)
  local told = oversized[d.name]
  if not told or d.limit <= told.most then return false end
  told.most = d.limit
  return true
end
-- Notes that a call is too large; true if it was for all that was told in the last five minutes.
local function isOversizedForLong(oversized, d, now)
  local told = oversized[d.name] or {since = now, most = d.limit}
  if now - told.since >= TOLD_FOR_MS then told.before, told.since, told.most = told.most, now, d.limit end
  told.till = now + TOLD_UNTIL_MS
  oversized[d.name] = told
  return told.before ~= nil and d.amount > math.max(told.before, told.most)
end
-- The field and its value, for HSET.
local function closeOversized(oversized) return 'oversized', cmsgpack.pack(oversized) end
`;
