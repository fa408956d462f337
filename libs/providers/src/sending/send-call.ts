import { noUsage, RetryableError, TerminalError } from '@millrace/contracts';
import type { TokenUsage } from '@millrace/contracts';
import { CallAborted } from '../call-aborted.ts';
import { makeFailure } from '../failures/failure.ts';
import type { FailureFacts, Verdict } from '../failures/failure.ts';
import { networkVerdict } from '../failures/network-verdict.ts';
import { safeDetail } from '../failures/safe-detail.ts';
import type { ObservedLimits, ProviderAnswer, ProviderCall, ProviderHooks } from '../provider.ts';
import { readRetryAfterMs } from '../rate-limit-headers/retry-after.ts';
import { estimateInputTokens, estimateTextTokens } from '../tokens/estimate-input-tokens.ts';
import { AnswerRecord, callHook } from './answer-record.ts';
import { CallLifetime } from './call-lifetime.ts';
import { toAnswer } from './finished-answer.ts';
import { AbortedInQueue } from './socket-guard.ts';
import type { SocketGuard } from './socket-guard.ts';
import { transportFailureOf } from './transport-failure.ts';
import { watchBody } from './watch-body.ts';

/** A vendor's error, translated: what it means and what the vendor said. */
export interface VendorFailure {
  verdict: Verdict;
  httpStatus: number | null;
  providerCode: string | null;
  message: string | null;
  headers: Headers | null;
}

/** What differs between the vendors; everything else about sending is in {@link sendCall}. */
export interface VendorWire {
  readonly requestIdHeader: string;
  /** Names how long the vendor worked on the call, in ms. */
  readonly processingMsHeader?: string;
  /** Sends the request with `stream: true` and returns the raw response once its headers are here. */
  readonly open: (call: ProviderCall, signal: AbortSignal) => Promise<Response>;
  /** Reads the stream to its end into the record. */
  readonly read: (
    response: Response,
    controller: AbortController,
    record: AnswerRecord,
    onComplete: () => void,
  ) => Promise<void>;
  readonly readLimits: (headers: Headers) => ObservedLimits;
  /** Translates an error of the vendor's SDK; null when it is none. */
  readonly explain: (error: unknown) => VendorFailure | null;
}

/** What one client brings to each of its calls. */
export interface SendingSetup {
  provider: string;
  guard: SocketGuard;
  idleTimeoutMs: number;
  now: () => number;
  tokenizerFactor: (model: string) => number;
}

/** Sends one call once, and answers or throws as {@link Provider.call} says. */
export async function sendCall(
  wire: VendorWire,
  setup: SendingSetup,
  call: ProviderCall,
  hooks: ProviderHooks,
): Promise<ProviderAnswer> {
  const record = new AnswerRecord((text) => hooks.onText?.(text));
  try {
    return await setup.guard.run(call.timeoutMs, hooks.signal, () =>
      sendNow(wire, setup, call, hooks, record),
    );
  } catch (error) {
    if (error instanceof AbortedInQueue)
      throw new CallAborted(neverSent(setup.provider), hooks.signal.reason);
    if (isOurs(error)) throw error;
    // The guard took the slot from a call that outlived its own clock.
    throw makeFailure(timeoutVerdict, facts(setup, call, record, {}));
  }
}

function isOurs(error: unknown): boolean {
  return error instanceof TerminalError || error instanceof RetryableError || error instanceof CallAborted;
}

async function sendNow(
  wire: VendorWire,
  setup: SendingSetup,
  call: ProviderCall,
  hooks: ProviderHooks,
  record: AnswerRecord,
): Promise<ProviderAnswer> {
  const lifetime = new CallLifetime(hooks.signal, call.timeoutMs, setup.idleTimeoutMs);
  let thrown: unknown = null;
  try {
    callHook(() => hooks.onSent?.());
    const response = await wire.open(call, lifetime.controller.signal);
    noteHeaders(wire, hooks, record, response.status, response.headers);
    const watched = watchBody(response, lifetime, () => callHook(() => hooks.onFirstByte?.()));
    await wire.read(watched, lifetime.controller, record, () => lifetime.drain());
  } catch (error) {
    thrown = error;
  } finally {
    lifetime.finish();
  }
  // A terminal event decides, whatever happened to the connection after it: that answer is complete and paid for.
  if (record.ending?.kind === 'answered') {
    return toAnswer(record, record.ending.finish, call.model, () => estimateUsage(setup, call, record));
  }
  if (record.ending?.kind === 'rejected') {
    const { verdict, providerCode, message } = record.ending;
    throw makeFailure(
      verdict,
      facts(setup, call, record, { providerCode, detail: safeDetail(message, call) }),
    );
  }
  if (lifetime.endedBy === 'caller') throw aborted(setup, call, record, hooks.signal.reason);
  if (lifetime.endedBy !== null) throw makeFailure(timeoutVerdict, facts(setup, call, record, {}));
  if (thrown === null) throw makeFailure(truncatedVerdict, facts(setup, call, record, {}));
  throw translate(wire, setup, call, hooks, record, thrown);
}

