import type { Redis } from 'ioredis';

/**
 * Numbers wakes of one pool: self-clocked fair queueing (Golestani 1994). A tenant's wake gets the finish tag
 * `max(V, the tenant's last tag) + tokens / weight`, where V is the tag of the wake that was handed out last.
 *
 * Nobody reports what is handed out. V is read from the queue, as the highest of
 * - what it was before;
 * - the tags of the wakes that were taken last (BullMQ's list of active jobs has the newest in front);
 * - the tag of the foremost that waits, less the largest cost: whoever is before it cannot be further back than that;
 * - if nobody waits: the highest tag that was given more than a second ago. It was enqueued since, so it was handed out.
 *   (Younger ones may be on their way from this script to the queue.)
 * What was handed out and came back because the pool is full has its old place again, so that V is ahead of what was really
 * served: newcomers begin no later than the foremost that waits or came back in the last seconds (it may have been handed out
 * again this instant, only to come back).
 * A jump by more than three eighths of the places is not believed: such a number is from before a re-basing.
 *
 * A place is a unit of tags, so wakes that cost less share one. A tenant that has nothing ahead of it takes the beginning of
 * its unit and one that has a backlog the end, so that a single small call does not stand behind a unit of small ones.
 *
 * Three quarters of the places are a unit each; the rest get wider and wider, so that no backlog comes to their end.
 *
 * A wake that is on the queue already is not charged again: its number is 0.
 *
 * KEYS: the queue's waiting wakes, its active ones, the state of its classes. ARGV: the prefix of the queue's keys, unit,
 * places, the first number of each class (3), the grace in ms, then four per wake: its id, its class (1–3), whose flow it
 * is part of, its cost in tokens per weight; an id that begins with "!" is numbered although it is there, the empty
 * one only keeps V up to date, and "=" stands for one that comes back, with its number instead of a cost.
 */
const NUMBER = `
local HIGH_HALF = 4294967296
local prefix, unit, places = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local grace = tonumber(ARGV[7])
local RETURNS_MS = 3000
local near = places * 0.75
local fold = (places - near) / math.log(1000)
local function place_of(tag) return tag <= near and tag or near + fold * math.log(tag / near) end
local function tag_of(place) return place <= near and place or near * math.exp((place - near) / fold) end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local taken

local function taken_numbers()
  if taken then return taken end
  taken = {}
  for _, id in ipairs(redis.call('LRANGE', KEYS[2], 0, 1)) do
    taken[#taken + 1] = tonumber(redis.call('HGET', prefix .. id, 'priority') or '0') or 0
  end
  return taken
end

local function open(class)
  local key, first = KEYS[2 + class], tonumber(ARGV[3 + class])
  local stored = redis.call('HMGET', key, '.v', '.high', '.ripening', '.settled', '.turned', '.most', '.unit',
    '.back', '.earlier', '.noted')
  local state = { key = key, first = first, unit = tonumber(stored[7]) or unit, last = {} }
  local v, high = tonumber(stored[1]) or 0, tonumber(stored[2]) or 0
  local ripening, settled = tonumber(stored[3]) or 0, tonumber(stored[4]) or 0
  local turned, most = tonumber(stored[5]) or 0, tonumber(stored[6]) or 0
  if now - turned >= grace or now < turned then
    settled = (now - turned >= 2 * grace) and high or ripening
    ripening, turned = high, now
    state.keep = true
  end
  -- Where the foremost came from that was sent back lately.
  state.back, state.earlier = tonumber(stored[8]) or math.huge, tonumber(stored[9]) or math.huge
  state.noted = tonumber(stored[10]) or 0
  if now - state.noted >= RETURNS_MS or now < state.noted then
    state.earlier = (now - state.noted >= 2 * RETURNS_MS) and math.huge or state.back
    state.back, state.noted = math.huge, now
  end
  local reach = stored[1] and v + places * state.unit * 0.375 or math.huge
  local function rise(tag) if tag > v and tag <= reach then v = tag end end
  for _, number in ipairs(taken_numbers()) do
    if number > first and number <= first + places then rise(tag_of(number - first - 2) * state.unit) end
  end
  local from, to = (first + 1) * HIGH_HALF, (first + places + 1) * HIGH_HALF
  local head = redis.call('ZRANGEBYSCORE', KEYS[1], string.format('%.0f', from), string.format('(%.0f', to), 'WITHSCORES', 'LIMIT', 0, 1)
  local foremost = math.huge
  if head[2] then
    foremost = tag_of(math.floor(tonumber(head[2]) / HIGH_HALF) - first - 2) * state.unit
    rise(foremost - most)
  else
    v, most = math.max(v, settled), 0
    -- Everybody has been served up to V: what they owe is paid, and a changed limit may change the unit.
    if v >= high then
      redis.call('DEL', key)
      state.keep = true
      state.unit = unit
      -- Tags go on where they were, in places, so that numbers do not fall behind those that are being served.
      local scale = unit / (tonumber(stored[7]) or unit)
      v, high, ripening, settled = v * scale, high * scale, ripening * scale, settled * scale
    end
  end
  state.start = math.max(0, math.min(v, foremost, state.back, state.earlier))
  state.v, state.high, state.ripening, state.settled, state.turned, state.most = v, high, ripening, settled, turned, most
  return state
end

local function number_of(state, flow, cost)
  local last = state.last[flow] or tonumber(redis.call('HGET', state.key, flow) or '0') or 0
  local waits = last > state.v
  local tag = math.max(last, state.start) + cost
  state.last[flow] = tag
  if tag > state.high then state.high = tag end
  if cost > state.most then state.most = cost end
  local place = place_of(tag / state.unit)
  place = math.floor(place) + ((waits and place > math.floor(place)) and 1 or 0)
  return state.first + 1 + math.min(place, places - 1)
end

local states, seen, numbers = {}, {}, {}
for at = 8, #ARGV, 4 do
  local id, class = ARGV[at], tonumber(ARGV[at + 1])
  local forced = string.sub(id, 1, 1) == '!'
  local number = seen[id]
  if id == '=' then
    number = tonumber(ARGV[at + 3])
    states[class] = states[class] or open(class)
    local state = states[class]
    state.back = math.min(state.back, tag_of(math.max(0, number - state.first - 2)) * state.unit)
    state.start = math.min(state.start, state.back)
  elseif id == '' then
    number = 0
    if redis.call('EXISTS', KEYS[2 + class]) == 1 then states[class] = states[class] or open(class) end
  elseif not number then
    if not forced and redis.call('EXISTS', prefix .. id) == 1 then
      number = 0
    else
      states[class] = states[class] or open(class)
      number = number_of(states[class], ARGV[at + 2], tonumber(ARGV[at + 3]))
    end
    seen[id] = number
  end
  numbers[#numbers + 1] = number
end
for _, state in pairs(states) do
  local fields = { '.v', state.v, '.high', state.high, '.ripening', state.ripening, '.settled', state.settled,
    '.turned', state.turned, '.most', state.most, '.unit', state.unit, '.noted', state.noted }
  for name, tag in pairs({ ['.back'] = state.back, ['.earlier'] = state.earlier }) do
    fields[#fields + 1] = name
    fields[#fields + 1] = tag < math.huge and tag or ''
  end
  for flow, tag in pairs(state.last) do
    fields[#fields + 1] = flow
    fields[#fields + 1] = tag
  end
  for at = 1, #fields, 2 do
    if type(fields[at + 1]) == 'number' then fields[at + 1] = string.format('%.17g', fields[at + 1]) end
    if at % 1000 == 999 or at >= #fields - 1 then
      redis.call('HSET', state.key, unpack(fields, at - (at - 1) % 1000, at + 1))
    end
  end
  if state.keep then redis.call('PEXPIRE', state.key, 86400000) end
end
return numbers`;

