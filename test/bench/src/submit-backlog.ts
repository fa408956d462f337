import { randomUUID } from 'node:crypto';
import type { LocalStack } from '@millrace/infra';
import { headersOf } from './bench-stack.ts';

/** Submits jobs, several at a time, and resolves when all are accepted. `requestOf` gives the body by number, from 0. */
export async function submitBacklog(
  stack: LocalStack,
  count: number,
  requestOf: (number: number) => Record<string, unknown>,
  atATime = 32,
): Promise<void> {
  let next = 0;
  const submitInTurn = async (): Promise<void> => {
    while (next < count) {
      const body = JSON.stringify(requestOf(next++));
      const response = await fetch(`${stack.apiUrl}/v1/jobs`, {
        method: 'POST',
        headers: { ...headersOf(stack), 'idempotency-key': randomUUID() },
        body,
      });
      if (response.status !== 202) throw new Error(`intake answered ${response.status}`);
      await response.arrayBuffer();
    }
  };
  await Promise.all(Array.from({ length: atATime }, submitInTurn));
}
