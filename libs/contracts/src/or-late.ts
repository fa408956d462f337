/** Any time that is not zero: before it is over, Node has read what the sockets hold. */
const LAST_LOOK_MS = 50;

/**
 * What `work` resolves with, or what `late` answers (or throws) when `limitMs` are over; the work goes on unheard then. A
 * process that stood still comes to its timers before it reads its sockets, and would take its own silence for that of others:
 * so what has arrived by then is read first, and the limit is some 50 ms longer than it says.
 */
export async function orLate<Result, Late>(
  work: Promise<Result>,
  limitMs: number,
  late: () => Late,
): Promise<Result | Late> {
  let timer: NodeJS.Timeout | undefined;
  const isLate = new Promise<true>((resolve) => {
    timer = setTimeout(() => {
      timer = setTimeout(resolve, LAST_LOOK_MS, true);
    }, limitMs);
  });
  try {
    return await Promise.race([work, isLate.then(late)]);
  } finally {
    clearTimeout(timer);
  }
}
