/**
 * What a vendor wants that asks to slow down (OpenAI's 503 after a steep ramp: back to the rate before, hold it for 15
 * minutes, then raise it gradually). In the field `slow` of a book: the share of the limits that may be filled, and since when.
 * It holds for fifteen windows and is given back evenly over fifteen more. Asked again by a call that left after the cut,
 * the share is halved again, to an eighth: nobody says how low the rate has to be.
 */
export const slowDownLua = `
local HOLD_WINDOWS, LEAST_SHARE = 15, 1 / 8
local function openSlowDown(text)
  if not text then return 1, nil end
  return struct.unpack('<dd', text)
end
-- The share of what others leave of each limit that may be filled now.
local function shareAllowed(text, now, period)
  local share, since = openSlowDown(text)
  if not since then return 1 end
  local hold = HOLD_WINDOWS * period
  return math.min(1, share + (1 - share) * math.max(0, now - since - hold) / hold)
end
-- The field after a call that left at an instant was asked to slow down; nil if that was known before.
local function slowDown(text, departed, now, period)
  local _, since = openSlowDown(text)
  if since and departed <= since then return nil end
  return struct.pack('<dd', math.max(LEAST_SHARE, shareAllowed(text, now, period) / 2), now)
end
-- What is set aside of a limit where others hold a part, and of the rest only a share may be filled.
local function asideWith(aside, limit, share) return limit - (limit - aside) * share end
`;
