import type { Response as OpenAIResponse } from 'openai/resources/responses/responses';
import { z } from 'zod';
import {
  concludeLine,
  customIdOfWreck,
  failedLine,
  fieldName,
  lineRecord,
  unreadableLine,
} from '../batches/line-result.ts';
import type { LineReading } from '../batches/line-result.ts';
import type { BatchLineResult } from '../batches/batch-port.ts';
import type { ProviderCall } from '../provider.ts';
import { toEmbeddingsBody } from './embeddings-request.ts';
import { judgeOpenAIError } from './openai-errors.ts';
import { recordEmbeddings } from './record-embeddings.ts';
import { recordResponse } from './record-response.ts';
import { toResponsesBody } from './responses-request.ts';

/** The endpoints of our batches; a batch has one. */
const TEXT_ENDPOINT = '/v1/responses';
const VECTOR_ENDPOINT = '/v1/embeddings';
export type BatchEndpoint = typeof TEXT_ENDPOINT | typeof VECTOR_ENDPOINT;

/** A line of the input file. No `service_tier`: the batch is one. */
export function toBatchLine(customId: string, call: ProviderCall): string {
  return JSON.stringify({
    custom_id: customId,
    method: 'POST',
    ...(call.embedding
      ? { url: VECTOR_ENDPOINT, body: toEmbeddingsBody(call) }
      : { url: TEXT_ENDPOINT, body: toResponsesBody(call) }),
  });
}

/** Where a line that {@link toBatchLine} has made belongs. */
export function endpointOfLine(line: string): BatchEndpoint {
  return toBatchEndpoint(z.object({ url: z.string() }).safeParse(parseJson(line)).data?.url);
}

/** A name that was kept; the endpoint for text where none was. */
export function toBatchEndpoint(name: string | undefined): BatchEndpoint {
  return name === VECTOR_ENDPOINT ? VECTOR_ENDPOINT : TEXT_ENDPOINT;
}

const lineSchema = z.object({
  custom_id: z.string(),
  response: z.object({ status_code: z.int(), request_id: z.string().nullish(), body: z.unknown() }).nullish(),
  error: z.object({ code: z.string().nullish() }).nullish(),
});

const messageSchema = z.looseObject({
  type: z.literal('message'),
  content: z.array(
    z.union([
      z.looseObject({ type: z.literal('output_text'), text: z.string() }),
      z.looseObject({ type: z.literal('refusal'), refusal: z.string() }),
    ]),
  ),
});

/** What of a response's body {@link recordResponse} relies on. */
const endedResponseSchema = z.looseObject({
  id: z.string(),
  model: z.string(),
  status: z.enum(['completed', 'incomplete', 'failed']),
  output: z.array(
    z.union([messageSchema, z.looseObject({ type: z.string().refine((type) => type !== 'message') })]),
  ),
});

const errorBodySchema = z.object({
  error: z.object({
    code: z.string().nullish(),
    type: z.string().nullish(),
    param: z.string().nullish(),
  }),
});

/** The result that a line of the output or the error file holds; null when it cannot be told whose line it is. */
export function readBatchLine(reading: LineReading, line: string): BatchLineResult | null {
  const parsed = lineSchema.safeParse(parseJson(line));
  if (!parsed.success) {
    const customId = customIdOfWreck(line);
    return customId === null ? null : unreadableLine(reading, customId);
  }
  const { custom_id: customId, response, error } = parsed.data;
  // A status 0 is the vendor's way to say that the request never came to an answer.
  if (!response || response.status_code === 0) return readVendorError(reading, customId, error?.code ?? null);
  if (response.status_code < 200 || response.status_code >= 300) {
    return readErrorAnswer(reading, customId, response.status_code, response);
  }
  const record = lineRecord();
  record.httpStatus = response.status_code;
  record.providerRequestId = response.request_id ?? null;
  if (recordEmbeddings(response.body, record)) return concludeLine(reading, customId, record);
  const ended = endedResponseSchema.safeParse(response.body);
  if (!ended.success) return unreadableLine(reading, customId);
  recordResponse(ended.data as unknown as OpenAIResponse, record);
  return concludeLine(reading, customId, record);
}

/** The request never came to an answer: expired or cancelled with its batch, or lost by the vendor. Nothing is billed. */
function readVendorError(reading: LineReading, customId: string, code: string | null): BatchLineResult {
  if (code === 'batch_expired') return { customId, kind: 'unbilled', reason: 'expired' };
  if (code === 'batch_cancelled') return { customId, kind: 'unbilled', reason: 'cancelled' };
  const failure = { httpStatus: null, providerCode: code, providerRequestId: null, field: null };
  return failedLine(reading, customId, { ...failure, verdict: judgeOpenAIError(500, code) });
}

function readErrorAnswer(
  reading: LineReading,
  customId: string,
  status: number,
  response: { request_id?: string | null | undefined; body: unknown },
): BatchLineResult {
  const { code, type, param } = errorBodySchema.safeParse(response.body).data?.error ?? {};
  const providerCode = [code, type].find((each) => typeof each === 'string' && each !== '') ?? null;
  return failedLine(reading, customId, {
    verdict: judgeOpenAIError(status, providerCode),
    httpStatus: status,
    providerCode,
    providerRequestId: response.request_id ?? null,
    field: fieldName(param),
  });
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
