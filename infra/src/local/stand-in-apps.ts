import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Entries } from './entries.ts';

const standIn = `
import { createServer } from 'node:http';
const name = process.argv[1].match(/(\\w+)\\.ts$/)[1];
const log = (fields: object) => console.log(JSON.stringify({ level: 30, time: Date.now(), service: name, ...fields }));
const fails = (process.env.STAND_IN_FAILS ?? '') === name;
const ignoresSignals = (process.env.STAND_IN_IGNORES_SIGNALS ?? '') === name;
if (fails) { console.error(name + ' does not like its configuration'); process.exit(78); }
const shown = ['DATABASE_URL', 'REDIS_URL', 'OPENAI_BASE_URL', 'OPENAI_API_KEY', 'ANTHROPIC_BASE_URL',
  'MILLRACE_BOOTSTRAP_KEY', 'MILLRACE_PORT', 'SIMULATOR_JOURNAL'];
const server = createServer((request, response) => {
  if (request.url === '/environment') {
    response.end(JSON.stringify(Object.fromEntries(shown.map((each) => [each, process.env[each]]))));
  } else response.end('ok');
});
const port = Number(name === 'api' ? process.env.MILLRACE_PORT : (process.env.SIMULATOR_PORT ?? 0));
server.listen(port, '127.0.0.1', () => {
  const url = 'http://127.0.0.1:' + (server.address() as { port: number }).port;
  if (name === 'simulator') console.log(JSON.stringify({ listening: url }));
  else log({ msg: 'listening', url });
});
process.on('SIGTERM', () => {
  if (ignoresSignals) return;
  log({ msg: 'stopped' });
  process.exit(0);
});
`;

/**
 * For tests: processes that keep to the protocol between the stack and the apps (they say where they listen, they end
 * on SIGTERM, the API answers /readyz) and do nothing else. `/environment` shows what they were given.
 */
export function writeStandInApps(directory: string): Entries {
  mkdirSync(directory, { recursive: true });
  const write = (name: string): string => {
    const file = join(directory, `${name}.ts`);
    writeFileSync(file, standIn);
    return file;
  };
  return {
    api: write('api'),
    worker: write('worker'),
    scheduler: write('scheduler'),
    simulator: write('simulator'),
  };
}