const timeoutVerdict: Verdict = { code: 'provider_timeout', retry: true, scope: 'call', maybeBilled: true };
const truncatedVerdict: Verdict = {
  code: 'provider_bad_answer',
  retry: true,
  scope: 'call',
  maybeBilled: true,
};

function noteHeaders(
  wire: VendorWire,
  hooks: ProviderHooks,
  record: AnswerRecord,
  httpStatus: number,
  headers: Headers,
): void {
  record.httpStatus = httpStatus;
  record.providerRequestId = headers.get(wire.requestIdHeader);
  record.limits = wire.readLimits(headers);
  const processing = wire.processingMsHeader === undefined ? null : headers.get(wire.processingMsHeader);
  const processingMs = processing === null || !/^\d+$/.test(processing) ? null : Number(processing);
  if (Object.keys(record.limits).length > 0) callHook(() => hooks.onLimits?.(record.limits, processingMs));
}

function translate(
  wire: VendorWire,
  setup: SendingSetup,
  call: ProviderCall,
  hooks: ProviderHooks,
  record: AnswerRecord,
  error: unknown,
): TerminalError | RetryableError {
  const network = transportFailureOf(error);
  if (network) {
    // Once an answer has begun, a broken connection is a truncated answer.
    const verdict = record.httpStatus === null ? networkVerdict(network) : truncatedVerdict;
    return makeFailure(verdict, facts(setup, call, record, { providerCode: network.code }));
  }
  const explained = wire.explain(error);
  if (!explained) return unexpected(setup, call, record, error);
  const { verdict, providerCode, headers } = explained;
  if (record.httpStatus === null && headers && explained.httpStatus !== null) {
    noteHeaders(wire, hooks, record, explained.httpStatus, headers);
  }
  const retryAfterMs = headers ? readRetryAfterMs(headers, record.limits, setup.now()) : null;
  return makeFailure(
    verdict,
    facts(setup, call, record, { providerCode, detail: safeDetail(explained.message, call), retryAfterMs }),
  );
}

/**
 * Neither the network's nor the vendor's error: an answer that cannot be parsed, or our mistake. The original is not kept as
 * cause, because parse errors quote the answer.
 */
function unexpected(
  setup: SendingSetup,
  call: ProviderCall,
  record: AnswerRecord,
  error: unknown,
): TerminalError | RetryableError {
  if (record.httpStatus !== null) return makeFailure(truncatedVerdict, facts(setup, call, record, {}));
  const name = error instanceof Error ? error.name : typeof error;
  const message = error instanceof Error ? safeDetail(error.message, call) : null;
  return makeFailure(
    { code: 'internal_error', retry: true, scope: 'call', maybeBilled: false },
    facts(setup, call, record, { detail: message === null ? name : `${name}: ${message}` }),
  );
}

function facts(
  setup: SendingSetup,
  call: ProviderCall,
  record: AnswerRecord,
  more: Partial<FailureFacts>,
): FailureFacts {
  // What the vendor told before the end is not the whole: Anthropic begins with the input and one token of output.
  const isPart = record.usage !== null && !record.usageIsFinal;
  return {
    provider: setup.provider,
    httpStatus: record.httpStatus,
    providerCode: null,
    providerRequestId: record.providerRequestId,
    usage: isPart ? estimateUsage(setup, call, record) : record.usage,
    usageEstimated: isPart,
    detail: null,
    retryAfterMs: null,
    ...more,
  };
}

/** What the vendor told, completed by counting: the input if it was not told, and the text that arrived as output. */
function estimateUsage(setup: SendingSetup, call: ProviderCall, record: AnswerRecord): TokenUsage {
  const factor = setup.tokenizerFactor(call.model);
  const output = Math.max(record.usage?.outputTokens ?? 0, estimateTextTokens(record.text, factor));
  const input = record.usage ?? { ...noUsage, inputTokens: estimateInputTokens(call, factor) };
  return { ...input, outputTokens: output };
}

function aborted(
  setup: SendingSetup,
  call: ProviderCall,
  record: AnswerRecord,
  reason: unknown,
): CallAborted {
  return new CallAborted(
    {
      provider: setup.provider,
      maybeBilled: true,
      usage: record.usageIsFinal && record.usage ? record.usage : estimateUsage(setup, call, record),
      usageEstimated: !record.usageIsFinal,
      textLength: record.text.length,
      httpStatus: record.httpStatus,
      providerRequestId: record.providerRequestId,
    },
    reason,
  );
}

function neverSent(provider: string): CallAborted['aborted'] {
  return {
    provider,
    maybeBilled: false,
    usage: null,
    usageEstimated: false,
    textLength: 0,
    httpStatus: null,
    providerRequestId: null,
  };
}
