import type { BatchLineResult, BatchPort, BatchSubmission, ProviderBatch } from '../batches/batch-port.ts';

/** Lines as an async source. */
export async function* linesOf(lines: Iterable<string>): AsyncGenerator<string, void, undefined> {
  for (const line of lines) yield await Promise.resolve(line);
}

/** A submission of the given lines; override what the test is about. */
export function aSubmission(lines: string[], overrides: Partial<BatchSubmission> = {}): BatchSubmission {
  return {
    batchId: 'bat_01',
    model: 'test-model',
    lineCount: lines.length,
    lines: linesOf(lines),
    handles: {},
    signal: new AbortController().signal,
    ...overrides,
  };
}

/** Progress that remembers what it was told. */
export function aProgress() {
  const told: Record<string, string>[] = [];
  return { told, onUploaded: (handles: Record<string, string>) => Promise.resolve(void told.push(handles)) };
}

/** All results of a batch, by custom id. */
export async function resultsOf(
  port: BatchPort,
  batch: ProviderBatch,
): Promise<Map<string, BatchLineResult>> {
  const results = new Map<string, BatchLineResult>();
  for await (const result of port.results(batch, new AbortController().signal)) {
    results.set(result.customId, result);
  }
  return results;
}

/** A batch that has ended well, as far as a test does not say else. */
export function endedBatch(overrides: Partial<ProviderBatch> = {}): ProviderBatch {
  return {
    providerBatchId: 'batch_1',
    phase: 'completed',
    counts: { total: 2, completed: 1, failed: 1 },
    createdAt: 0,
    expiresAt: null,
    endedAt: 0,
    failure: null,
    handles: {},
    usage: null,
    ...overrides,
  };
}
