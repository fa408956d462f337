import type { ClaimedStep } from '@millrace/ledger';
import { expect, it } from 'vitest';
import { createClaims } from './claims.ts';
import type { HeldClaim } from './claims.ts';
import { mayRun } from './run-apart.ts';

const POLICY = { maxDeaths: 3 };

function start() {
  const claims = createClaims({ leaseMs: 30_000, renew: async () => [], onError: () => undefined });
  let waitedMs = 0;
  const pauses: (() => void)[] = [];
  const pause = async (ms: number): Promise<void> => {
    waitedMs += ms;
    pauses.shift()?.();
  };
  const hold = (key: string, deaths: number): HeldClaim =>
    claims.hold({ jobId: 'job_1', key, fence: 1, deaths } as ClaimedStep);
  return {
    claims,
    hold,
    ask: (held: HeldClaim) => mayRun({ claims, policy: POLICY, pause }, held),
    /** What happens in the first pause, the second, and so on. */
    inPauses: (...happenings: (() => void)[]) => pauses.push(...happenings),
    waitedMs: () => waitedMs,
  };
}

it('lets steps run together that have more than one death left', async () => {
  const { hold, ask, waitedMs } = start();
  const [one, other] = [hold('one', 0), hold('other', 1)];
  expect([await ask(one), await ask(other), waitedMs()]).toEqual([true, true, 0]);
});

it('lets one step at a time run that has one death left, however many others run', async () => {
  const { hold, ask } = start();
  hold('harmless', 1);
  const [first, second] = [hold('first', 2), hold('second', 2)];
  expect([await ask(first), await ask(second)]).toEqual([true, false]);
  first.release();
  expect(await ask(second)).toBe(true);
});

it('waits until those that came with it have been handed back, also those that come a moment later', async () => {
  const { claims, hold, ask, inPauses, waitedMs } = start();
  const [first, second] = [hold('first', 2), hold('second', 2)];
  let third: HeldClaim | undefined;
  const nothing = () => undefined;
  inPauses(
    nothing,
    () => second.release(),
    nothing,
    () => (third = hold('third', 2)),
    nothing,
    nothing,
    () => third!.release(),
  );
  expect(await ask(first)).toBe(true);
  expect(claims.size).toBe(1);
  expect(waitedMs()).toBe(700);
});

it('waits two seconds at most, and not when it is told to end', async () => {
  const { claims, hold, ask, inPauses, waitedMs } = start();
  const first = hold('first', 2);
  hold('stays', 2);
  await ask(first);
  expect(waitedMs()).toBe(2_000);
  inPauses(() => claims.abortAll('shutdown'));
  await ask(first);
  expect(waitedMs()).toBe(2_100);
});
