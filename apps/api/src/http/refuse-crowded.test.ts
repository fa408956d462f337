import { jobRequestSchema, ProblemError } from '@millrace/contracts';
import { expect, it } from 'vitest';
import { parseBody } from './parse.ts';

const members = (count: number, value: unknown): Record<string, unknown> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`b${index}`, value]));

function problemOf(body: unknown): ProblemError {
  try {
    parseBody(jobRequestSchema, body);
  } catch (error) {
    if (error instanceof ProblemError) return error;
    throw error;
  }
  throw new Error('nothing is wrong with it');
}

it.each([
  [
    { type: 'chain', steps: [{ name: 'a', type: 'fan_out', branches: members(200_000, 0) }] },
    'steps.0.branches',
  ],
  [{ type: 'call', prompt: 'x', metadata: members(200_000, 0) }, 'metadata'],
  [
    { type: 'router', routes: { input: { type: 'fan_out', branches: members(200_000, 0) } } },
    'routes.input.branches',
  ],
])('refuses a body that a schema would make hundreds of thousands of notes about', (body, path) => {
  const problem = problemOf(body);
  expect(problem.code).toBe('validation_failed');
  expect(problem.errors).toEqual([{ path, message: 'too many members; 100000 are the most in all' }]);
});

it('lists some of the many mistakes of a smaller one, also where the library can list none', () => {
  const crowd = { type: 'call', route: 'cheap', prompt: 'x', ...members(90_000, 0) };
  expect(problemOf(crowd).errors).toHaveLength(50);
  const branches = { type: 'chain', steps: [{ name: 'a', type: 'fan_out', branches: members(99_000, 0) }] };
  expect(problemOf(branches).code).toBe('validation_failed');
});

it('does not count the data of a client', () => {
  const data = Array.from({ length: 150_000 }, () => 0);
  const rest = { type: 'map_reduce', items: data, input: data, params: { data } };
  const node = { type: 'call', route: 'cheap', prompt: 'x', output: { schema: { enum: data } } };
  const parsed = parseBody(jobRequestSchema, { ...rest, map: node, reduce: node });
  expect(parsed.type).toBe('map_reduce');
});
