import { bookLua } from './book-lua.ts';
import { redisScript } from './run-script.ts';

/**
 * Ends a booking: frees its place and puts what the call took in the place of what was booked. An amount that the vendor
 * charges on arrival moves to the slice of the arrival, if the call came late; one that it counts as it is produced moves
 * to now. What has run out
 * of the window by now changes nothing, and neither does a booking that is older than the book (Redis had lost it).
 *
 * KEYS: book, window, leases.
 * ARGV: booking id, instant of departure, window ms, arrival spread ms, 1 if the call was sent, 1 if this is
 * tried again (then nothing changes unless the booking still has its lease: an earlier try may have reached Redis), then for each dimension: name, slice, amount
 * booked, amount taken, slice that it moves to (`now` for this instant's), configured limit, ms that the bucket was charged for a
 * unit (whatever the pace is by now).
 *
 * Guarantees: a slice never holds less than nothing; a sum is that of its slices. More may be taken than the limit has
 * room for: then the next calls wait for it.
 */
export const settleScript = redisScript(`${bookLua}
local book, window, leases = KEYS[1], KEYS[2], KEYS[3]
local departed, period = tonumber(ARGV[2]), tonumber(ARGV[3])
local span = period + tonumber(ARGV[4])
local now = clock()
if redis.call('ZREM', leases, ARGV[1]) == 0 and ARGV[6] == '1' then return 0 end
local general = redis.call('HMGET', book, 'born', 'hold')
if not general[1] or departed < tonumber(general[1]) then return 0 end
local fields = {}
local function set(field, value) fields[#fields + 1], fields[#fields + 2] = field, value end
if ARGV[5] == '1' then
  local held = math.max(0, now - departed)
  local hold = tonumber(general[2]) or held
  set('hold', string.format('%.1f', hold + (held - hold) / 16))
end
for i = 7, #ARGV, 7 do
  local name, k, booked, taken = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  local here = math.floor(now / SLICE)
  local to = ARGV[i + 4] == 'now' and here or math.min(math.max(tonumber(ARGV[i + 4]), k), math.max(here, k))
  local text = (booked ~= taken or to ~= k) and redis.call('HGET', book, name)
  if text then
    local d = open(name, text, ARGV[i + 5], now)
    local counts = function(each) return each >= d.head and (each + 1) * SLICE + span > now end
    -- A slice behind the last one is of a book that is lost.
    if counts(k) and k <= math.floor(d.last / SLICE) then
      redis.call('HINCRBY', window, name .. k, -booked)
      d.sum = d.sum - booked
    end
    if counts(to) then
      redis.call('HINCRBY', window, name .. to, taken)
      d.sum = d.sum + taken
    end
    if to > math.floor(d.last / SLICE) then d.last = now end
    local perUnit = tonumber(ARGV[i + 6])
    d.tat = d.tat - math.min(booked * perUnit, period) + math.min(taken * perUnit, period)
    set(name, close(d))
  end
end
if #fields > 0 then redis.call('HSET', book, unpack(fields)) end
redis.call('PEXPIRE', window, span * 2)
return 1`);
