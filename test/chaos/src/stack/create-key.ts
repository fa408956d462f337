import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';

const entry = resolve(import.meta.dirname, '../../../../apps/api/src/keys/main.ts');

/** Makes an API key as an operator does, by `npm run keys -- create …`, and answers its text. */
export async function createKey(databaseUrl: string, options: readonly string[]): Promise<string> {
  return (await runKeys(databaseUrl, ['create', ...options])).trim().split('\n').at(-1) ?? '';
}

/** Runs the operator's command for keys and answers what it printed. */
export async function runKeys(databaseUrl: string, command: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [entry, ...command], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, DATABASE_URL: databaseUrl },
  });
  return stdout;
}
