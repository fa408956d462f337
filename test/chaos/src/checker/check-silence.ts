import type { Evidence } from '../observer/evidence.ts';
import type { FaultEntry, ProviderCall } from '../observer/journals.ts';
import type { Finding } from './check.ts';

/** A call that leaves so soon after a refusal was allowed to before anybody could know of it. */
const UNDERWAY_MS = 250;
const emptyAccount = ['insufficient_quota', 'spend_limit', 'invalid_key'];

/**
 * I7. After a refusal that named a time, the account is left alone until then; an account without quota is asked at most
 * once per `probeMs` (as the fault's entry says), apart from what was on its way.
 */
export function checkSilence({ run, provider, faults, jobs }: Evidence): Finding[] {
  const departures = new Map(
    jobs.flatMap(({ steps }) =>
      steps.flatMap((step) =>
        step.attempts.map((attempt) => [attempt.request_tag, attempt.sent_at] as const),
      ),
    ),
  );
  // When it left: on a busy machine it may arrive a good while later.
  const leftAt = (call: ProviderCall): number => Date.parse(departures.get(call.stepId ?? '') ?? call.at);
  return faults
    .filter((fault) => fault.landed && fault.target === 'provider' && fault.run === run)
    .flatMap((fault) => {
      const account = fault.detail?.['account'];
      const calls = provider.filter((call) => account === undefined || call.account === account);
      return [...checkRetryAfter(fault, calls, leftAt), ...checkEmptyAccount(fault, calls)];
    });
}

function checkRetryAfter(
  fault: FaultEntry,
  calls: readonly ProviderCall[],
  leftAt: (call: ProviderCall) => number,
): Finding[] {
  const retryAfterMs = fault.detail?.['retryAfterMs'];
  if (typeof retryAfterMs !== 'number') return [];
  const refusals = calls.filter((call) => call.end?.status === 429 && call.end.fault !== null);
  return refusals.flatMap((refusal) => {
    const refusedAt = Date.parse(refusal.end?.at ?? '');
    const early = calls.filter((call) => {
      const arrivedAfter = Date.parse(call.at) - refusedAt;
      return leftAt(call) - refusedAt > UNDERWAY_MS && arrivedAfter < retryAfterMs - 5;
    });
    if (early.length === 0) return [];
    return [{ about: refusal.stepId ?? '', what: `${early.length} calls before Retry-After had passed` }];
  });
}

function checkEmptyAccount(fault: FaultEntry, calls: readonly ProviderCall[]): Finding[] {
  const probeMs = fault.detail?.['probeMs'];
  if (typeof probeMs !== 'number') return [];
  const refusals = calls.filter((call) => emptyAccount.includes(call.end?.fault ?? ''));
  const first = refusals[0]?.end;
  if (!first) return [];
  const firstAt = Date.parse(first.at);
  const later = refusals.filter((call) => Date.parse(call.at) > firstAt + UNDERWAY_MS);
  const allowed = Math.ceil((Date.parse(fault.endAt) - firstAt) / probeMs);
  if (later.length <= allowed) return [];
  return [
    { about: fault.id, what: `an empty account was asked ${later.length} times, ${allowed} are allowed` },
  ];
}
