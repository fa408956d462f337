/**
 * Whose turn it is when a full pool has room again. A call that was put off because the pool is full has been handed out already;
 * when the pool opens it is taken once more beside others, and whoever asks first would get the only room there is. So it is noted
 * with its place in the order of the pool, and until half a second before the room is there at the latest, nobody of a later place
 * books before it: bookings are made a second ahead, so that none is lost by that.
 *
 * In the field `turns` of a book (cmsgpack): a list of at most eight, those of the foremost places, each with `id`, `place` and
 * `till`, after which it is not waited for any more.
 */
export const turnsLua = `
local MOST_TURNS, TURN_ENDS_MS, LONGEST_TURN_MS, LOOK_AGAIN_MS = 8, 500, 5500, 100
local function openTurns(text, now)
  local alive = {}
  for _, each in ipairs(text and cmsgpack.unpack(text) or {}) do
    if each.till > now and each.till <= now + LONGEST_TURN_MS then alive[#alive + 1] = each end
  end
  return alive
end
local function isTurnOfAnother(turns, id, place)
  for _, each in ipairs(turns) do
    if each.id ~= id and each.place < place then return true end
  end
  return false
end
-- Forgets a call's turn; false if it had none.
local function dropTurn(turns, id)
  for i, each in ipairs(turns) do
    if each.id == id then
      table.remove(turns, i)
      return true
    end
  end
  return false
end
-- Notes the turn of a call that could leave at an instant.
local function noteTurn(turns, id, place, now, at)
  dropTurn(turns, id)
  turns[#turns + 1] = {id = id, place = place, till = math.min(at - TURN_ENDS_MS, now + LONGEST_TURN_MS)}
  if #turns <= MOST_TURNS then return end
  local last = 1
  for i, each in ipairs(turns) do
    if each.place > turns[last].place then last = i end
  end
  table.remove(turns, last)
end
-- The field and its value, for HSET.
local function closeTurns(turns) return 'turns', cmsgpack.pack(turns) end
`;
