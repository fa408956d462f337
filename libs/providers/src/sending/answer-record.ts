import type { TokenUsage } from '@millrace/contracts';
import type { Verdict } from '../failures/failure.ts';
import type { ObservedLimits } from '../provider.ts';

/**
 * How the vendor said that the answer ended. `answered` is the only success; `rejected` is a terminal event that brings
 * no answer (refusal, failure, nonsense), with the vendor's code and words.
 */
export type Ending =
  | { kind: 'answered'; finish: 'stop' | 'length' }
  | { kind: 'rejected'; verdict: Verdict; providerCode: string | null; message: string | null };

/** What has arrived of one answer. Filled while the stream is read; `ending` stays null until the terminal event. */
export class AnswerRecord {
  text = '';
  embeddings: string[] | null = null;
  ending: Ending | null = null;
  /** As the vendor told it so far; complete only when `usageIsFinal`. */
  usage: TokenUsage | null = null;
  usageIsFinal = false;
  model: string | null = null;
  serviceTier: string | null = null;
  responseId: string | null = null;
  httpStatus: number | null = null;
  providerRequestId: string | null = null;
  limits: ObservedLimits = {};
  readonly #logprobs = { sum: 0, count: 0 };
  readonly #onText: (text: string) => void;

  constructor(onText: (text: string) => void) {
    this.#onText = onText;
  }

  /** Notes the log probability of one token of the text. */
  addLogprob(logprob: number): void {
    this.#logprobs.sum += logprob;
    this.#logprobs.count += 1;
  }

  /** Null when no token's log probability was told. */
  get meanLogprob(): number | null {
    const { sum, count } = this.#logprobs;
    return count === 0 ? null : sum / count;
  }

  addText(text: string): void {
    if (text === '') return;
    this.text += text;
    callHook(() => this.#onText(text));
  }
}

/** Runs a caller's hook. What it throws is dropped: an exception in a listener must not lose an answer that is paid for. */
export function callHook(hook: () => void): void {
  try {
    hook();
  } catch {
    // Nothing to add: the hook's owner hears of its own errors by its own means.
  }
}
