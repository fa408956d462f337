/**
 * What others were seen to send with the same account, where the vendor counts a window. In the field `others` of a book
 * (cmsgpack), by dimension: `at`, the instant of the newest answer that told of it, and what came in the part of the window
 * to which that instant belongs and in the twelve before. An instant is that of a call's departure: what its answer says
 * later was true then. `seen` and a dimension's letter: when the last answer told anything, so that what is new is put where
 * it came.
 *
 * Aside is set what is known, and what comes until somebody tells again at the pace of the three whole parts before, the
 * slowest of them: a burst is no pace. Where that pace goes on for a window, others will hold a window's worth of it; it is set
 * aside ahead, up to as much again as is known, because those who are refused for want of room count, too, and no header tells of them.
 * A window without a word, and nothing is known. So it is, too, where the word is of an instant that is more than a part
 * ahead: the clock has gone back.
 */
export const othersLua = `
local PARTS = 12
local function openOthers(text) return text and cmsgpack.unpack(text) or {} end
local function isYetToCome(at, now, period) return at > now + period / PARTS end
-- The part of a time, and how much of it had passed by then.
local function partOf(at, period)
  local part = at * PARTS / period
  return math.floor(part), part - math.floor(part)
end
-- What others hold of the window that ends at a time.
local function heldByOthers(o, at, period)
  local now, passed = partOf(at, period)
  local back, held = math.max(0, now - partOf(o.at, period)), 0
  for i = 1, PARTS + 1 - back do
    held = held + o[i] * (i + back > PARTS and 1 - passed or 1)
  end
  return held
end
-- Units per ms that others go on sending.
local function paceOfOthers(o, period)
  return math.min(o[2], o[3], o[4]) * PARTS / period
end
-- Takes it that others have sent more than known, since an instant and until another.
local function noteOthers(o, more, since, at, period)
  local now, passed = partOf(at, period)
  local back = o and math.max(0, now - partOf(o.at, period)) or PARTS + 1
  local parts = {at = o and math.max(o.at, at) or at}
  for i = 1, PARTS + 1 do parts[i] = i > back and o[i - back] or 0 end
  if more <= 0 then return parts end
  since = math.max(since, at - period)
  if at - since < 1 then
    parts[1] = parts[1] + more
    return parts
  end
  for i = 1, PARTS + 1 do
    local from, to = (now - i + 1) * period / PARTS, (now - i + 2) * period / PARTS
    local overlap = math.max(0, math.min(to, at) - math.max(from, since))
    if i > PARTS and overlap > 0 then overlap = overlap / (1 - passed) end
    parts[i] = parts[i] + more * overlap / (at - since)
  end
  return parts
end
-- What is set aside for others now.
local function setAside(d, others, now, period)
  local refused, o = fading(d, now, period), others[d.name]
  if not o or now - o.at >= period or isYetToCome(o.at, now, period) then return refused end
  local held, pace = heldByOthers(o, now, period), paceOfOthers(o, period)
  local unseen = pace * math.min(math.max(0, now - o.at) + period / 60, period)
  return math.max(refused, held + unseen, math.min(pace * period, 2 * held))
end
-- What we may fill whatever others hold. One who comes to a full account would be refused, and stay without for ever, because
-- nobody sees him: a twentieth is his in any case, which those who fill it notice, and a quarter when there was no refusal for eight windows.
local function oursBeside(d, now, period)
  return d.limit * (0.05 + 0.2 * math.min(1, math.max(0, now - d.outsideAt) / (8 * period)))
end
-- Units per ms at which we may send beside others. A little more than is left: to keep within the window is the window's part.
local function paceBeside(d, aside, period)
  return math.min(d.limit, math.max(d.limit - aside, 0) + d.limit / 20) / period
end
`;
