import type { TransportFailure } from '../sending/transport-failure.ts';
import type { Verdict } from './failure.ts';

/** A failure below HTTP: billed perhaps, unless the connection was never made. */
export function networkVerdict(failure: TransportFailure): Verdict {
  return {
    code: failure.timedOut ? 'provider_timeout' : 'provider_unavailable',
    retry: true,
    scope: failure.maybeSent ? 'call' : 'target',
    maybeBilled: failure.maybeSent,
  };
}
