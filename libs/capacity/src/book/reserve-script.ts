import { bookLua } from './book-lua.ts';
import { othersLua } from './others-lua.ts';
import { oversizedLua } from './oversized-lua.ts';
import { redisScript } from './run-script.ts';
import { slowDownLua } from './slow-down-lua.ts';
import { turnsLua } from './turns-lua.ts';
import { waitersLua } from './waiters-lua.ts';

/**
 * Books a call in all dimensions at once, ahead of time, on the clock of Redis.
 *
 * Each dimension is an exact sliding window in slices of 50 ms, and a bucket that spreads calls within it. A call may
 * leave as soon as enough of the window has run out and the bucket holds enough; that instant is never before the
 * instant of the booking before, so the slices that had run out then never count again: a booking looks at a slice once.
 * Slices of 50 ms are taken as if all had happened at their end.
 *
 * The bucket refills at the limit's rate, less what is set aside for others ({@link othersLua}) or given up because the vendor
 * asked to slow down ({@link slowDownLua}), and holds `burst` ms of it in a quiet domain, a fifth of that in one that is full
 * (else each minute would repeat the burst that the minute before began with). A call larger than the bucket leaves when
 * it is full and puts it into debt, by a window at most: the pace of a bad moment must not hold the next ones up for longer
 * than the window would. A book that is younger than a window starts nearly without a burst: if Redis has
 * lost it, what was sent before is unknown.
 *
 * Output counts when it has been produced, so a short call may count before a long one that left earlier. It does not wait
 * for that: it is counted beside the long one until it is settled, and keeps its place among the departures (`left`).
 *
 * A call for which smaller ones never leave room saves it up: see {@link waitersLua}. Once it does it may book a twelfth of
 * a window ahead, and its bucket takes it that the room which it waits for was its own. Calls that waited for the pool itself book
 * in the order of their places: see {@link turnsLua}.
 *
 * A call that is larger than a limit which headers told, but not than the configured one, waits: the pool may hold models of
 * other limits, and what one answer said must not end the calls of all. When it has been too large for minutes, it is refused: see
 * {@link oversizedLua}.
 *
 * Calls at a time are shared as the limits are: work that may fill a share of them leaves the last places to the others, and
 * has one place at least.
 *
 * KEYS: book, window, leases, parked.
 * ARGV: booking id, horizon ms, lease ms, window ms, arrival spread ms, burst ms, calls at a time (-1: any), share of the
 * limits that may be filled, share above which use is high, name of the call over all its tries ('' without one), ms for which it has existed,
 * its place in the order of the pool (-1 without one), then for each dimension: name, limit, amount, ms from departure until it counts.
 *
 * Guarantees: either everything is booked or nothing is (but leases that ran out are dropped). No window of that
 * length holds more than the limit, as long as nobody but the book's callers sends.
 *
 * Returns {'wait', ms, why, ms until a small call with the whole limit could leave, 1 if it waits for nothing else, 1 if it is larger than a limit
 * that headers told},
 * {'too_large', dimension, limit, 1 if headers told it} or
 * {'leave', ms, instant, 1 if the domain has been in high use for a window, then for each dimension: name, slice, limit, own
 * use with this call, bucket's debt, corrected by so far, ms in which the pace at which it was charged lets the limit through}.
 */
