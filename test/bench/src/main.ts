/** Runs every benchmark after the other and prints the last lines of each: `npm run bench`, or `npm run bench -- intake`. */
import { spawnSync } from 'node:child_process';

const BENCHES = [
  'intake',
  'latency',
  'sse-latency',
  'calls',
  'map-reduce',
  'utilisation',
  'growth',
  'cheapest-lane',
];

const wanted = process.argv.slice(2);
for (const name of wanted.length > 0 ? wanted : BENCHES) {
  console.log(`\n# ${name}`);
  const file = new URL(`./${name}.ts`, import.meta.url).pathname;
  const { status } = spawnSync(process.execPath, [file], { stdio: 'inherit' });
  if (status !== 0) process.exitCode = 1;
}
