import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startLocalStack, type LocalStack } from './start-local-stack.ts';

/**
 * Brings up a whole Millrace in a temporary directory, shows it to `use`, and takes everything away again, however that
 * ends: also on Ctrl-C, which ends the process with code 130. When `use` throws, the end of the stack's log is printed.
 */
export async function withTemporaryStack<Result>(
  options: { workers: number; environment: NodeJS.ProcessEnv },
  use: (stack: LocalStack) => Promise<Result>,
): Promise<Result> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-'));
  const logs: string[] = [];
  const interrupt = new AbortController();
  process.once('SIGINT', () => interrupt.abort());
  try {
    const stack = await startLocalStack({
      ...options,
      dataDirectory: directory,
      port: 0,
      onLog: ({ source, line }) => logs.push(`${source} ${line}`),
      signal: interrupt.signal,
    });
    interrupt.signal.addEventListener('abort', () => void stack.stop().then(() => process.exit(130)));
    try {
      return await use(stack);
    } catch (error) {
      console.error(logs.slice(-40).join('\n'));
      throw error;
    } finally {
      await stack.stop();
    }
  } finally {
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}
