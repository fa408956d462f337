import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { waitFor } from './wait-for.ts';

it('answers what the condition answers, and says what it waited for in vain, with the last error', async () => {
  let looks = 0;
  expect(await waitFor(() => (looks += 1) > 2 && 'here', { what: 'the third look' })).toBe('here');
  const broken = new Error('broken');
  const waiting = waitFor(() => Promise.reject(broken), { timeoutMs: 30, what: () => 'the impossible' });
  await expect(waiting).rejects.toMatchObject({
    message: 'waited 30 ms for the impossible',
    cause: broken,
  });
});

it('sees what came while this process stood still past the deadline', async () => {
  const peer = new Worker(
    `const { parentPort } = require('node:worker_threads');
     parentPort.on('message', () => parentPort.postMessage('pong'));`,
    { eval: true },
  );
  try {
    await once(peer, 'online');
    let seen: unknown = null;
    peer.on('message', (message: unknown) => (seen = message));
    peer.postMessage('ping');
    const waiting = waitFor(() => seen, { timeoutMs: 100, what: 'the answer' });
    // What comes next after this are the timers, and only then what has arrived.
    await new Promise((resolve) => setImmediate(resolve));
    const until = performance.now() + 500;
    while (performance.now() < until);
    expect(await waiting).toBe('pong');
  } finally {
    await peer.terminate();
  }
});
