import { styleText } from 'node:util';
import type { WorkerRange } from './scale-workers.ts';
import type { LocalStack } from './start-local-stack.ts';

/** What is shown when the stack is ready: where everything is, the key, and a first request to try. */
export function banner(
  stack: LocalStack,
  facts: { seconds: number; workers: WorkerRange; colours: boolean },
): string {
  const paint = (style: 'bold' | 'cyan' | 'gray' | 'green', text: string): string =>
    facts.colours ? styleText(style, text, { validateStream: false }) : text;
  const row = (name: string, value: string, note = ''): string =>
    `  ${paint('gray', name.padEnd(12))}${value}${note === '' ? '' : `  ${paint('gray', note)}`}`;
  const { apiUrl, bootstrapKey } = stack;
  const keyNote = {
    MILLRACE_BOOTSTRAP_KEY: 'from MILLRACE_BOOTSTRAP_KEY',
    kept: `kept in ${stack.bootstrapKeyOrigin.file}`,
    created: `new, kept in ${stack.bootstrapKeyOrigin.file}`,
  }[stack.bootstrapKeyOrigin.source];
  return [
    '',
    `  ${paint('green', paint('bold', 'Millrace is ready'))} ${paint('gray', `after ${facts.seconds.toFixed(1)} s`)}`,
    '',
    row('API', paint('cyan', apiUrl)),
    row('API page', paint('cyan', `${apiUrl}/docs`)),
    row('Queues', paint('cyan', `${apiUrl}/admin/queues`), 'asks for the key'),
    row('Metrics', paint('cyan', `${apiUrl}/metrics`)),
    row('Key', paint('bold', bootstrapKey), keyNote),
    '',
    row('PostgreSQL', stack.database),
    row('Redis', stack.redis),
    stack.simulatorUrl === null
      ? row('Providers', 'the real ones', 'calls cost money')
      : row(
          'Providers',
          `simulator, ${stack.simulatorUrl}`,
          'set OPENAI_API_KEY or ANTHROPIC_API_KEY for real ones',
        ),
    row('Processes', `api, scheduler, ${describeWorkers(facts.workers)}`),
    '',
    `  ${paint('gray', 'Try:')}`,
    `  curl -s '${apiUrl}/v1/jobs' -H 'authorization: Bearer ${bootstrapKey}' \\`,
    `    -H 'idempotency-key: try-1' -H 'prefer: wait=20' -H 'content-type: application/json' \\`,
    `    -d '{"type":"call","route":"cheap","prompt":"Summarise: A millrace is the channel that carries a river to the wheel. Bursts come in, a steady stream goes out."}'`,
    '',
    `  ${paint('gray', 'Ctrl-C stops everything.')}`,
    '',
    '',
  ].join('\n');
}

function describeWorkers({ least, most }: WorkerRange): string {
  if (most > least) return `${least} to ${most} workers, as many as the work asks for`;
  return least === 1 ? '1 worker' : `${least} workers`;
}
