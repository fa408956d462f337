import { benchNames, goalCommands, longerCommands } from './listed-commands.ts';
import type { BenchCommand } from './listed-commands.ts';

/** What `npm run bench` was asked for. */
export interface Wanted {
  commands: readonly BenchCommand[];
  /** Whether the figures go to docs/performance.md. */
  write: boolean;
}

/**
 * Each name of a bench begins a command, whose options follow it; without any, all of a list are wanted. Throws at what
 * is no bench.
 */
export function readArguments(all: readonly string[]): Wanted {
  const own = ['--write', '--longer'];
  const rest = all.filter((argument) => !own.includes(argument));
  const write = all.includes('--write');
  const commands: [string, ...string[]][] = [];
  for (const argument of rest) {
    if (benchNames.has(argument)) commands.push([argument]);
    else if (commands.length > 0) commands.at(-1)?.push(argument);
    else throw new Error(`${argument} is no bench; there are ${[...benchNames].join(', ')}`);
  }
  if (commands.length > 0) return { commands, write };
  return { commands: all.includes('--longer') ? longerCommands : goalCommands, write };
}
