/**
 * Large calls for which small ones leave no room. A call that is put off for its size is noted with its name; when it has
 * been for a window, others leave it three quarters of what runs out until it has room (`saved`), one such call at a time.
 * What is saved stays unused for a while, so after one has left the next waits the longer the larger it was, which bounds
 * how much of a limit that costs.
 *
 * In the field `large` of a book (cmsgpack): `after`, before which nobody saves; `list` of at most eight, the oldest calls
 * first come, each with `id`, `born` (since when the call exists), `since` (first put off), `till` (forgotten then, unless it
 * asks again), `want` and `saved` by dimension, `saving`.
 */
export const waitersLua = `
local MOST_WAITERS, SAVED_PER_UNIT, GRACE_MS = 8, 3, 15000
local function openWaiters(text, id, now, period)
  local w = text and cmsgpack.unpack(text) or {after = 0, list = {}}
  local alive = {}
  for _, each in ipairs(w.list) do
    if each.till > now then
      alive[#alive + 1] = each
      if each.id == id then w.mine = each end
      if each.saving then w.saver = each end
    end
  end
  w.list = alive
  if w.saver or now < w.after then return w end
  for _, each in ipairs(alive) do
    if now - each.since >= period and (not w.saver or each.born < w.saver.born) then w.saver = each end
  end
  if w.saver then w.saver.saving = true end
  return w
end
local function closeWaiters(w)
  return cmsgpack.pack({after = w.after, list = w.list})
end
-- Notes a call that was put off; where there is no place left, one that exists for longer takes the youngest's.
local function noteWaiter(w, id, born, now, forMs, want)
  local mine = w.mine
  if not mine then
    mine = {id = id, born = born, since = now, saved = {}}
    local at = #w.list + 1
    if at > MOST_WAITERS then
      at = nil
      for i, each in ipairs(w.list) do
        if not each.saving and each.born > born and (not at or each.born > w.list[at].born) then at = i end
      end
    end
    if not at then return end
    w.list[at] = mine
  end
  mine.want, mine.till = want, now + forMs + GRACE_MS
end
-- Forgets a call that leaves.
local function dropWaiter(w, now, period, share)
  for i, each in ipairs(w.list) do
    if each == w.mine then table.remove(w.list, i) break end
  end
  if w.mine.saving then w.after = now + math.min(50 * share * share, 5) * period end
end
`;
