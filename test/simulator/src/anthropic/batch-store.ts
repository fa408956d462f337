import { createOneAtATime } from '../batches/one-at-a-time.ts';
import { answerOrder, runBatchLine, type LineOutcome } from '../batches/run-batch-line.ts';
import { errorBody } from '../http/vendor-error.ts';
import { objectOf, parseJson, type JsonObject } from '../json-value.ts';
import type { Simulator } from '../simulator.ts';
import { readMessages } from './read-messages.ts';
import { writeMessages } from './write-messages.ts';

export interface BatchRequest {
  readonly customId: string;
  readonly params: JsonObject;
}

/** States: in_progress → ended, or in_progress → canceling → ended. Changed by `advance` only. */
export interface MessageBatch {
  readonly id: string;
  readonly account: string;
  readonly version: string;
  readonly requests: readonly BatchRequest[];
  readonly createdAtMs: number;
  cancelInitiatedAtMs: number | null;
  endedAtMs: number | null;
  /** How many requests were worked on, in the order in which they are answered. */
  done: number;
  readonly results: { readonly customId: string; readonly type: string; readonly line: string }[];
  readonly stuck: string[];
}

export interface MessageBatchStore {
  create(account: string, version: string, requests: readonly BatchRequest[]): Promise<MessageBatch>;
  find(account: string, id: string): Promise<MessageBatch | null>;
  /** Newest first. */
  list(account: string): Promise<readonly MessageBatch[]>;
  cancel(batch: MessageBatch): Promise<void>;
  remove(batch: MessageBatch): void;
}

export const DAY_MS = 24 * 3_600_000;

/** Batches of all accounts; time passes on the movable clock whenever somebody looks. */
export function createMessageBatchStore(simulator: Simulator): MessageBatchStore {
  const batches = new Map<string, MessageBatch>();
  const inTurn = createOneAtATime();
  return {
    async create(account, version, requests) {
      const batch: MessageBatch = {
        id: simulator.nextId('msgbatch_01'),
        account,
        version,
        requests,
        createdAtMs: simulator.clock.nowMs(),
        cancelInitiatedAtMs: null,
        endedAtMs: null,
        done: 0,
        results: [],
        stuck: [],
      };
      batches.set(batch.id, batch);
      return batch;
    },
    async find(account, id) {
      const batch = batches.get(id);
      if (batch === undefined || batch.account !== account) return null;
      await inTurn(() => advance(simulator, batch));
      return batch;
    },
    async list(account) {
      const own = [...batches.values()].filter((batch) => batch.account === account).reverse();
      for (const batch of own) await inTurn(() => advance(simulator, batch));
      return own;
    },
    async cancel(batch) {
      if (batch.endedAtMs === null) batch.cancelInitiatedAtMs ??= simulator.clock.nowMs();
    },
    remove: (batch) => {
      batches.delete(batch.id);
    },
  };
}

async function advance(simulator: Simulator, batch: MessageBatch): Promise<void> {
  if (batch.endedAtMs !== null) return;
  const nowMs = simulator.clock.nowMs();
  const { runMs, cancelMs } = simulator.config().batches;
  const workedUntilMs = Math.min(nowMs, batch.cancelInitiatedAtMs ?? nowMs);
  const share = runMs <= 0 ? 1 : Math.min(1, (workedUntilMs - batch.createdAtMs) / runMs);
  await workUpTo(simulator, batch, Math.floor(batch.requests.length * share));
  if (batch.cancelInitiatedAtMs !== null && nowMs >= batch.cancelInitiatedAtMs + cancelMs) {
    end(batch, batch.cancelInitiatedAtMs + cancelMs, 'canceled');
  } else if (
    batch.cancelInitiatedAtMs === null &&
    batch.done === batch.requests.length &&
    batch.stuck.length === 0
  ) {
    end(batch, batch.createdAtMs + runMs, 'expired');
  } else if (nowMs >= batch.createdAtMs + DAY_MS) {
    end(batch, batch.createdAtMs + DAY_MS, 'expired');
  }
}

async function workUpTo(simulator: Simulator, batch: MessageBatch, target: number): Promise<void> {
  const total = batch.requests.length;
  for (; batch.done < target; batch.done += 1) {
    const request = batch.requests[answerOrder(batch.done, total)];
    if (request === undefined) continue;
    const { customId, params } = request;
    const line = {
      dialect: 'anthropic',
      account: batch.account,
      batchId: batch.id,
      customId,
      path: '/messages',
      body: params,
    } as const;
    const outcome = runBatchLine(simulator, line, {
      read: (body) => readMessages(body, simulator, batch.version, 'batch'),
      write: (call, answer) => writeMessages(call, answer, simulator),
    });
    if (outcome.kind === 'stuck') batch.stuck.push(customId);
    else batch.results.push(resultOf(simulator, customId, outcome));
    if (batch.done % 200 === 199) await new Promise((resolve) => setImmediate(resolve));
  }
}

function resultOf(
  simulator: Simulator,
  customId: string,
  outcome: Exclude<LineOutcome, { kind: 'stuck' }>,
): MessageBatch['results'][number] {
  if (outcome.kind === 'answered') {
    return {
      customId,
      type: 'succeeded',
      line: lineOf(customId, { type: 'succeeded', message: outcome.body }),
    };
  }
  const error = objectOf(
    parseJson(errorBody('anthropic', { ...outcome.error, html: null }, simulator.nextId('req_01'))),
  );
  return { customId, type: 'errored', line: lineOf(customId, { type: 'errored', error }) };
}

/** What was not answered by then has the given result. */
function end(batch: MessageBatch, atMs: number, remaining: 'canceled' | 'expired'): void {
  const answered = new Set(batch.results.map((result) => result.customId));
  for (const { customId } of batch.requests) {
    if (answered.has(customId)) continue;
    batch.results.push({ customId, type: remaining, line: lineOf(customId, { type: remaining }) });
  }
  batch.endedAtMs = atMs;
}

function lineOf(customId: string, result: JsonObject): string {
  return JSON.stringify({ custom_id: customId, result });
}
