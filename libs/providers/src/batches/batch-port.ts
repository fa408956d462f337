import type { RetryableError, TerminalError } from '@millrace/contracts';
import type { ProviderAnswer, ProviderCall } from '../provider.ts';

/** How far a provider batch is, in one vocabulary for all vendors. The last four are final. */
export const batchPhases = [
  'validating',
  'in_progress',
  'finalizing',
  'cancelling',
  'completed',
  'failed',
  'expired',
  'cancelled',
] as const;
export type BatchPhase = (typeof batchPhases)[number];

/** What one provider batch may hold. */
export interface BatchLimits {
  maxRequests: number;
  /** Bytes of all lines together. */
  maxBytes: number;
  /** Texts of all lines together where they ask for vectors; absent where there is no such limit. */
  maxEmbeddingInputs?: number;
  /** True where all lines of a batch must name the same model. */
  oneModel: boolean;
}

/** A provider batch as its vendor shows it. */
export interface ProviderBatch {
  /** The vendor's own id. */
  providerBatchId: string;
  phase: BatchPhase;
  /** Lines by outcome; null where the vendor does not tell yet (Anthropic before the end). */
  counts: { total: number; completed: number; failed: number } | null;
  /** Milliseconds since 1970. */
  createdAt: number;
  expiresAt: number | null;
  endedAt: number | null;
  /** Why the whole batch failed, null when it did not. */
  failure: { code: string; message: string } | null;
  /** Whatever the adapter needs to read and to discard the results (file ids); JSON, kept with the batch in the ledger. */
  handles: Record<string, string>;
  /** Tokens of the whole batch where the vendor sums them up. */
  usage: { inputTokens: number; outputTokens: number } | null;
}

/** What came of one line. `unbilled`: expired, cancelled or lost with its batch; it may be sent elsewhere. */
export type BatchLineResult = {
  customId: string;
} & (
  | { kind: 'answered'; answer: ProviderAnswer }
  | { kind: 'error'; error: TerminalError | RetryableError }
  | { kind: 'unbilled'; reason: 'expired' | 'cancelled' }
);

/** A step of a submission that must be known after a crash: recorded before the next one begins. What it throws passes. */
export interface SubmissionProgress {
  /** Handles of what exists at the vendor by now, such as the uploaded input file. */
  onUploaded(handles: Record<string, string>): Promise<void>;
}

/** A batch that is about to be submitted. */
export interface BatchSubmission {
  /** Ours, in the vendor's metadata where it has any and in each `custom_id` as its first part. */
  batchId: string;
  model: string;
  lineCount: number;
  /** Lines as {@link BatchPort.toLine} made them, all for text or all for vectors; read once, never held together in memory where the vendor allows it. */
  lines: AsyncIterable<string>;
  /** What an earlier, interrupted try left at the vendor. */
  handles: Record<string, string>;
  signal: AbortSignal;
}

/** A vendor's batch API. Errors are `TerminalError` and `RetryableError` of contracts, as with single calls. */
export interface BatchPort {
  readonly limits: BatchLimits;
  /** Why this call cannot ride in a batch of this vendor, null when it can. */
  refuse(call: ProviderCall): string | null;
  /** One line of the batch, JSON without a line break. `customId` matches `^[A-Za-z0-9_-]{1,64}$`. */
  toLine(customId: string, call: ProviderCall): string;
  /**
   * Uploads what must be uploaded and creates the batch. At most one batch comes of it; after an error whose failure has
   * `maybeBilled`, and after a crash, it may exist: ask {@link find}. An error that `lines` throws passes unchanged.
   */
  submit(submission: BatchSubmission, progress: SubmissionProgress): Promise<ProviderBatch>;
  /**
   * Batches that an interrupted submission may have created since `since` (ms since 1970): by metadata where the vendor
   * keeps it, or by the `custom_id`s of its results once it has ended (then it is `certain` ours), else all whose size and
   * time fit (`certain` false) and of which the caller must rule out those it knows as others'.
   */
  find(wanted: {
    batchId: string;
    lineCount: number;
    since: number;
  }): Promise<{ batch: ProviderBatch; certain: boolean }[]>;
  retrieve(providerBatchId: string): Promise<ProviderBatch>;
  /** Asks for the end; the phase follows later. A batch that has ended already is no error. */
  cancel(providerBatchId: string): Promise<void>;
  /**
   * Every line that has a result, of all result files, in no order, one at a time. Lines without a result are not named. A
   * loop that ends early closes the connection. Throws `RetryableError` when a file is not there yet or breaks off; read
   * again, the lines that were given come again. Aborting throws the signal's reason.
   */
  results(batch: ProviderBatch, signal: AbortSignal): AsyncIterable<BatchLineResult>;
  /** Deletes files at the vendor; those that are gone already are no error. */
  discard(batch: ProviderBatch): Promise<void>;
}
