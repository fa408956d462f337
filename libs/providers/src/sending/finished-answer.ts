import type { TokenUsage } from '@millrace/contracts';
import type { ProviderAnswer } from '../provider.ts';
import type { AnswerRecord } from './answer-record.ts';

/** The answer that a record holds whose ending is `answered`; `estimate` counts the usage where the vendor told none. */
export function toAnswer(
  record: AnswerRecord,
  finish: 'stop' | 'length',
  model: string,
  estimate: () => TokenUsage,
): ProviderAnswer {
  const isFinal = record.usage !== null && record.usageIsFinal;
  return {
    text: record.text,
    finish,
    usage: isFinal && record.usage ? record.usage : estimate(),
    usageEstimated: !isFinal,
    model: record.model ?? model,
    serviceTier: record.serviceTier,
    providerRequestId: record.providerRequestId,
    responseId: record.responseId,
    httpStatus: record.httpStatus ?? 200,
    limits: record.limits,
    ...(record.embeddings === null ? {} : { embeddings: record.embeddings }),
    ...(record.meanLogprob === null ? {} : { meanLogprob: record.meanLogprob }),
  };
}