/**
 * When V has passed half of a class's places: takes it down to a sixteenth, and with it everybody's last tag, so that there
 * is room again. The wakes that wait keep their old numbers until somebody renumbers them. (Those that were a little behind V
 * are among them because of the sixteenth.)
 *
 * KEYS: the state of a class. ARGV: places. Returns by how many places the numbers have been shifted, 0 for not at all:
 * what has as many or more is to be renumbered. It answers the same until new wakes reach that far, for those that were on
 * their way to the queue.
 */
const REBASE = `
local places = tonumber(ARGV[1])
local stored = redis.call('HMGET', KEYS[1], '.v', '.unit', '.shift', '.high')
local v, unit = tonumber(stored[1]), tonumber(stored[2])
if not v or not unit then return 0 end
local shift, high = tonumber(stored[3]) or 0, tonumber(stored[4]) or 0
if shift > 0 and high / unit < shift then return shift end
if shift > 0 then redis.call('HDEL', KEYS[1], '.shift') end
if v / unit < places / 2 then return 0 end
shift = math.floor(v / unit - places / 16)
local amount = shift * unit
local fields = redis.call('HGETALL', KEYS[1])
for at = 1, #fields, 2 do
  local name, tag = fields[at], tonumber(fields[at + 1])
  local is_flow = string.sub(name, 1, 1) ~= '.'
  if is_flow and tag <= v then
    redis.call('HDEL', KEYS[1], name)
  elseif is_flow or name == '.v' or name == '.high' or name == '.ripening' or name == '.settled' then
    redis.call('HSET', KEYS[1], name, string.format('%.17g', math.max(tag - amount, 0)))
  end
end
redis.call('HSET', KEYS[1], '.shift', shift)
return shift`;

/** A connection that knows the scripts of the fair order. */
export type OrderRedis = Redis & {
  millraceNumberWakes(...keysAndValues: (string | number)[]): Promise<number[]>;
  millraceRebaseOrder(state: string, places: number): Promise<number>;
};

/** Teaches a connection the scripts; ioredis sends a script's text once per server and its hash afterwards. */
export function withOrderScripts(redis: Redis): OrderRedis {
  redis.defineCommand('millraceNumberWakes', { numberOfKeys: 5, lua: NUMBER });
  redis.defineCommand('millraceRebaseOrder', { numberOfKeys: 1, lua: REBASE });
  return redis as OrderRedis;
}
