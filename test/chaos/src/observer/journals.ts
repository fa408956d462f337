/*
 * What the four witnesses write down. None of them shares code with the product; instants are RFC 3339 texts of this
 * machine's clock, which all of them read.
 */

/** How a client's submission, and what it saw of its job, went. */
export type ClientEntry =
  | {
      kind: 'invoke';
      at: string;
      run: string;
      key: string;
      try: number;
      expect: Expectation;
      bodySha256: string;
    }
  | {
      kind: 'ok';
      at: string;
      run: string;
      key: string;
      try: number;
      status: number;
      jobId: string;
      replayed: boolean;
    }
  /** Refused: nothing was accepted. */
  | { kind: 'fail'; at: string; run: string; key: string; try: number; status: number; code: string | null }
  /** A time-out, a broken connection, or a 5xx: the job may be there or not. */
  | { kind: 'unknown'; at: string; run: string; key: string; try: number; why: string }
  /** The last try of a submission has failed, or was refused for good. */
  | { kind: 'gave-up'; at: string; run: string; key: string; tries: number; last: string }
  | { kind: 'connected'; at: string; run: string; jobId: string; connection: number; after: number }
  | StreamedEntry
  | { kind: 'disconnected'; at: string; run: string; jobId: string; connection: number; why: string }
  /** The job as one look at it showed it. */
  | { kind: 'seen'; at: string; run: string; jobId: string; status: string; output: unknown }
  /** A batch of the client's as it ended, and each line of its output and error files. */
  | {
      kind: 'batch';
      at: string;
      run: string;
      batchId: string;
      status: string;
      completed: number;
      failed: number;
    }
  | {
      kind: 'line';
      at: string;
      run: string;
      batchId: string;
      key: string;
      file: 'output' | 'error';
      text: string;
    }
  /** A request with another tenant's key. */
  | { kind: 'probe'; at: string; run: string; jobId: string; request: string; status: number };

export interface StreamedEntry {
  kind: 'event';
  at: string;
  run: string;
  jobId: string;
  connection: number;
  id: number;
  type: string;
  step: string | null;
  text: string | null;
}

/** How a submission should end. */
export interface Expectation {
  statuses: readonly string[];
  /** The exact output of a completed job; absent: anything. */
  output?: unknown;
}

/** A webhook as it arrived. */
export interface SinkEntry {
  at: string;
  path: string;
  webhookId: string | null;
  /** By the sink's own secret and the standardwebhooks package. */
  verified: boolean;
  type: string | null;
  jobId: string | null;
  jobStatus: string | null;
  /** What the sink answered. */
  answered: number;
}

/** A line of the provider simulator's journal, as far as the checker looks at it. */
export interface ProviderAccepted {
  event: 'accepted';
  sequence: number;
  at: string;
  account: string;
  method: string;
  path: string;
  model: string | null;
  stepId: string | null;
  batchId: string | null;
}

export interface ProviderEnded {
  event: 'ended';
  sequence: number;
  at: string;
  status: number | null;
  inputTokens: number;
  outputTokens: number;
  bytesSent: number;
  finished: boolean;
  aborted: boolean;
  fault: string | null;
}

/** One call, with its end if it has one. */
export interface ProviderCall extends Omit<ProviderAccepted, 'event'> {
  end: ProviderEnded | null;
  /** `job/step`: by the call's own tag, or by the attempt that names it as its line; null for what belongs to none. */
  step: string | null;
}

/** A note on a provider batch in the simulator's journal, as far as the checker looks at it. */
export type ProviderNote =
  | { event: 'batch.created'; at: string; account: string; batchId: string; contentSha256: string }
  | { event: 'batch.read'; batchId: string; customIdsSha256: string };

/** A batch that the provider created. */
export interface ProviderBatch {
  batchId: string;
  at: string;
  account: string;
  /** Of the uploaded bytes. */
  contentSha256: string;
  /** Of its lines' names; null: the provider had not read them. */
  customIdsSha256: string | null;
  /** The ordered fault that kept its creator from hearing of it; null: it was answered as it must be. */
  createFault: string | null;
}

/** A fault that was injected, and whether it landed where it was meant to. */
export interface FaultEntry {
  id: string;
  campaign: string;
  run: string;
  seed: number;
  /** What was done: `crash`, `kill`, `stop`, `redis.flushall`, `provider.server_error` … */
  kind: string;
  /** Whom it hit: `api`, `worker`, `scheduler`, `redis`, `postgres`, `provider`. */
  target: string;
  /** Where in the product's work it was meant to hit. */
  phase: string;
  startAt: string;
  /** When the target was well again as far as the injector knows; for a kill the instant of the kill. */
  endAt: string;
  landed: boolean;
  detail?: Record<string, unknown>;
}
