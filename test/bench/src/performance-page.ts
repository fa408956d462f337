import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join, resolve } from 'node:path';
import { goalCommands, longerCommands, written } from './listed-commands.ts';
import type { BenchCommand } from './listed-commands.ts';
import type { Figure } from './report-figures.ts';

/** What the last run of a command has seen. */
interface KeptFigures {
  /** When, of which commit, and the machine's load average of the last minute, which the run itself is part of. */
  measured: string;
  figures: readonly Figure[];
}

/** By command, as it is typed. */
type Kept = Readonly<Record<string, KeptFigures>>;

const repository = resolve(import.meta.dirname, '../../..');
const store = join(repository, 'test/bench/figures.json');
const page = join(repository, 'docs/performance.md');
const END = '<!-- End of what is written. -->';

const tables: Readonly<Record<string, readonly BenchCommand[]>> = {
  'npm run bench -- --write': goalCommands,
  'npm run bench -- --longer --write': longerCommands,
};

/** The figures of earlier runs, of all commands. */
export function readKept(): Kept {
  return JSON.parse(readFileSync(store, 'utf8')) as Kept;
}

/** Puts a run's figures in the place of the ones before. */
export function keepFigures(command: BenchCommand, figures: readonly Figure[]): void {
  const at = new Date().toISOString().slice(0, 16).replace('T', ' ');
  const measured = `${at}, \`${commit()}\`, load ${loadavg()[0]?.toFixed(1)}`;
  const kept: Kept = { ...readKept(), [written(command)]: { measured, figures } };
  writeFileSync(store, `${JSON.stringify(kept, null, 2)}\n`);
  if (![...goalCommands, ...longerCommands].some((listed) => written(listed) === written(command))) {
    console.log(`${written(command)} has no row on the page (listed-commands.ts)`);
  }
}

/** Writes the tables of docs/performance.md. */
export function writePage(kept: Kept): void {
  writeFileSync(page, withTables(readFileSync(page, 'utf8'), kept));
  execFileSync(join(repository, 'node_modules/.bin/prettier'), ['--write', page, store], { stdio: 'ignore' });
}

/** A page with new tables between its marks; throws when a mark is missing. */
export function withTables(text: string, kept: Kept): string {
  return Object.entries(tables).reduce((before, [by, commands]) => {
    const begin = `<!-- Written by ${by}; edits between these marks are lost. -->`;
    const from = before.indexOf(begin);
    const to = before.indexOf(END, from);
    if (from < 0 || to < 0) throw new Error(`docs/performance.md has no ${begin}`);
    return `${before.slice(0, from)}${begin}\n\n${tableOf(commands, kept)}\n\n${before.slice(to)}`;
  }, text);
}

function tableOf(commands: readonly BenchCommand[], kept: Kept): string {
  return [
    '| what | command | goal | figure | reached | measured |',
    '| --- | --- | --- | --- | --- | --- |',
    ...commands.flatMap((command) => rowsOf(written(command), kept[written(command)])),
  ].join('\n');
}

function rowsOf(command: string, run: KeptFigures | undefined): string[] {
  if (!run) return [`| | \`${command}\` | | — | — | — |`];
  return run.figures.map(
    ({ what, goal, figure, reached }) =>
      `| ${what} | \`${command}\` | ${goal || '—'} | ${figure} | ${reached === null ? '—' : reached ? 'yes' : 'no'} | ${run.measured} |`,
  );
}

function commit(): string {
  const git = (...order: string[]): string =>
    execFileSync('git', order, { cwd: repository, encoding: 'utf8' }).trim();
  try {
    // Not what this writes itself.
    const isChanged =
      git('status', '--porcelain', 'apps', 'libs', 'infra', 'test/simulator', 'test/bench/src') !== '';
    return `${git('rev-parse', '--short', 'HEAD')}${isChanged ? ' and changes' : ''}`;
  } catch {
    return 'unknown';
  }
}
