/**
 * Calls that are larger than a limit which headers told, but not than the configured one. Such a call waits, because the next
 * answer may name another limit; but not for ever. It is noted with its name, and when it has been larger for five minutes at every ask,
 * it is refused. An ask in which it fits forgets it, and so does a minute without one: nobody knows what was told meanwhile. A call for
 * which there is no place waits until another one has left the list.
 *
 * In the field `oversized` of a book (cmsgpack): a list of at most eight, each with `id`, `since` (first too large) and `till`
 * (forgotten then, unless it asks again).
 */
export const oversizedLua = `
local MOST_OVERSIZED, REFUSED_AFTER_MS, ASKS_WITHIN_MS = 8, 300000, 60000
local function openOversized(text, now)
  local alive = {}
  for _, each in ipairs(text and cmsgpack.unpack(text) or {}) do
    if each.till > now and each.till <= now + ASKS_WITHIN_MS then alive[#alive + 1] = each end
  end
  return alive
end
-- Forgets a call; false if it was not noted.
local function dropOversized(oversized, id)
  for i, each in ipairs(oversized) do
    if each.id == id then
      table.remove(oversized, i)
      return true
    end
  end
  return false
end
-- Notes that a call is too large; for how long it has been, in ms.
local function noteOversized(oversized, id, now)
  for _, each in ipairs(oversized) do
    if each.id == id then
      each.till = now + ASKS_WITHIN_MS
      return now - each.since
    end
  end
  if #oversized < MOST_OVERSIZED then
    oversized[#oversized + 1] = {id = id, since = now, till = now + ASKS_WITHIN_MS}
  end
  return 0
end
-- The field and its value, for HSET.
local function closeOversized(oversized) return 'oversized', cmsgpack.pack(oversized) end
`;
