import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { orLate } from './or-late.ts';

it('answers what comes in time, and passes on what the work throws', async () => {
  expect(await orLate(Promise.resolve('here'), 1_000, () => 'late')).toBe('here');
  await expect(orLate(Promise.reject(new Error('broken')), 1_000, () => 'late')).rejects.toThrow('broken');
});

it('answers or throws what is said of work that is late', async () => {
  const never = new Promise<string>(() => undefined);
  expect(await orLate(never, 20, () => 'late')).toBe('late');
  const complain = (): never => {
    throw new Error('too late');
  };
  await expect(orLate(never, 20, complain)).rejects.toThrow('too late');
});

it('reads what has arrived while this process stood still', async () => {
  const peer = new Worker(
    `const { parentPort } = require('node:worker_threads');
     parentPort.on('message', () => parentPort.postMessage('pong'));`,
    { eval: true },
  );
  try {
    await once(peer, 'online');
    peer.postMessage('ping');
    const next = orLate(once(peer, 'message'), 100, () => ['late']);
    // What comes next after this are the timers, and only then what has arrived.
    await new Promise((resolve) => setImmediate(resolve));
    const until = performance.now() + 500;
    while (performance.now() < until);
    expect(await next).toEqual(['pong']);
  } finally {
    await peer.terminate();
  }
});
