import type { TestStack } from './start-stack.ts';

/**
 * The longest time, in ms, for which a worker of the stack did nothing since this was asked last, or since it started: the delay
 * of its event loop by its own clock. A process that was stopped, or had no processor's time, shows all of it.
 */
export async function longestStandstillMs(stack: TestStack): Promise<number> {
  const workers = stack.processes.filter(({ name }) => name.startsWith('worker'));
  return Math.max(...(await Promise.all(workers.map(({ url }) => readStandstillMs(url)))));
}

async function readStandstillMs(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const [, seconds] = /^nodejs_eventloop_lag_max_seconds(?:\{[^}]*\})? (\S+)$/m.exec(text) ?? [];
  if (seconds === undefined) throw new Error(`${url}/metrics tells no delay of the event loop`);
  return Number(seconds) * 1_000;
}
