import { noUsage } from '@millrace/contracts';
import { z } from 'zod';
import type { AnswerRecord } from '../sending/answer-record.ts';

/** An answer of the Embeddings API, in the parts that are read here. */
const embeddingsSchema = z.object({
  object: z.literal('list'),
  data: z
    .array(
      z.object({
        index: z.int().min(0),
        // Servers of one's own may not know base64.
        embedding: z.union([z.string().min(1), z.array(z.number()).min(1)]),
      }),
    )
    .min(1),
  model: z.string(),
  usage: z.object({ prompt_tokens: z.int().min(0) }).nullish(),
});

/** Puts an answer's vectors into the record, in the order of the inputs; false when the body is no such answer. */
export function recordEmbeddings(body: unknown, record: AnswerRecord): boolean {
  const parsed = embeddingsSchema.safeParse(body);
  if (!parsed.success) return false;
  const { data, model, usage } = parsed.data;
  const inOrder = data.toSorted((a, b) => a.index - b.index);
  if (inOrder.some(({ index }, at) => index !== at)) return false;
  record.model = model;
  record.usage = usage ? { ...noUsage, inputTokens: usage.prompt_tokens } : null;
  record.usageIsFinal = record.usage !== null;
  record.embeddings = inOrder.map(({ embedding }) =>
    typeof embedding === 'string' ? embedding : toBase64(embedding),
  );
  record.ending = { kind: 'answered', finish: 'stop' };
  return true;
}

function toBase64(numbers: readonly number[]): string {
  const bytes = Buffer.alloc(numbers.length * 4);
  for (const [index, number] of numbers.entries()) bytes.writeFloatLE(number, index * 4);
  return bytes.toString('base64');
}
