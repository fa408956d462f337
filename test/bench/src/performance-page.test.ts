import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { expect, it } from 'vitest';
import { benchNames, goalCommands, longerCommands, written } from './listed-commands.ts';
import { readKept, withTables } from './performance-page.ts';
import { readArguments } from './read-arguments.ts';

const page = resolve(import.meta.dirname, '../../../docs/performance.md');
const listed = [...goalCommands, ...longerCommands];

it('finds a bench behind each command of the page', () => {
  const missing = [...benchNames].filter((name) => !existsSync(join(import.meta.dirname, `${name}.ts`)));
  expect(missing).toEqual([]);
  expect(longerCommands.map(([name]) => name).filter((name) => !benchNames.has(name))).toEqual([]);
});

it('reads each command of the page as it is typed', () => {
  for (const command of listed) {
    expect(readArguments(written(command).split(' ').slice(4))).toEqual({
      commands: [command],
      write: false,
    });
  }
});

it('gives options to the bench before them and takes what is its own', () => {
  expect(readArguments(['intake', 'utilisation', 'both', '--seconds', '90', '--write'])).toEqual({
    commands: [['intake'], ['utilisation', 'both', '--seconds', '90']],
    write: true,
  });
  expect(readArguments([])).toEqual({ commands: goalCommands, write: false });
  expect(readArguments(['--longer', '--write'])).toEqual({ commands: longerCommands, write: true });
  expect(() => readArguments(['--seconds', '90'])).toThrow('--seconds is no bench');
});

it('has figures on the page that are those that were kept', async () => {
  const text = readFileSync(page, 'utf8');
  const style = await resolveConfig(page);
  expect(await format(withTables(text, readKept()), { ...style, parser: 'markdown' })).toBe(text);
});

it('has a row for each listed command', () => {
  expect(listed.map(written).filter((command) => !(command in readKept()))).toEqual([]);
});
