import { RetryableError, TerminalError } from '@millrace/contracts';
import { CallAborted } from '../call-aborted.ts';
import type { Provider, ProviderAnswer, ProviderCall, ProviderHooks } from '../provider.ts';

/** A small call; override what the test is about. */
export function aCall(overrides: Partial<ProviderCall> = {}): ProviderCall {
  return {
    model: 'test-model',
    system: 'You explain water machines.',
    messages: [{ role: 'user', content: 'What carries the river to the wheel, please?' }],
    output: null,
    maxOutputTokens: 200,
    requestTag: 'job_01/map[3]#2',
    timeoutMs: 10_000,
    ...overrides,
  };
}

/** Hooks that nobody aborts. */
export function hooks(overrides: Partial<ProviderHooks> = {}): ProviderHooks {
  return { signal: new AbortController().signal, ...overrides };
}

/** The call's failure, whichever of the two classes; fails the test when the call succeeds or throws something else. */
export async function failureOf(call: Promise<unknown>): Promise<TerminalError | RetryableError> {
  const error = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error instanceof TerminalError || error instanceof RetryableError) return error;
  throw new Error('expected a TerminalError or a RetryableError', { cause: error });
}

/** The {@link CallAborted} of a call. */
export async function abortOf(call: Promise<ProviderAnswer>): Promise<CallAborted> {
  const error = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error instanceof CallAborted) return error;
  throw new Error('expected CallAborted', { cause: error });
}

/** Calls and aborts as soon as the given text has arrived in whole. */
export function abortAfterText(provider: Provider, text: string, reason: unknown): Promise<ProviderAnswer> {
  const controller = new AbortController();
  let arrived = '';
  return provider.call(aCall(), {
    signal: controller.signal,
    onText(piece) {
      arrived += piece;
      if (arrived === text) controller.abort(reason);
    },
  });
}
