import type { Entries } from './entries.ts';
import { banner } from './banner.ts';
import { readLocalSettings } from './local-settings.ts';
import { printLogLine } from './print-log-lines.ts';
import type { StackLogLine } from './stack-log-line.ts';
import { startLocalStack, type LocalStack } from './start-local-stack.ts';

/**
 * The local stack in the foreground, until a signal. Answers the exit code: 0 after a clean stop, also during the
 * start; 1 if an app had to be killed; 130 after a second signal. Rejects with a message for people if it does not
 * start.
 */
export async function runInForeground(entries?: Entries): Promise<number> {
  const startedAt = performance.now();
  const settings = readLocalSettings(process.env);
  const appearance = { format: settings.logFormat, colours: process.stdout.isTTY && !process.env.NO_COLOR };
  const onLog = (line: StackLogLine): void => {
    process.stdout.write(printLogLine(line, appearance, () => new Date()));
  };
  const notice = (line: string): void => onLog({ source: 'local', line });
  // The terminal may be gone (SIGHUP), or the reader of a pipe; that is no reason not to stop in order.
  process.stdout.on('error', () => undefined);
  process.stderr.on('error', () => undefined);

  const signals = listenForSignals(notice);
  let stack: LocalStack;
  try {
    stack = await startLocalStack({
      ...settings,
      environment: process.env,
      onLog,
      signal: signals.asked,
      ...(entries === undefined ? {} : { entries }),
    });
  } catch (error) {
    if (error instanceof StopAskedError) return 0;
    throw error;
  }
  const facts = {
    seconds: (performance.now() - startedAt) / 1000,
    workers: settings.workers,
    colours: appearance.colours,
  };
  if (appearance.format === 'json') notice(`ready at ${stack.apiUrl}`);
  else process.stdout.write(banner(stack, facts));

  await signals.first;
  return stopStack(stack, signals.second, notice);
}

async function stopStack(
  stack: LocalStack,
  second: Promise<void>,
  notice: (line: string) => void,
): Promise<number> {
  let hurried = false;
  void second.then(() => {
    hurried = true;
    stack.kill();
  });
  const reports = await stack.stop();
  const killed = reports.filter((report) => report.killed).map((report) => report.name);
  if (killed.length > 0) notice(`did not stop in time and had to be killed: ${killed.join(', ')}`);
  notice('everything has stopped');
  if (hurried) return 130;
  return killed.length > 0 ? 1 : 0;
}

const sameSignalMs = 300;

/** The first signal asks for a stop, the second for a quick one; after the third the guards do the rest. */
function listenForSignals(notice: (line: string) => void): {
  asked: AbortSignal;
  first: Promise<void>;
  second: Promise<void>;
} {
  const asked = new AbortController();
  const first = Promise.withResolvers<void>();
  const second = Promise.withResolvers<void>();
  let count = 0;
  let lastAt = -Infinity;
  const take = (signal: NodeJS.Signals): void => {
    // One Ctrl-C arrives twice: from the terminal, and passed on by npm.
    if (performance.now() - lastAt < sameSignalMs) return;
    lastAt = performance.now();
    count += 1;
    if (count === 1) {
      notice(`${signal}: stopping; once more to kill`);
      asked.abort(new StopAskedError());
      first.resolve();
    } else if (count === 2) {
      notice(`${signal}: killing`);
      second.resolve();
    } else {
      process.exit(130);
    }
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, take);
  return { asked: asked.signal, first: first.promise, second: second.promise };
}

/** A signal came before everything was up. */
class StopAskedError extends Error {
  override name = 'StopAskedError';
}
