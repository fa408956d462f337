import { setTimeout as delay } from 'node:timers/promises';

/** Resolves when `/readyz` answers 200; rejects after `timeoutMs` with its last answer, or when `signal` is aborted. */
export async function waitUntilApiReady(
  apiUrl: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const deadlineAt = performance.now() + timeoutMs;
  let lastAnswer = 'nothing';
  while (performance.now() < deadlineAt) {
    try {
      const response = await fetch(`${apiUrl}/readyz`, { signal: AbortSignal.timeout(5_000) });
      const body = await response.text();
      if (response.status === 200) return;
      lastAnswer = `${response.status} ${body}`;
    } catch (error) {
      lastAnswer = String(error);
    }
    await delay(50, undefined, { signal });
  }
  throw new Error(
    `the API was not ready within ${timeoutMs / 1000} s; ${apiUrl}/readyz answered: ${lastAnswer}`,
  );
}
