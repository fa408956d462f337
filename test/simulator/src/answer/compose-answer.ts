import type { BilledTokens } from '../billing/bill.ts';
import { isErrorFault, type Fault } from '../faults/fault-kinds.ts';
import { hashText } from '../random-source.ts';
import type { TokenCounter } from '../token-counter.ts';
import { fillSchema } from '../text/fill-schema.ts';
import type { ModelCall, ToolOffer } from './model-call.ts';
import { textOfTokens } from './text-of-tokens.ts';
import { dataOf, writeText } from './write-text.ts';
import { wrongJson } from './wrong-json.ts';

export interface Answer {
  /** The answer, or the explanation of a refusal, or the arguments of the tool call. */
  readonly text: string;
  /** The text as it streams, token by token. */
  readonly tokens: readonly string[];
  readonly toolName: string | null;
  readonly finish: 'stop' | 'length' | 'stop_sequence' | 'tool' | 'refusal';
  readonly stopSequence: string | null;
  /** What is billed … */
  readonly billed: BilledTokens;
  /** … and what the answer says is; `null`: it says nothing. */
  readonly told: BilledTokens | null;
  readonly unsure: boolean;
  /** Each token is replaced by the instant at which it is written. */
  readonly stamped: boolean;
}

interface AnswerSources {
  readonly counter: TokenCounter;
  /** Tokens of the input that the provider had cached. */
  readonly cachedTokens: number;
  /** Tokens of the input written to the cache. */
  readonly cacheWriteTokens: number;
  /** Reasoning tokens of a call that orders none. */
  readonly reasoningTokens: number;
}

/** What the model answers. The same call and fault give the same answer. */
export function composeAnswer(call: ModelCall, fault: Fault | null, sources: AnswerSources): Answer {
  const tool = chosenTool(call);
  const wanted = wantedText(call, fault, tool, sources.counter);
  const stopped = cutAtStop(wanted, call.stopSequences);
  const reasoning =
    call.card.vendor === 'openai' && call.card.reasoning
      ? (call.markers.reasoningTokens ?? sources.reasoningTokens)
      : 0;
  const room = Math.max(0, (call.maxOutputTokens ?? call.card.maxOutputTokens) - reasoning);
  const all = sources.counter.cut(stopped.text);
  const limit = fault?.kind === 'max_tokens' ? Math.min(room, Math.ceil(all.length / 2)) : room;
  const tokens = all.length > limit ? all.slice(0, limit) : all;
  const cut = all.length > limit || fault?.kind === 'max_tokens';
  const billed: BilledTokens = {
    inputTokens: call.inputTokens,
    cachedInputTokens: Math.min(call.inputTokens, call.markers.cachedTokens ?? sources.cachedTokens),
    cacheWriteTokens: Math.min(call.inputTokens, sources.cacheWriteTokens),
    outputTokens: tokens.length + reasoning,
    reasoningTokens: reasoning,
  };
  return {
    text: tokens === all ? stopped.text : tokens.join(''),
    tokens,
    toolName: tool?.name ?? null,
    finish: finishOf(fault, cut, tool !== null, stopped.sequence !== null),
    stopSequence: cut ? null : stopped.sequence,
    billed,
    told: toldUsage(billed, fault),
    unsure: call.markers.unsure,
    stamped: call.markers.stamps,
  };
}

function wantedText(
  call: ModelCall,
  fault: Fault | null,
  tool: ToolOffer | null,
  counter: TokenCounter,
): string {
  const { markers, format } = call;
  if (fault !== null && !isErrorFault(fault.kind)) {
    if (fault.kind === 'empty_output') return '';
    if (fault.kind === 'refusal') return "I'm sorry, but I can't help with that request.";
    const wrong = fault.kind === 'invalid_json' || (fault.kind === 'invalid_json_once' && !isRepair(call));
    if (wrong) return wrongJson(fault.parameters['form'] ?? 'schema');
  }
  if (markers.reply !== null) return markers.reply;
  if (markers.tokens !== null) return textOfTokens(markers.tokens, counter);
  const { instruction, data } = dataOf(call);
  if (tool !== null) return JSON.stringify(fillSchema(tool.schema, instruction, data));
  if (format.kind === 'json_schema') return JSON.stringify(fillSchema(format.schema, instruction, data));
  return writeText(call);
}

/** A call that shows the model its earlier answer or speaks of an invalid one. */
function isRepair(call: ModelCall): boolean {
  if (call.turns.some((turn) => turn.role === 'assistant')) return true;
  return /\b(?:previous|last|earlier) (?:answer|output|response|reply)\b/i.test(call.promptText);
}

function chosenTool(call: ModelCall): ToolOffer | null {
  const ordered = call.forcedTool ?? call.markers.tool;
  if (ordered === null || call.turns.at(-1)?.role === 'tool') return null;
  const named = call.tools.find((tool) => tool.name === ordered);
  return named ?? (call.forcedTool === '*' ? (call.tools[0] ?? null) : null);
}

function cutAtStop(text: string, sequences: readonly string[]): { text: string; sequence: string | null } {
  let end = text.length;
  let found: string | null = null;
  for (const sequence of sequences) {
    const at = sequence === '' ? -1 : text.indexOf(sequence);
    if (at < 0 || at >= end) continue;
    end = at;
    found = sequence;
  }
  return { text: text.slice(0, end), sequence: found };
}

function finishOf(fault: Fault | null, cut: boolean, tool: boolean, stopped: boolean): Answer['finish'] {
  if (fault?.kind === 'refusal') return 'refusal';
  if (cut) return 'length';
  if (tool) return 'tool';
  return stopped ? 'stop_sequence' : 'stop';
}

function toldUsage(billed: BilledTokens, fault: Fault | null): BilledTokens | null {
  if (fault?.kind === 'missing_usage') return null;
  if (fault?.kind !== 'wrong_usage') return billed;
  return {
    ...billed,
    inputTokens: billed.inputTokens * 2 + 13,
    outputTokens: Math.floor(billed.outputTokens / 2),
  };
}

/** The log probability of the n-th token: close to 0 when sure, around -1.2 when not; always the same. */
export function logprobOf(token: string, index: number, unsure: boolean): number {
  const share = (hashText(`${token}|${index}`) % 1_000) / 1_000;
  return unsure ? -0.7 - share : -0.002 - 0.09 * share;
}
