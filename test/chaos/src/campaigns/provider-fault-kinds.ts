import type { ProxyFault } from '../stack/tcp-proxy.ts';

/** Something a provider, or the network to it, can do. */
export interface ProviderFault {
  /** As the simulator calls it, or `network-…`. */
  name: string;
  /** The row of the table. */
  group: string;
  /** Parameters of the simulator's rule. */
  parameters?: Record<string, unknown>;
  network?: NonNullable<ProxyFault>;
  /** How many jobs come in the minute; 40 by default. */
  jobs?: number;
  /** How jobs may end. */
  ends: readonly string[];
  /** The answers of completed jobs are not the ones that were asked for. */
  spoils?: boolean;
  /** What the checker is to watch, at this share of the calls. */
  watch?: (share: number) => Record<string, unknown>;
}

const either = ['completed', 'failed'];
/** An outage of a minute is sat out. */
const satOut = ['completed'];
/** The retry budget of two workers: ten saved retries each, and one a second in the minute. */
const probes = (share: number): Record<string, unknown> => (share === 1 ? { probes: 2 * (10 + 60) } : {});
const RETRY_AFTER_S = 2;
const limited = {
  group: 'limits',
  parameters: { retry_after: RETRY_AFTER_S },
  ends: satOut,
  watch: () => ({ retryAfterMs: RETRY_AFTER_S * 1_000 }),
};
const empty = { group: 'account', ends: either, watch: () => ({ probeMs: 5_000 }) };
const outage = { group: 'outage', ends: satOut, watch: probes, jobs: 150 };
const wire = { group: 'wire', ends: satOut };
const refusal = { group: 'refusal', ends: either };
const odd = { group: 'answer', ends: either, spoils: true };

/** Every fault of the simulator that a call can meet, and four of the network. */
export const providerFaults: readonly ProviderFault[] = [
  { name: 'rate_limit', ...limited },
  { name: 'rate_limit_tokens', ...limited },
  { name: 'insufficient_quota', ...empty },
  { name: 'spend_limit', ...empty },
  { name: 'invalid_key', ...empty },
  { name: 'flex_unavailable', group: 'outage', ends: either },
  { name: 'permission', ...refusal },
  { name: 'bad_request', ...refusal },
  { name: 'context_length', ...refusal },
  { name: 'content_policy', ...refusal },
  { name: 'server_error', ...outage },
  { name: 'bad_gateway', ...outage },
  { name: 'unavailable', ...outage },
  { name: 'slow_down', ...outage },
  { name: 'gateway_timeout', ...outage },
  { name: 'overloaded', ...outage },
  { name: 'hang', ...wire },
  { name: 'reset', ...wire },
  { name: 'truncate', ...wire },
  { name: 'stream_error', ...wire },
  { name: 'garbage', ...wire },
  { name: 'slow_first_byte', ...wire, parameters: { ms: 3_000 } },
  { name: 'wrong_usage', ...odd },
  { name: 'missing_usage', ...odd },
  { name: 'empty_output', ...odd },
  { name: 'invalid_json', ...odd },
  { name: 'refusal', ...odd },
  { name: 'max_tokens', ...odd },
  { name: 'network-latency', ...wire, network: { kind: 'latency', ms: 100 } },
  { name: 'network-cut', ...wire, network: { kind: 'cut', afterBytes: 1_500 } },
  { name: 'network-blackhole', ...wire, network: { kind: 'blackhole' } },
  { name: 'network-reset', ...wire, network: { kind: 'reset' } },
];
