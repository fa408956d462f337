import { setTimeout as pause } from 'node:timers/promises';
import { startSimulator } from '@millrace/simulator';
import type { RunningSimulator } from '@millrace/simulator';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestBooks } from '../testing/test-book.ts';
import type { TestBooks } from '../testing/test-book.ts';

const WINDOW_MS = 6_000;
const LIMIT = 240;
const PER_MS = LIMIT / WINDOW_MS;
/** What two seconds are to a minute. */
const HORIZON_MS = WINDOW_MS / 30;

let books: TestBooks;
let simulator: RunningSimulator;
beforeAll(async () => {
  books = await openTestBooks();
  const openai = { requests: LIMIT, tokens: null };
  simulator = await startSimulator({
    config: { latencyMs: 20, latencyJitterMs: 40, limits: { windowMs: WINDOW_MS, openai } },
  });
});
afterAll(async () => {
  await simulator.stop();
  await books.close();
});

interface Sent {
  by: 'fleet' | 'outsider';
  at: number;
  status: number;
}

test('somebody who takes 30 % of the account is left room before anyone is refused, and is forgotten when he stops', async () => {
  const pool = books.newPool();
  const limits = { requests: LIMIT, windowMs: WINDOW_MS, burstMs: WINDOW_MS / 12 };
  const calls: Sent[] = [];
  const from = performance.now();
  const instant = (windows: number): number => from + windows * WINDOW_MS;
  const send = async (by: Sent['by']) => {
    const at = performance.now();
    const response = await fetch(`${simulator.url}/openai/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: 'Bearer sk-shared', 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'gpt-6-luna',
        max_completion_tokens: 1,
        messages: [{ role: 'user', content: '[[sim:reply=ok]]' }],
      }),
    });
    const arrivedBy = performance.now() - Number(response.headers.get('openai-processing-ms'));
    await response.arrayBuffer();
    calls.push({ by, at, status: response.status });
    const told = (name: string): number =>
      Number.parseFloat(response.headers.get(`x-ratelimit-${name}-requests`) ?? '');
    const requests = { limit: told('limit'), remaining: told('remaining'), resetMs: WINDOW_MS };
    return { status: response.status, arrivedBy, observed: { requests } };
  };
  const work = async (): Promise<void> => {
    const book = books.open(pool, limits);
    while (performance.now() < instant(5)) {
      const size = { inputTokens: 1, maxOutputTokens: 1 };
      const reservation = await book.reserve(pool, size, { horizonMs: HORIZON_MS });
      if (reservation.verdict === 'wait') await pause(Math.min(reservation.waitMs, 50));
      if (reservation.verdict !== 'leave') continue;
      const { status, arrivedBy, observed } = await send('fleet');
      await book.observe(pool, observed, reservation.booking, arrivedBy);
      const refused = status === 429;
      if (refused) await book.reportRefusal(pool, 100, reservation.booking);
      await book.settle(reservation.booking, { sent: true, refused, usage: null, arrivedBy });
    }
  };
  const intrude = async (): Promise<void> => {
    await pause(WINDOW_MS / 2);
    const underWay: Promise<unknown>[] = [];
    for (let sent = 0; performance.now() < instant(3); await pause(10)) {
      const due = (performance.now() - instant(0.5)) * PER_MS * 0.3;
      for (; sent < due; sent += 1) underWay.push(send('outsider'));
    }
    await Promise.all(underWay);
  };
  await Promise.all([intrude(), ...Array.from({ length: 24 }, work)]);

  expect(calls.filter(({ status }) => status === 429).length).toBeLessThanOrEqual(5);
  const share = (windows: number, by?: Sent['by']): number => {
    const inside = ({ at }: Sent): boolean => at > instant(windows) && at <= instant(windows + 1);
    return calls.filter((call) => inside(call) && (by === undefined || call.by === by)).length / LIMIT;
  };
  // Together, while both are there …
  expect(share(2, 'outsider')).toBeGreaterThan(0.25);
  expect(share(2)).toBeGreaterThan(0.85);
  // … and alone, a window after the other has stopped.
  expect(share(4, 'fleet')).toBeGreaterThan(0.85);
}, 60_000);

test('a burst of others is set aside once, not as if it went on, and has run out after a window', async () => {
  const pool = books.newPool();
  const limits = { requests: 1_000, windowMs: 2_400, arrivalSpreadMs: 0, burstMs: 24_000 };
  const book = books.open(pool, limits);
  const outside = async (): Promise<number> => (await book.read(pool))?.limits.requests?.outside ?? 0;
  const tell = async (others: number): Promise<void> => {
    const reservation = await book.reserve(pool, { inputTokens: 1, maxOutputTokens: 1 });
    if (reservation.verdict !== 'leave' || !reservation.booking) throw new Error(reservation.verdict);
    const ownUse = reservation.booking.booked[0]?.ownUse ?? 0;
    const requests = { limit: 1_000, remaining: 1_000 - ownUse - others, resetMs: 60_000 };
    await book.observe(pool, { requests }, reservation.booking);
  };
  const tellFor = async (forMs: number, others: (elapsedMs: number) => number): Promise<void> => {
    const startedAt = performance.now();
    for (let elapsedMs = 0; elapsedMs < forMs; elapsedMs = performance.now() - startedAt) {
      await tell(Math.round(others(elapsedMs)));
      await pause(15);
    }
  };
  await tell(0);
  await pause(5);
  await tell(300);
  expect(await outside()).toBeGreaterThan(290);
  expect(await outside()).toBeLessThan(320);
  await tellFor(2_000, () => 300);
  expect(await outside()).toBeLessThan(330);
  await tellFor(1_200, () => 0);
  expect(await outside()).toBeLessThan(30);
  // Of a pace: what it has sent by then, and as much again ahead.
  await tellFor(1_000, (elapsedMs) => elapsedMs / 10);
  expect(await outside()).toBeGreaterThan(150);
  expect(await outside()).toBeLessThan(300);
}, 30_000);
