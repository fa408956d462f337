import type { Message } from '@anthropic-ai/sdk/resources/messages';
import { z } from 'zod';
import type { BatchLineResult } from '../batches/batch-port.ts';
import {
  concludeLine,
  customIdOfWreck,
  failedLine,
  fieldName,
  lineRecord,
  unreadableLine,
} from '../batches/line-result.ts';
import type { LineReading } from '../batches/line-result.ts';
import type { ProviderCall } from '../provider.ts';
import { judgeAnthropicError } from './anthropic-errors.ts';
import { toMessagesBody } from './messages-request.ts';
import { recordMessage } from './record-message.ts';

/** One request of a batch. */
export function toBatchRequest(customId: string, call: ProviderCall): string {
  return JSON.stringify({ custom_id: customId, params: toMessagesBody(call) });
}

const errorSchema = z.object({
  error: z.object({
    type: z.string().nullish(),
    message: z.string().nullish(),
    details: z.object({ error_code: z.string().nullish() }).nullish(),
  }),
  request_id: z.string().nullish(),
});

const lineSchema = z.object({
  custom_id: z.string(),
  result: z.discriminatedUnion('type', [
    z.object({ type: z.literal('succeeded'), message: z.unknown() }),
    z.object({ type: z.literal('errored'), error: z.unknown() }),
    z.object({ type: z.literal('canceled') }),
    z.object({ type: z.literal('expired') }),
  ]),
});

/** What of a message {@link recordMessage} relies on. */
const messageSchema = z.looseObject({
  id: z.string(),
  model: z.string(),
  content: z.array(
    z.union([
      z.looseObject({ type: z.literal('text'), text: z.string() }),
      z.looseObject({ type: z.string().refine((type) => type !== 'text') }),
    ]),
  ),
  stop_reason: z.string().nullable(),
});

/** The result that a line of the results file holds; null when it cannot be told whose line it is. */
export function readBatchResult(reading: LineReading, line: string): BatchLineResult | null {
  const parsed = lineSchema.safeParse(parseJson(line));
  if (!parsed.success) {
    const customId = customIdOfWreck(line);
    return customId === null ? null : unreadableLine(reading, customId);
  }
  const { custom_id: customId, result } = parsed.data;
  switch (result.type) {
    case 'succeeded':
      return readMessage(reading, customId, result.message);
    case 'errored':
      return readError(reading, customId, result.error);
    case 'canceled':
      return { customId, kind: 'unbilled', reason: 'cancelled' };
    case 'expired':
      return { customId, kind: 'unbilled', reason: 'expired' };
  }
}

function readMessage(reading: LineReading, customId: string, value: unknown): BatchLineResult {
  const message = messageSchema.safeParse(value);
  if (!message.success) return unreadableLine(reading, customId);
  const record = lineRecord();
  record.httpStatus = 200;
  recordMessage(message.data as unknown as Message, record);
  return concludeLine(reading, customId, record);
}

/** No status comes with it, and whatever is not `succeeded` is not billed (guide "Batch processing"). */
function readError(reading: LineReading, customId: string, value: unknown): BatchLineResult {
  const { error, request_id: requestId } = errorSchema.safeParse(value).data ?? { error: {} };
  const type = error.type ?? null;
  const errorCode = error.details?.error_code ?? null;
  const verdict = judgeAnthropicError(null, type, errorCode);
  return failedLine(reading, customId, {
    verdict: { ...verdict, maybeBilled: false },
    httpStatus: null,
    providerCode: errorCode ?? type,
    providerRequestId: requestId ?? null,
    // "max_tokens: Field required": the name is told, what follows may quote the prompt.
    field: fieldName(/^([^\s:]+):/.exec(error.message ?? '')?.[1]),
  });
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
