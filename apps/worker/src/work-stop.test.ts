import type { Service } from '@millrace/contracts';
import type { ClaimedStep } from '@millrace/ledger';
import { expect, it } from 'vitest';
import { createClaims } from './calls/claims.ts';
import { createTaskGroup } from './task-group.ts';
import { createWorkStop } from './work-stop.ts';

/** A consumer with one call, which ends when the test lets it or when its claim is aborted. Asked again, it waits for nothing. */
function start(graceMs: number) {
  const claims = createClaims({ leaseMs: 30_000, renew: async () => [], onError: () => undefined });
  const held = claims.hold({ jobId: 'job_1', key: 'call', fence: 1 } as ClaimedStep);
  const called = Promise.withResolvers<void>();
  held.signal.addEventListener('abort', () => called.resolve());
  let isConsuming = true;
  const consumer: Service = {
    name: 'consumer',
    start: () => Promise.resolve(),
    async stop() {
      if (isConsuming) {
        isConsuming = false;
        await called.promise;
      }
    },
  };
  const stopping = new AbortController();
  const work = createWorkStop({
    consumers: [consumer],
    claims,
    tasks: createTaskGroup(() => undefined),
    stopping,
    graceMs,
    onStarted: () => undefined,
  });
  return { work, held, stopping, endCall: called.resolve, isConsuming: () => isConsuming };
}

it('takes no more while it drains and waits for its calls, however short the grace time is', async () => {
  const { work, held, stopping, endCall, isConsuming } = start(0);
  const drained = work.drain();
  expect(isConsuming()).toBe(false);
  expect(stopping.signal.aborted).toBe(false);
  endCall();
  await drained;
  await work.stop();
  expect(held.signal.aborted).toBe(false);
});

it('ends calls after the grace time when it is stopped while it drains', async () => {
  const { work, held } = start(1);
  const drained = work.drain();
  await work.stop();
  expect(held.signal.reason).toBe('shutdown');
  await drained;
});
