import type { Expectation } from '../observer/journals.ts';

export const jobKinds = ['call', 'chain', 'map_reduce'] as const;
export type JobKind = (typeof jobKinds)[number];

/** A submission, and how it must end. */
export interface ChaosJob {
  request: Record<string, unknown>;
  expect: Expectation;
}

/** A call for the batch lane. */
export function batchJob(names: { run: string; key: string }, model = 'openai/gpt-6-luna'): ChaosJob {
  return chaosJob('call', names, { model, more: { lane: 'batch' } });
}

/** How many items a map_reduce of these campaigns has. */
export const MAP_ITEMS = 4;

/** A job of a kind; the literal answers name it, so that no other job's answer can be taken for its own. */
export function chaosJob(
  kind: JobKind,
  names: { run: string; key: string },
  options: { model?: string; route?: string; latencyMs?: number; more?: Record<string, unknown> } = {},
): ChaosJob {
  const target = options.model ? { model: options.model } : { route: options.route ?? 'cheap' };
  const call = (part: string, data = ''): Record<string, unknown> => ({
    type: 'call',
    ...target,
    prompt: `Write the ${part} of ${names.key}.${data} [[sim:latency=${options.latencyMs ?? 120}]][[sim:reply=${answer(part, names.key)}]]`,
    max_output_tokens: 100,
    stream: true,
  });
  const { request, last } = plan(kind, call);
  return {
    request: { ...request, metadata: names, ...options.more },
    expect: { statuses: ['completed'], output: answer(last, names.key) },
  };
}

function plan(
  kind: JobKind,
  call: (part: string, data?: string) => Record<string, unknown>,
): { request: Record<string, unknown>; last: string } {
  switch (kind) {
    case 'call':
      return { request: call('text'), last: 'text' };
    case 'chain':
      return {
        request: {
          type: 'chain',
          steps: [
            { name: 'first', ...call('first part') },
            { name: 'second', ...call('second part', ' After: {{ steps.first }}') },
            { name: 'third', ...call('third part', ' After: {{ steps.second }}') },
          ],
        },
        last: 'third part',
      };
    case 'map_reduce':
      return {
        request: {
          type: 'map_reduce',
          items: Array.from({ length: MAP_ITEMS }, (_, index) => `item ${index}`),
          map: call('note', ' On {{ item }}'),
          reduce: call('sum', ' Of {{ items | size }} notes'),
        },
        last: 'sum',
      };
  }
}

function answer(part: string, key: string): string {
  return `This is the ${part} of ${key}, in some more words than one, so that it takes a while to say`;
}
