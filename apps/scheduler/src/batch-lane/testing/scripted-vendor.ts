import { RetryableError, TerminalError, noUsage } from '@millrace/contracts';
import type { CallFailure } from '@millrace/contracts';
import type { BatchLineResult, BatchPhase, BatchPort, ProviderBatch } from '@millrace/providers';

/** A batch at the scripted vendor. */
export interface VendorBatch {
  shown: ProviderBatch;
  ours: string;
  customIds: string[];
}

/** A vendor's batch API in memory, steered by the test. */
export interface ScriptedVendor extends BatchPort {
  batches: VendorBatch[];
  uploads: number;
  discarded: string[];
  cancelled: string[];
  /** Throws what it returns at these points: before and after the upload, after the creation, in the middle of results, before a deletion. */
  breakAt: (point: string) => Error | null;
  /** What becomes of a line; an answer by default. */
  answer: (customId: string, body: unknown) => BatchLineResult | null;
  /** Ends every batch that runs. */
  end(phase?: BatchPhase): void;
  /** False: `find` cannot tell whose batch it is, as with Anthropic. */
  keepsMetadata: boolean;
  /** True: without metadata, the results of a batch that has ended tell `find` whose it is. */
  provesByResults: boolean;
  /** False: the lines stand in the request that creates the batch, as with Anthropic, and nothing is known of an upload. */
  keepsFiles: boolean;
  /** Input files that were deleted. */
  discardedFiles: string[];
}

export function answered(customId: string, text = `answer of ${customId}`): BatchLineResult {
  return {
    customId,
    kind: 'answered',
    answer: {
      text,
      finish: 'stop',
      usage: { ...noUsage, inputTokens: 100, outputTokens: 50 },
      usageEstimated: false,
      model: 'gpt-6-luna',
      serviceTier: 'batch',
      providerRequestId: `req_${customId}`,
      responseId: null,
      httpStatus: 200,
      limits: {},
    },
  };
}

const failure = (change: Partial<CallFailure>): CallFailure => ({
  code: 'provider_unavailable',
  provider: 'openai',
  httpStatus: 500,
  providerCode: null,
  providerRequestId: null,
  usage: null,
  maybeBilled: false,
  scope: 'call',
  ...change,
});

export const mayPass = (change: Partial<CallFailure> = {}) =>
  new RetryableError('it broke', failure(change), null);
export const refusal = (change: Partial<CallFailure> = {}) =>
  new TerminalError('refused', failure({ code: 'provider_refused_request', httpStatus: 400, ...change }));

const GONE = () => refusal({ httpStatus: 404 });

export function createScriptedVendor(): ScriptedVendor {
  const bodies = new Map<string, unknown>();
  const files = new Map<string, string[]>();
  const check = (point: string): void => {
    const error = vendor.breakAt(point);
    if (error) throw error;
  };
  const find = (id: string): VendorBatch => {
    const batch = vendor.batches.find((each) => each.shown.providerBatchId === id);
    if (!batch) throw GONE();
    return batch;
  };
  const vendor: ScriptedVendor = {
    limits: { maxRequests: 10_000, maxBytes: 100_000_000, oneModel: true },
    batches: [],
    uploads: 0,
    discarded: [],
    cancelled: [],
    keepsMetadata: true,
    provesByResults: false,
    keepsFiles: true,
    discardedFiles: [],
    breakAt: () => null,
    answer: (customId) => answered(customId),
    refuse: () => null,
    toLine: (customId, call) => JSON.stringify({ customId, call }),
    async submit(submission, progress) {
      let file = submission.handles['inputFileId'];
      if (file === undefined) {
        check('before-upload');
        const ids: string[] = [];
        for await (const line of submission.lines) {
          const { customId, call } = JSON.parse(line) as { customId: string; call: unknown };
          ids.push(customId);
          bodies.set(customId, call);
        }
        vendor.uploads += 1;
        file = `file_${vendor.uploads}`;
        files.set(file, ids);
        check('after-upload');
        if (vendor.keepsFiles) await progress.onUploaded({ inputFileId: file });
      }
      check('before-create');
      const customIds = files.get(file) ?? [];
      const shown: ProviderBatch = {
        providerBatchId: `vendor_${vendor.batches.length + 1}`,
        phase: 'validating',
        counts: null,
        createdAt: Date.now(),
        expiresAt: Date.now() + 86_400_000,
        endedAt: null,
        failure: null,
        handles: vendor.keepsFiles ? { inputFileId: file } : {},
        usage: null,
      };
      vendor.batches.push({ shown, ours: submission.batchId, customIds });
      check('after-create');
      return shown;
    },
    async find({ batchId, lineCount, since }) {
      const fits = vendor.batches.filter(
        (each) =>
          each.shown.createdAt >= since - 1000 &&
          (vendor.keepsMetadata ? each.ours === batchId : each.customIds.length === lineCount),
      );
      const isProven = (each: VendorBatch) => vendor.provesByResults && each.shown.endedAt !== null;
      return fits
        .filter((each) => !isProven(each) || each.ours === batchId)
        .map((each) => ({ batch: each.shown, certain: vendor.keepsMetadata || isProven(each) }));
    },
    async retrieve(id) {
      check('retrieve');
      return find(id).shown;
    },
    async cancel(id) {
      vendor.cancelled.push(id);
    },
    async *results(batch) {
      const { customIds } = find(batch.providerBatchId);
      let given = 0;
      // In no order, as the vendors give them.
      for (const customId of customIds.toReversed()) {
        check(`result ${given}`);
        given += 1;
        const result = vendor.answer(customId, bodies.get(customId));
        if (result) yield result;
      }
    },
    async discard(batch) {
      check('discard');
      vendor.discarded.push(batch.providerBatchId);
      if (batch.handles['inputFileId']) vendor.discardedFiles.push(batch.handles['inputFileId']);
    },
    end(phase = 'completed') {
      for (const batch of vendor.batches) {
        if (batch.shown.endedAt === null) batch.shown = { ...batch.shown, phase, endedAt: Date.now() };
      }
    },
  };
  return vendor;
}
