import type { LiveMessage } from '@millrace/transport';
import { expect, test } from 'vitest';
import { createMailbox } from './follow-job-mailbox.ts';

const never = new AbortController().signal;

function message(sequence: number): LiveMessage {
  const event = { sequence, type: 'job.progress' as const, at: 0, data: {} };
  return { position: { sequence, delta: 0 }, previous: null, kind: 'event', event };
}

test('messages come out in the order they came in, then it is quiet', async () => {
  const mailbox = createMailbox(10);
  for (const sequence of [1, 2, 3]) mailbox.onMessage(message(sequence));
  for (const sequence of [1, 2, 3]) expect(await mailbox.next(10, never)).toEqual(message(sequence));
  expect(await mailbox.next(10, never)).toBe('quiet');
});

test('one who waits is woken by a message', async () => {
  const mailbox = createMailbox(10);
  const next = mailbox.next(10_000, never);
  mailbox.onMessage(message(1));
  expect(await next).toEqual(message(1));
});

test('what does not fit is dropped and reported behind what did, once', async () => {
  const mailbox = createMailbox(2);
  for (let sequence = 1; sequence <= 1_000; sequence += 1) mailbox.onMessage(message(sequence));
  expect(await mailbox.next(10, never)).toEqual(message(1));
  mailbox.onMessage(message(1_001));
  expect(await mailbox.next(10, never)).toEqual(message(2));
  expect(await mailbox.next(10, never)).toBe('missed');
  mailbox.onMessage(message(1_002));
  expect(await mailbox.next(10, never)).toEqual(message(1_002));
});

test('a gap wakes one who waits, and so does the signal', async () => {
  const mailbox = createMailbox(2);
  const missed = mailbox.next(10_000, never);
  mailbox.onGap();
  expect(await missed).toBe('missed');
  const leaving = new AbortController();
  const quiet = mailbox.next(10_000, leaving.signal);
  leaving.abort();
  expect(await quiet).toBe('quiet');
});
