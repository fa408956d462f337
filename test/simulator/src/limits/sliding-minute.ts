/**
 * An exact sliding window: what was added at t counts until t + windowMs, excluded. Instants are monotonic
 * milliseconds and never go back.
 */
export interface SlidingMinute {
  add(atMs: number, amount: number): void;
  sum(atMs: number): number;
  /** The largest sum that any window ever held. */
  fullest(): number;
  /** How long from now until `amount` fits under `limit`; Infinity if it never will. */
  waitFor(atMs: number, amount: number, limit: number): number;
  /** How long until the window is empty. */
  emptyIn(atMs: number): number;
}

export function createSlidingMinute(windowMs: () => number): SlidingMinute {
  let times: number[] = [];
  let amounts: number[] = [];
  let head = 0;
  let total = 0;
  let highest = 0;

  function expire(atMs: number): void {
    const oldest = atMs - windowMs();
    while (head < times.length && (times[head] ?? 0) <= oldest) {
      total -= amounts[head] ?? 0;
      head += 1;
    }
    if (head > 4_096 && head * 2 > times.length) {
      times = times.slice(head);
      amounts = amounts.slice(head);
      head = 0;
    }
  }

  return {
    add(atMs, amount) {
      expire(atMs);
      if (amount === 0) return;
      const last = times.length - 1;
      if (last >= head && times[last] === atMs) amounts[last] = (amounts[last] ?? 0) + amount;
      else {
        times.push(atMs);
        amounts.push(amount);
      }
      total += amount;
      highest = Math.max(highest, total);
    },
    sum(atMs) {
      expire(atMs);
      return total;
    },
    fullest: () => highest,
    waitFor(atMs, amount, limit) {
      expire(atMs);
      if (amount > limit) return Number.POSITIVE_INFINITY;
      let held = total;
      for (let index = head; index < times.length && held + amount > limit; index += 1) {
        held -= amounts[index] ?? 0;
        if (held + amount <= limit) return (times[index] ?? 0) + windowMs() - atMs;
      }
      return 0;
    },
    emptyIn(atMs) {
      expire(atMs);
      const last = times[times.length - 1];
      return head === times.length || last === undefined ? 0 : last + windowMs() - atMs;
    },
  };
}