export const reserveScript =
  redisScript(`${bookLua}${othersLua}${oversizedLua}${slowDownLua}${turnsLua}${waitersLua}
local LEARNED_MS, POOLS_OWN_WAIT_MS = 15000, 200
local book, window, leases = KEYS[1], KEYS[2], KEYS[3]
local horizon, lease, period = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local span, burst = period + tonumber(ARGV[5]), tonumber(ARGV[6])
local most, share, high = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local now = clock()

local pause = redis.call('PTTL', KEYS[4])
if pause > 0 then return {'wait', pause, 'parked', pause, 0} end
if most >= 0 then
  local places = share < 1 and math.min(most, math.max(1, math.floor(most * share + 0.5))) or most
  redis.call('ZREMRANGEBYSCORE', leases, '-inf', now)
  if redis.call('ZCARD', leases) >= places then
    redis.call('ZREMRANGEBYSCORE', leases, '(' .. furthest(now, period) + lease, '+inf')
  end
  local taken = redis.call('ZCARD', leases)
  if taken >= places then
    local hold = tonumber(redis.call('HGET', book, 'hold') or 2000)
    local wait = math.ceil(math.min(math.max(hold / math.max(most, 1), 20), 1000))
    local isFull = taken >= most
    return {'wait', wait, 'concurrency', isFull and wait or 0, isFull and 1 or 0}
  end
end

local names = {'born', 'hot', 'left', 'large', 'others', 'slow', 'turns', 'oversized'}
for i = 13, #ARGV, 4 do names[#names + 1] = ARGV[i] end
local state = redis.call('HMGET', book, unpack(names))
if state[3] and tonumber(state[3]) > furthest(now, period) then
  redis.call('DEL', book, window)
  state = {}
end
local born = tonumber(state[1]) or now
local others = openOthers(state[5])
local allowed = shareAllowed(state[6], now, period)
local start = math.max(now, tonumber(state[3]) or now)
local waiters = openWaiters(state[4], ARGV[10], now, period)
local mine, saver = waiters.mine, waiters.saver
local isSaver = mine ~= nil and mine == saver
local turns, id, place = openTurns(state[7], now), ARGV[10], tonumber(ARGV[12])
local oversized = openOversized(state[8], now)
if isSaver and horizon >= 0 then horizon = math.max(horizon, period / 12) end

-- The amount in a slice, false if there is none; reads 16 at a time.
local function slice(d, k)
  if d.read[k] == nil then
    local fields, to = {}, math.min(k + 15, d.final)
    for each = k, to do fields[#fields + 1] = d.name .. each end
    local values = redis.call('HMGET', window, unpack(fields))
    for each = k, to do d.read[each] = values[each - k + 1] and tonumber(values[each - k + 1]) end
  end
  return d.read[k]
end
-- Lets all slices before one run out.
local function expire(d, before)
  while d.head < before and d.head <= d.final do
    local amount = slice(d, d.head)
    if amount then d.sum, d.gone[#d.gone + 1] = d.sum - amount, d.name .. d.head end
    d.head = d.head + 1
  end
  if d.head < before then d.head = before end
  if d.head > d.final then d.sum = 0 end
end
local function firstSlice(at) return math.floor((at - span) / SLICE) end

local leave, earliest, peers, why, all, want = now, now, now, 'r', {}, {}
for i = 13, #ARGV, 4 do
  local d = open(ARGV[i], state[9 + (i - 13) / 4], ARGV[i + 1], now)
  d.amount, d.after, d.read, d.gone = tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]), {}, {}
  if d.amount > d.configured then return {'too_large', d.name, d.configured, 0} end
  if noteToldLimit(oversized, d) then redis.call('HSET', book, closeOversized(oversized)) end
  if d.amount > d.limit then
    if id == '' then return {'wait', LEARNED_MS, d.name, 0, 0, 1} end
    local isRefused = isOversizedForLong(oversized, d, now)
    redis.call('HSET', book, closeOversized(oversized))
    if isRefused then return {'too_large', d.name, d.limit, 1} end
    return {'wait', LEARNED_MS, d.name, 0, 0, 1}
  end
  want[d.name] = d.amount
  local held = saver and not isSaver and saver.saved[d.name] or 0
  if d.isNew then d.head = firstSlice(now) end
  d.final = math.floor(d.last / SLICE)
  d.aside = setAside(d, others, now, period)
  local aside = asideWith(math.min(d.aside, d.limit - oursBeside(d, now, period)), d.limit, allowed)
  d.rate = paceBeside(d, aside, period)
  local full = math.floor(d.limit - aside)
  local room = math.floor((d.limit - aside) * share)
  local from = math.max(now + d.after, d.last)
  local lead = d.after
  if d.name == 'o' then
    from = math.max(start + d.after, d.last)
    lead = from - start
  end
  expire(d, firstSlice(from))
  local anyone, peer = from, from
  while d.sum > 0 and d.sum + held + d.amount > room do
    local isFull, isFullForPeers = d.sum + held >= full, d.sum + held >= room
    expire(d, d.head + 1)
    from = math.max(from, d.head * SLICE + span)
    if isFull then anyone = from end
    if isFullForPeers then peer = from end
  end
  -- Nothing is left that could run out: it is the other's turn, for as long as he comes for it.
  if held > 0 and held + d.amount > room then
    from = math.max(from, saver.till)
    if held >= full then anyone = math.max(anyone, saver.till) end
  end
  local allowance = burst / 20
  if now - born >= span then allowance = burst * (1 - 0.8 * math.min(1, (d.sum + math.max(aside, d.aside)) / d.limit)) end
  from, anyone = math.max(from, math.ceil(d.tat - allowance)), math.max(anyone, math.ceil(d.tat - allowance))
  if from - lead > leave then leave, why = from - lead, d.name end
  earliest = math.max(earliest, anyone - lead)
  peers = math.max(peers, math.max(peer, math.ceil(d.tat - allowance)) - lead)
  all[#all + 1] = d
end
if leave - now > horizon then
  -- Where the wait is the pool's but for a moment, there is nothing to save for.
  if ARGV[10] ~= '' and (mine or leave - peers > horizon / 10) then
    noteWaiter(waiters, ARGV[10], now - tonumber(ARGV[11]), now, math.min(leave - now, period), want)
    redis.call('HSET', book, 'large', closeWaiters(waiters))
  end
  local keepsTurn = leave - earliest <= POOLS_OWN_WAIT_MS
  if place >= 0 and keepsTurn then
    noteTurn(turns, id, place, now, earliest)
    redis.call('HSET', book, closeTurns(turns))
  elseif place >= 0 and dropTurn(turns, id) then
    redis.call('HSET', book, closeTurns(turns))
  end
  return {'wait', leave - now, why, earliest - now, keepsTurn and 1 or 0}
end
if place >= 0 and not isSaver and isTurnOfAnother(turns, id, place) then
  return {'wait', LOOK_AGAIN_MS, 'turn', LOOK_AGAIN_MS, 1}
end

local answer, fields, isHot, isNewSlice = {'leave', leave - now, leave, 0}, {}, false, false
local largest = 0
for _, d in ipairs(all) do
  local at = math.max(leave + d.after, d.last)
  expire(d, firstSlice(at))
  if isSaver then
    -- What was saved has been charged already, and from now on nobody leaves before this call.
    d.tat = math.max(at, math.max(d.tat, now) + math.min(math.max(0, d.amount - (mine.saved[d.name] or 0)) / d.rate, period))
    largest = math.max(largest, d.amount / d.limit)
  else
    local more = 0
    if saver then
      local saved = saver.saved[d.name] or 0
      more = math.max(0, math.min(SAVED_PER_UNIT * d.amount, (saver.want[d.name] or 0) - saved))
      saver.saved[d.name] = saved + more
    end
    d.tat = math.max(d.tat, at) + math.min((d.amount + more) / d.rate, period)
  end
  d.sum, d.last = d.sum + d.amount, at
  local k = math.floor(at / SLICE)
  isNewSlice = redis.call('HINCRBY', window, d.name .. k, d.amount) == d.amount or isNewSlice
  if #d.gone > 0 then redis.call('HDEL', window, unpack(d.gone)) end
  fields[#fields + 1], fields[#fields + 2] = d.name, close(d)
  isHot = isHot or d.sum + d.aside >= high * d.limit
  local n = #answer
  answer[n + 1], answer[n + 2], answer[n + 3], answer[n + 4] = d.name, k, d.limit, d.sum
  answer[n + 5], answer[n + 6], answer[n + 7] = (d.tat - at) * d.rate, d.corrected, math.ceil(d.limit / d.rate)
end

fields[#fields + 1], fields[#fields + 2] = 'left', leave
if mine then dropWaiter(waiters, now, period, largest) end
if mine or saver then fields[#fields + 1], fields[#fields + 2] = 'large', closeWaiters(waiters) end
if place >= 0 and dropTurn(turns, id) then fields[#fields + 1], fields[#fields + 2] = closeTurns(turns) end
if not state[1] then fields[#fields + 1], fields[#fields + 2] = 'born', born end
if not isHot then
  if state[2] then redis.call('HDEL', book, 'hot') end
elseif not state[2] then
  fields[#fields + 1], fields[#fields + 2] = 'hot', now
elseif state[2] ~= 'told' and now - tonumber(state[2]) >= period then
  fields[#fields + 1], fields[#fields + 2], answer[4] = 'hot', 'told', 1
end
if #fields > 0 then redis.call('HSET', book, unpack(fields)) end
if isNewSlice then redis.call('PEXPIRE', window, span * 2) end
redis.call('ZADD', leases, leave + lease, ARGV[1])
return answer`);
