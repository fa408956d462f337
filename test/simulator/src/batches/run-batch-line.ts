import { createHash } from 'node:crypto';
import { composeAnswer } from '../answer/compose-answer.ts';
import type { AnswerWriter } from '../answer/answer-writer.ts';
import type { Answer } from '../answer/compose-answer.ts';
import type { ModelCall } from '../answer/model-call.ts';
import { noTokens, usdText, type BilledTokens } from '../billing/bill.ts';
import { errorOfFault } from '../faults/error-faults.ts';
import { isErrorFault, type Fault } from '../faults/fault-kinds.ts';
import { isVendorError, type VendorError } from '../http/vendor-error.ts';
import { stringOf, type JsonObject } from '../json-value.ts';
import type { Vendor } from '../model-catalogue.ts';
import type { Simulator } from '../simulator.ts';

/** One line of a provider batch. */
interface BatchLine {
  readonly dialect: Vendor;
  readonly account: string;
  readonly batchId: string;
  readonly customId: string;
  readonly path: string;
  readonly body: JsonObject;
  /** What befalls it if neither its prompt nor a rule orders another fault. */
  readonly fault: Fault | null;
}

/** How a line's endpoint reads and writes. */
export interface LineEndpoint {
  readonly read: (body: JsonObject) => ModelCall | VendorError;
  readonly write: (call: ModelCall, answer: Answer) => AnswerWriter;
}

export type LineOutcome =
  | {
      readonly kind: 'answered';
      readonly body: unknown;
      readonly billed: BilledTokens;
      readonly nanoUsd: number;
    }
  | { readonly kind: 'refused'; readonly error: VendorError }
  /** Never answered: the batch's window ends first. */
  | { readonly kind: 'stuck' };

/** Runs one line at half price, outside the rate limits, with a journal entry and the faults that its prompt orders. */
export function runBatchLine(simulator: Simulator, line: BatchLine, endpoint: LineEndpoint): LineOutcome {
  const text = JSON.stringify(line.body);
  const bodySha256 = createHash('sha256').update(text).digest('hex');
  const sequence = simulator.journal.accept({
    account: line.account,
    dialect: line.dialect,
    method: 'BATCH',
    path: line.path,
    model: stringOf(line.body['model']),
    bodySha256,
    bodyBytes: Buffer.byteLength(text),
    stepId: line.customId,
    stream: false,
    batchId: line.batchId,
  });
  const { outcome, fault } = outcomeOf(simulator, line, endpoint);
  const billed = outcome.kind === 'answered' ? outcome.billed : noTokens();
  const status = outcome.kind === 'answered' ? 200 : outcome.kind === 'refused' ? outcome.error.status : null;
  simulator.journal.end({
    sequence,
    status,
    chargedTokens: 0,
    bytesSent: outcome.kind === 'answered' ? Buffer.byteLength(JSON.stringify(outcome.body)) : 0,
    inputTokens: billed.inputTokens,
    cachedInputTokens: billed.cachedInputTokens,
    outputTokens: billed.outputTokens,
    finished: outcome.kind !== 'stuck',
    aborted: false,
    fault,
  });
  simulator.journal.note({
    event: 'line.ended',
    account: line.account,
    batchId: line.batchId,
    customId: line.customId,
    result: RESULTS[outcome.kind],
    status,
    inputTokens: billed.inputTokens,
    outputTokens: billed.outputTokens,
    billedUsd: usdText(outcome.kind === 'answered' ? outcome.nanoUsd : 0),
  });
  return outcome;
}

const RESULTS = { answered: 'succeeded', refused: 'errored', stuck: 'stuck' } as const;

function outcomeOf(
  simulator: Simulator,
  line: BatchLine,
  endpoint: LineEndpoint,
): { outcome: LineOutcome; fault: string | null } {
  const call = endpoint.read(line.body);
  if (isVendorError(call)) return { outcome: { kind: 'refused', error: call }, fault: null };
  const ordered = simulator.faults.choose({
    dialect: line.dialect,
    path: line.path,
    method: 'BATCH',
    model: call.model,
    account: line.account,
    promptText: call.promptText,
    markers: call.markers.faults,
    countBy: line.customId,
  });
  const fault = ordered ?? line.fault;
  if (fault !== null && isErrorFault(fault.kind)) {
    const error = errorOfFault(line.dialect, fault.kind, fault, call.model);
    return { outcome: { kind: 'refused', error }, fault: fault.kind };
  }
  if (fault?.kind === 'hang') return { outcome: { kind: 'stuck' }, fault: fault.kind };
  const answer = composeAnswer(call, fault, {
    counter: simulator.counter,
    cachedTokens: 0,
    cacheWriteTokens: 0,
    reasoningTokens: simulator.config().reasoningTokens,
  });
  const nanoUsd = simulator.bill.add(line.account, call.card, 'batch', answer.billed);
  const body = endpoint.write(call, answer).whole();
  return { outcome: { kind: 'answered', body, billed: answer.billed, nanoUsd }, fault: fault?.kind ?? null };
}

/** A fixed order in which lines are answered: not the order of the input, as with the vendors. */
export function answerOrder(position: number, total: number): number {
  const stride = [7_919, 104_729, 5, 3].find((each) => total % each !== 0) ?? 1;
  return (position * stride + Math.floor(total / 2)) % Math.max(1, total);
}
