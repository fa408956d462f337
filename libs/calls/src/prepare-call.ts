import { repairMessages } from '@millrace/plans';
import {
  costMicroUsd,
  estimateInputTokens,
  modelFacts,
  smallestOpenaiOutput,
  worstCaseMicroUsd,
} from '@millrace/providers';
import type { PriceCatalogue, Provider, ProviderCall } from '@millrace/providers';
import type { ClaimedStep } from '@millrace/ledger';
import type { TokenUsage } from '@millrace/contracts';
import { splitTarget } from './split-target.ts';

/** A claimed step as a call to one provider, with what it may cost. */
export interface PreparedCall {
  provider: Provider;
  call: ProviderCall;
  purpose: 'answer' | 'repair';
  inputTokens: number;
  /** Length of the prompt. */
  inputCharacters: number;
  /** The most output that the vendor is asked for, and may charge: a vendor's least size is in it. */
  chargedOutputTokens: number;
  /** Null when the catalogue has no price for the model: then no cap can be kept. */
  worstCaseMicroUsd: number | null;
  /** What these tokens cost at this target, by the catalogue. */
  price(usage: TokenUsage, tier: string | null): { microUsd: number; known: boolean };
}

/** What {@link prepareCall} needs of the process. */
export interface PrepareOptions {
  providers: ReadonlyMap<string, Provider>;
  catalogue: PriceCatalogue;
  defaultMaxOutputTokens: number;
  /** How long a call may take that no deadline cuts short. */
  callTimeoutMs: number;
  now: () => number;
}

/** Turns a claimed step into the call that its target gets; null when the target's provider cannot be called here. */
export function prepareCall(step: ClaimedStep, options: PrepareOptions): PreparedCall | null {
  const { provider: providerName, model } = splitTarget(step.target);
  const provider = options.providers.get(providerName);
  if (!provider) return null;
  const priced = { kind: provider.kind, provider: provider.name, model };
  const facts = modelFacts(options.catalogue, priced);
  const { request, repair } = step;
  const { embedding } = request;
  // Vectors are not counted as output.
  const wanted = embedding ? 0 : (request.maxOutputTokens ?? options.defaultMaxOutputTokens);
  const call: ProviderCall = {
    model,
    system: request.system,
    messages: repair === null ? request.messages : repairMessages(request, repair.answer, repair.feedback),
    output: request.output,
    maxOutputTokens: facts && facts.maxOutput > 0 ? Math.min(wanted, facts.maxOutput) : wanted,
    ...(request.temperature === undefined ? {} : { temperature: request.temperature }),
    ...(request.topP === undefined ? {} : { topP: request.topP }),
    ...(step.lane === 'flex' ? { serviceTier: 'flex' as const } : {}),
    ...(embedding ? { embedding: { dimensions: embedding.dimensions } } : {}),
    ...(request.logprobs === true ? { logprobs: true } : {}),
    requestTag: `${step.jobId}/${step.key}#${step.fence}`,
    timeoutMs: timeLeftMs(step, options),
  };
  const inputTokens = estimateInputTokens(call, facts?.tokenizerFactor ?? 1);
  const at = new Date(options.now());
  // What is asked of OpenAI is never less than that.
  const least = provider.kind === 'openai' && !embedding ? smallestOpenaiOutput : 0;
  const chargedOutputTokens = Math.max(least, call.maxOutputTokens);
  const unsent = { ...priced, inputTokens, maxOutputTokens: chargedOutputTokens, tier: null, at };
  const standard = worstCaseMicroUsd(options.catalogue, unsent);
  const batch = worstCaseMicroUsd(options.catalogue, { ...unsent, tier: 'batch' });
  const worstCase = step.lane === 'batch' && batch.known ? batch : standard;
  return {
    provider,
    call,
    purpose: repair === null ? 'answer' : 'repair',
    inputTokens,
    inputCharacters: countCharacters(call),
    chargedOutputTokens,
    worstCaseMicroUsd: worstCase.known ? worstCase.microUsd : null,
    price: (usage, tier) => costMicroUsd(options.catalogue, { ...priced, usage, tier, at }),
  };
}

function countCharacters({ system, messages }: ProviderCall): number {
  return messages.reduce((sum, { content }) => sum + content.length, system?.length ?? 0);
}

/** A call does not run past its job's deadline: nobody could use the answer. */
function timeLeftMs(step: ClaimedStep, options: PrepareOptions): number {
  if (step.deadlineAt === null) return options.callTimeoutMs;
  return Math.max(1, Math.min(options.callTimeoutMs, step.deadlineAt - options.now()));
}
