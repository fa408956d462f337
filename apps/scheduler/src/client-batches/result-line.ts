import type { ClientLineResult } from '@millrace/ledger';
import { toChatCompletion, toEmbeddings, toResponse } from './answer-bodies.ts';
import type { ResponseSettings } from './response-settings.ts';

/**
 * A line of an output or error file, in OpenAI's format and in pieces: of vectors one at a time. `settings` is for an answered
 * `/v1/responses` line.
 */
export function* toResultLine(
  line: ClientLineResult,
  endpoint: string,
  settings?: ResponseSettings,
): Generator<string, void> {
  if (!isAnswered(line)) yield toMissingAnswer(line);
  else if (endpoint === '/v1/embeddings') yield* toVectorLine(line);
  else yield write(line, { status_code: 200, body: toBody(line, endpoint, settings) }, null);
}

function toMissingAnswer(line: ClientLineResult): string {
  if (line.status === 'expired') return write(line, null, EXPIRED);
  if (line.status === 'cancelled') return write(line, null, CANCELLED);
  return write(line, toRefusal(line), null);
}

/** No text of a client can hold this: within a JSON string its quotes would be escaped. */
const NO_DATA = '"data":[]';

function* toVectorLine(line: ClientLineResult): Generator<string, void> {
  const { body, entries } = toEmbeddings(line);
  const text = write(line, { status_code: 200, body }, null);
  const end = text.indexOf(NO_DATA) + NO_DATA.length - 1;
  yield text.slice(0, end);
  let separator = '';
  for (const entry of entries) {
    yield `${separator}${JSON.stringify(entry)}`;
    separator = ',';
  }
  yield text.slice(end);
}

/** Whether a line belongs into the output file. */
export function isAnswered({ status, erased }: ClientLineResult): boolean {
  return status === 'completed' && !erased;
}

function toBody(line: ClientLineResult, endpoint: string, settings?: ResponseSettings): object {
  return endpoint === '/v1/responses' ? toResponse(line, settings) : toChatCompletion(line);
}

/** A line that never became a job: the batch was over before. */
export function toMissedLine(
  batchId: string,
  number: number,
  customId: string,
  reason: keyof typeof MISSED,
): string {
  const line = { jobId: `${batchId}_${number}`, customId };
  return write(line, null, MISSED[reason]);
}

/** As OpenAI words it (platform.openai.com, "Batch expiration"). */
const EXPIRED = {
  code: 'batch_expired',
  message: 'This request could not be executed before the completion window expired.',
};
const CANCELLED = {
  code: 'batch_cancelled',
  message: 'This request was not executed because the batch was cancelled.',
};

const INPUT_GONE = {
  code: 'input_file_missing',
  message: 'This request was not executed because the input file is gone.',
};
const MISSED = { cancelled: CANCELLED, expired: EXPIRED, input_gone: INPUT_GONE };

function write(
  line: Pick<ClientLineResult, 'jobId' | 'customId'>,
  response: { status_code: number; body: object } | null,
  error: { code: string; message: string } | null,
): string {
  return `${JSON.stringify({
    id: `batch_req_${line.jobId}`,
    custom_id: line.customId,
    response: response && {
      status_code: response.status_code,
      // The job: `GET /v1/jobs/{id}/steps` shows every attempt and the vendor's own request ids.
      request_id: line.jobId,
      body: response.body,
    },
    error,
  })}\n`;
}

/**
 * What the vendor answered with 200 and is no answer here. Sent again it would come to the same and be paid for again, which is
 * what clients do with a status of 500.
 */
const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  content_refused: 400,
  output_invalid: 422,
  output_truncated: 422,
};

/** What the vendor said, or what it would say. */
function toRefusal({ error, erased }: ClientLineResult): { status_code: number; body: object } {
  const status_code = statusOf(error);
  return {
    status_code,
    body: {
      error: {
        message: erased ? 'The content of this answer was deleted.' : (error?.message ?? NOT_RUN),
        type: status_code >= 500 ? 'server_error' : 'invalid_request_error',
        param: null,
        code: erased ? 'content_erased' : (error?.code ?? 'not_run'),
      },
    },
  };
}

function statusOf(error: ClientLineResult['error']): number {
  const status = error?.provider?.status ?? 0;
  if (status >= 400 && status < 600) return status;
  return STATUS_OF_CODE[error?.code ?? ''] ?? 500;
}

const NOT_RUN =
  'This request could not be run: the configuration has changed, or its idempotency key was taken.';
