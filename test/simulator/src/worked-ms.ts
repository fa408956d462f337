/**
 * How much time a process had between two instants, by the moments at which it did something. A gap between them counts for at
 * most `mostMs`: in a longer one it stood still, because the machine gave it no time. Only for a process with work without end,
 * which does something every few tens of milliseconds; one that goes on with the wrong thing gets the full time counted.
 */
export function workedMs(moments: readonly number[], sinceAt: number, untilAt: number, mostMs = 300): number {
  const inside = moments.filter((at) => at > sinceAt && at < untilAt).toSorted((one, other) => one - other);
  let worked = 0;
  let lastAt = sinceAt;
  for (const at of [...inside, untilAt]) {
    worked += Math.min(at - lastAt, mostMs);
    lastAt = at;
  }
  return worked;
}
