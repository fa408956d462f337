/**
 * Runs benches one after the other; the last line of each is the figure that counts.
 *
 *     npm run bench                                        all that end within a minute or so
 *     npm run bench -- --longer                            those that need real minutes, or a million jobs
 *     npm run bench -- utilisation both --seconds 90       one, with its options
 *     npm run bench -- intake latency --write              some; the figures go to docs/performance.md
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { written } from './listed-commands.ts';
import type { BenchCommand } from './listed-commands.ts';
import { keepFigures, readKept, writePage } from './performance-page.ts';
import { readArguments } from './read-arguments.ts';
import type { Figure } from './report-figures.ts';

const { commands, write } = readArguments(process.argv.slice(2));
for (const command of commands) {
  const startedAt = performance.now();
  console.log(`\n# ${written(command)}`);
  const figures = await run(command);
  console.log(`(${((performance.now() - startedAt) / 1_000).toFixed(0)} s)`);
  if (figures === null) {
    process.exitCode = 1;
  } else if (write) {
    // After each, so that a run that is broken off has not measured for nothing.
    keepFigures(command, figures);
    writePage(readKept());
  }
}

/** What a bench has reported; null if it failed. */
async function run([name, ...options]: BenchCommand): Promise<readonly Figure[] | null> {
  const child = fork(join(import.meta.dirname, `${name}.ts`), options);
  let figures: readonly Figure[] | null = null;
  child.on('message', (reported) => (figures = reported as readonly Figure[]));
  const [code] = (await once(child, 'exit')) as [number | null];
  return code === 0 ? figures : null;
}
