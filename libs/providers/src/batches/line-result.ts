import { noUsage } from '@millrace/contracts';
import { makeFailure } from '../failures/failure.ts';
import type { Verdict } from '../failures/failure.ts';
import { AnswerRecord } from '../sending/answer-record.ts';
import { toAnswer } from '../sending/finished-answer.ts';
import { estimateTextTokens } from '../tokens/estimate-input-tokens.ts';
import type { BatchLineResult } from './batch-port.ts';

/** What reading the lines of one provider's batches needs to know. */
export interface LineReading {
  provider: string;
  tokenizerFactor: (model: string) => number;
}

/** What a line says of itself when it brought no answer. `field`: the name of the parameter that was wrong, never its value. */
export interface LineFailure {
  verdict: Verdict;
  httpStatus: number | null;
  providerCode: string | null;
  providerRequestId: string | null;
  field: string | null;
}

/** An empty record for a line's answer. */
export function lineRecord(): AnswerRecord {
  return new AnswerRecord(() => undefined);
}

/**
 * The result of a line whose answer stands in the record, judged as a realtime answer is. The tier is always `batch`: the
 * vendors name the tier of the computation there, not the price.
 */
export function concludeLine(reading: LineReading, customId: string, record: AnswerRecord): BatchLineResult {
  record.serviceTier = 'batch';
  const { ending } = record;
  if (ending === null) return unreadableLine(reading, customId);
  if (ending.kind === 'answered') {
    const answer = toAnswer(record, ending.finish, record.model ?? '', () => estimateUsage(reading, record));
    return { customId, kind: 'answered', answer };
  }
  const error = makeFailure(ending.verdict, {
    provider: reading.provider,
    httpStatus: record.httpStatus,
    providerCode: ending.providerCode,
    providerRequestId: record.providerRequestId,
    usage: record.usage,
    // The vendor's words may quote the prompt, which is not at hand here to compare.
    detail: null,
    retryAfterMs: null,
  });
  return { customId, kind: 'error', error };
}

/** The result of a line that the vendor refused or failed. */
export function failedLine(reading: LineReading, customId: string, failure: LineFailure): BatchLineResult {
  const { verdict, httpStatus, providerCode, providerRequestId, field } = failure;
  const error = makeFailure(verdict, {
    provider: reading.provider,
    httpStatus,
    providerCode,
    providerRequestId,
    usage: null,
    detail: field === null ? null : `parameter ${field}`,
    retryAfterMs: null,
  });
  return { customId, kind: 'error', error };
}

/** The result of a line that brought something nobody can read; it may have been billed. */
export function unreadableLine(reading: LineReading, customId: string): BatchLineResult {
  return failedLine(reading, customId, {
    verdict: { code: 'provider_bad_answer', retry: true, scope: 'call', maybeBilled: true },
    httpStatus: null,
    providerCode: null,
    providerRequestId: null,
    field: null,
  });
}

/** Whose line it is, from a line that is no JSON; null when even that cannot be told. */
export function customIdOfWreck(line: string): string | null {
  return /"custom_id"\s*:\s*"([A-Za-z0-9_-]{1,64})"/.exec(line)?.[1] ?? null;
}

/** A parameter's name such as `input[0].content`; null for anything that could be more than a name. */
export function fieldName(text: unknown): string | null {
  return typeof text === 'string' && /^[a-z_][\w.[\]]{0,79}$/.test(text) ? text : null;
}

/** The output is counted; of the input nothing is known here. */
function estimateUsage(reading: LineReading, record: AnswerRecord) {
  const known = record.usage ?? noUsage;
  const counted = estimateTextTokens(record.text, reading.tokenizerFactor(record.model ?? ''));
  return { ...known, outputTokens: Math.max(known.outputTokens, counted) };
}
