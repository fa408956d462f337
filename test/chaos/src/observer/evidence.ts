import type { ClientEntry, FaultEntry, ProviderBatch, ProviderCall, SinkEntry } from './journals.ts';

/** All that is known of one run, from the four journals and from the public API. */
export interface Evidence {
  run: string;
  client: readonly ClientEntry[];
  sink: readonly SinkEntry[];
  provider: readonly ProviderCall[];
  /** The provider batches that steps of this run are lines of, and their doubles, in the order of their creation. */
  batches: readonly ProviderBatch[];
  /** The faults of this run, and those of others that hit the same processes meanwhile. */
  faults: readonly FaultEntry[];
  jobs: readonly JobRecord[];
  /** Lines of the product's logs since the run began that show what must not be in a log. */
  leaks: readonly { secret: string; line: string }[];
  /** Whether webhooks were to arrive for the endings of jobs. */
  expectsWebhooks: boolean;
  /**
   * How much of the live text must arrive; lifecycle events must in every case. `beginning`: a worker that stood still may
   * stop streaming an attempt. `none`: Redis lost its content or was away.
   */
  liveText: 'whole' | 'beginning' | 'none';
}

/** A job as the public API tells of it after the run. */
export interface JobRecord {
  job: ApiJob;
  steps: readonly ApiStep[];
  deliveries: readonly ApiDelivery[];
  /** The whole stream, read once more from its beginning. */
  events: readonly ApiEvent[];
}

export interface ApiJob {
  id: string;
  status: string;
  output: unknown;
  error: { code: string; message: string } | null;
  usage: { input_tokens: number; output_tokens: number; calls: number; ambiguous_calls: number };
  cost_usd: string;
  metadata: Record<string, string>;
  created_at: string;
  finished_at: string | null;
}

export interface ApiStep {
  key: string;
  status: string;
  lane: string;
  ambiguous: boolean;
  output: unknown;
  finished_at: string | null;
  attempts: readonly ApiAttempt[];
}

export interface ApiAttempt {
  number: number;
  target: string;
  status: string;
  purpose: string;
  request_tag: string;
  sent_at: string | null;
  finished_at: string | null;
  input_tokens: number;
  output_tokens: number;
}

export interface ApiDelivery {
  id: string;
  event_id: string;
  event_type: string;
  status: string;
  endpoint_id: string | null;
  url: string;
  tries: readonly { number: number; http_status: number | null }[];
}

export interface ApiEvent {
  id: number;
  type: string;
  at: string | null;
  step: string | null;
  text: string | null;
}

/** Something that must not be. */
export interface Violation {
  invariant: string;
  run: string;
  /** The job, step, key or delivery that it is about. */
  about: string;
  what: string;
}

export const terminalStatuses: readonly string[] = ['completed', 'failed', 'cancelled', 'expired'];
export const terminalEvents: readonly string[] = terminalStatuses.map((status) => `job.${status}`);
