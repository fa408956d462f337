import { parseJson } from './json-value.ts';
import type { ConfigPatch } from './simulator-config.ts';
import { startSimulator } from './start-simulator.ts';

const { SIMULATOR_PORT = '0', SIMULATOR_JOURNAL, SIMULATOR_CONFIG = '{}' } = process.env;
const config = parseJson(SIMULATOR_CONFIG);
if (config === undefined) throw new Error('SIMULATOR_CONFIG is not JSON');

const simulator = await startSimulator({
  port: Number(SIMULATOR_PORT),
  config: config as ConfigPatch,
  ...(SIMULATOR_JOURNAL === undefined ? {} : { journalPath: SIMULATOR_JOURNAL }),
});
process.stdout.write(`${JSON.stringify({ listening: simulator.url })}\n`);
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void simulator.stop());
