import { badAnswer, askVendor, isNotFound, notYet } from './ask-vendor.ts';
import type { BatchVendor } from './ask-vendor.ts';
import type { BatchLineResult } from './batch-port.ts';
import { BrokenLines, readLines } from './json-lines.ts';
import { TransportFailure } from '../sending/transport-failure.ts';

/** Where a file of results comes from. */
interface ResultSource {
  /** True while the vendor may still be late with it, so that a 404 means "not yet". */
  isLate: boolean;
  open: () => Promise<Response>;
}

/**
 * The results of one file, one at a time. Reading as slowly as one likes holds nothing in memory. A line that is broken is
 * its own misfortune; a file that breaks off throws a `RetryableError`, and reading it again brings the same lines.
 */
export async function* readResults(
  vendor: BatchVendor,
  signal: AbortSignal,
  read: (line: string) => BatchLineResult | null,
  source: ResultSource,
): AsyncGenerator<BatchLineResult, void, undefined> {
  const response = await openResults(vendor, signal, source);
  if (!response.body) throw badAnswer(vendor, 'a result file without content');
  const lines = readLines(response.body, signal);
  try {
    for (;;) {
      const next = await askVendor(vendor, signal, () => nextLine(vendor, lines));
      if (next.done) return;
      const result = read(next.value);
      if (result !== null) yield result;
    }
  } finally {
    await lines.return();
  }
}

async function openResults(
  vendor: BatchVendor,
  signal: AbortSignal,
  { isLate, open }: ResultSource,
): Promise<Response> {
  try {
    return await askVendor(vendor, signal, open);
  } catch (error) {
    if (isLate && isNotFound(error)) throw notYet(vendor, 'the result file is not there yet');
    throw error;
  }
}

/** A body that breaks off is the network's failure, and so far undone work. */
async function nextLine(vendor: BatchVendor, lines: ReturnType<typeof readLines>) {
  try {
    return await lines.next();
  } catch (error) {
    if (error instanceof BrokenLines) throw badAnswer(vendor, error.message);
    throw new TransportFailure(error, 'answer');
  }
}
