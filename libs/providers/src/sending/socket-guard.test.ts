import { expect, test } from 'vitest';
import { AbortedInQueue, SocketGuard } from './socket-guard.ts';

const never = new AbortController().signal;

/** Work that lasts until it is told to end. */
function heldWork() {
  let end: () => void = () => undefined;
  let begin: () => void = () => undefined;
  const begun = new Promise<void>((resolve) => (begin = resolve));
  const work = () => {
    begin();
    return new Promise<string>((resolve) => (end = () => resolve('done')));
  };
  return { work, begun, end: () => end() };
}

test('no more work runs at once than there are slots, and all of it runs in order', async () => {
  const guard = new SocketGuard(3);
  let running = 0;
  let most = 0;
  const order: number[] = [];
  await Promise.all(
    Array.from({ length: 20 }, (_each, at) =>
      guard.run(1000, never, async () => {
        running += 1;
        most = Math.max(most, running);
        order.push(at);
        await new Promise((resolve) => setImmediate(resolve));
        running -= 1;
      }),
    ),
  );
  expect(most).toBe(3);
  expect(order).toEqual(Array.from({ length: 20 }, (_each, at) => at));
});

test('work that fails gives its slot back and its own error on', async () => {
  const guard = new SocketGuard(1);
  const error = new Error('no');
  await expect(guard.run(1000, never, () => Promise.reject(error))).rejects.toBe(error);
  expect(await guard.run(1000, never, async () => 'next')).toBe('next');
});

test('an abort while queued rejects at once, never runs the work, and takes no slot', async () => {
  const guard = new SocketGuard(1);
  const held = heldWork();
  const first = guard.run(1000, never, held.work);
  await held.begun;
  const controller = new AbortController();
  let ran = false;
  const second = guard.run(1000, controller.signal, async () => {
    ran = true;
  });
  controller.abort();
  await expect(second).rejects.toBeInstanceOf(AbortedInQueue);
  held.end();
  expect(await first).toBe('done');
  expect(await guard.run(1000, never, async () => 'third')).toBe('third');
  expect(ran).toBe(false);
});

test('work begins so far apart as the spacing says, however many slots are free', async () => {
  const guard = new SocketGuard(8, 40);
  const startedAt = performance.now();
  const begunAfter: number[] = [];
  const work = async () => void begunAfter.push(performance.now() - startedAt);
  await Promise.all(Array.from({ length: 4 }, () => guard.run(1000, never, work)));
  expect(begunAfter).toHaveLength(4);
  // The clock of the spacing counts whole milliseconds.
  begunAfter.forEach((after, index) => expect(after).toBeGreaterThanOrEqual(40 * index - 2));
});

test('work that was lost loses its slot after its timeout', async () => {
  const guard = new SocketGuard(1);
  // The expiration is the timeout plus 30 s; a negative timeout shortens the wait of this test.
  const lost = guard.run(-29_950, never, () => new Promise<never>(() => undefined));
  await expect(lost).rejects.toThrow('timed out');
  expect(await guard.run(1000, never, async () => 'next')).toBe('next');
});

test('the guard spends no timer turns: five hundred jobs pass faster than five hundred timers', async () => {
  const guard = new SocketGuard(50);
  const jobsStartedAt = performance.now();
  await Promise.all(Array.from({ length: 500 }, () => guard.run(1000, never, async () => undefined)));
  const jobsMs = performance.now() - jobsStartedAt;
  const timersStartedAt = performance.now();
  for (let turn = 0; turn < 500; turn += 1) await new Promise((resolve) => setTimeout(resolve, 0));
  expect(jobsMs).toBeLessThan(performance.now() - timersStartedAt);
});
