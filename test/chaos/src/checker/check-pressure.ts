import type { Evidence } from '../observer/evidence.ts';
import type { Finding } from './check.ts';

/** Calls per step that the goal allows while a provider is down. */
const MOST_PER_STEP = 1.1;

/**
 * I8. While a provider is down (a fault whose entry names `probes`, the number of looks that are allowed), the calls sent
 * are at most 1.1 per step, and the probes.
 */
export function checkPressure({ run, provider, faults }: Evidence): Finding[] {
  return faults.flatMap((fault) => {
    const probes = fault.detail?.['probes'];
    if (!fault.landed || fault.run !== run || typeof probes !== 'number') return [];
    const account = fault.detail?.['account'];
    const during = provider.filter(
      (call) =>
        call.account === account &&
        call.step !== null &&
        Date.parse(call.at) >= Date.parse(fault.startAt) &&
        Date.parse(call.at) <= Date.parse(fault.endAt),
    );
    const steps = new Set(during.map((call) => call.step)).size;
    const allowed = MOST_PER_STEP * steps + probes;
    if (during.length <= allowed) return [];
    return [
      {
        about: fault.id,
        what: `${during.length} calls for ${steps} steps, ${Math.floor(allowed)} are allowed`,
      },
    ];
  });
}
