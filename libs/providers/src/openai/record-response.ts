import type { Response as OpenAIResponse } from 'openai/resources/responses/responses';
import type { AnswerRecord, Ending } from '../sending/answer-record.ts';
import { verdictInsideStream } from './openai-errors.ts';
import { readLogprobs } from '../sending/read-logprobs.ts';
import { readResponsesUsage } from './responses-usage.ts';

/** Puts a whole response that has ended into the record: a stream's terminal event, or the body of a batch's line. */
export function recordResponse(response: OpenAIResponse, record: AnswerRecord): void {
  record.responseId = response.id;
  record.model = response.model;
  record.serviceTier = response.service_tier ?? null;
  record.usage = readResponsesUsage(response.usage);
  record.usageIsFinal = record.usage !== null;
  const { text, refusal, logprobs } = finalContent(response);
  for (const logprob of logprobs) record.addLogprob(logprob);
  // The terminal event repeats the whole text; it wins over the pieces unless a server leaves it out.
  if (text !== '') record.text = text;
  record.ending = endingOf(response, refusal);
}

function endingOf(response: OpenAIResponse, refusal: string | null): Ending {
  if (response.status === 'failed') {
    const code = response.error?.code ?? null;
    return rejected(verdictInsideStream(code), code, response.error?.message ?? null);
  }
  if (refusal !== null) return rejected(refusedVerdict, 'refusal', null);
  if (response.status !== 'incomplete') return { kind: 'answered', finish: 'stop' };
  const reason = response.incomplete_details?.reason ?? null;
  if (reason === 'max_output_tokens') return { kind: 'answered', finish: 'length' };
  if (reason === 'content_filter') return rejected(refusedVerdict, reason, null);
  return rejected(unusableVerdict, reason, null);
}

const refusedVerdict = { code: 'content_refused', retry: false, scope: 'call', maybeBilled: true } as const;
const unusableVerdict = {
  code: 'provider_bad_answer',
  retry: true,
  scope: 'call',
  maybeBilled: true,
} as const;

function rejected(
  verdict: Extract<Ending, { kind: 'rejected' }>['verdict'],
  providerCode: string | null,
  message: string | null,
): Ending {
  return { kind: 'rejected', verdict, providerCode, message };
}

function finalContent(response: OpenAIResponse): {
  text: string;
  refusal: string | null;
  logprobs: number[];
} {
  let text = '';
  const logprobs: number[] = [];
  let refusal: string | null = null;
  for (const item of response.output) {
    if (item.type !== 'message' || item.phase === 'commentary') continue;
    for (const part of item.content) {
      if (part.type === 'output_text') {
        text += part.text;
        logprobs.push(...readLogprobs(part.logprobs));
      } else refusal = part.refusal;
    }
  }
  return { text, refusal, logprobs };
}
